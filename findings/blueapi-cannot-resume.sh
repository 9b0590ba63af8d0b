#!/usr/bin/env bash
# blueapi 1.21.1 counts a paused task as complete, and a plan that makes documents fails when it is resumed: status 500, and the run is over.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" || true; wait "$server" || true; } 2>/dev/null; rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check blueapi==1.21.1 bluesky==1.15.1 ophyd==1.11.2
cd "$folder"
cat > waiting.py <<'PYTHON'
import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator
from ophyd import Signal

number = Signal(name="number", value=0)


def wait_in_steps(steps: int) -> MsgGenerator[None]:
    """Wait a tenth of a second a step; each step begins with a checkpoint."""
    for _ in range(steps):
        yield from bps.checkpoint()
        yield from bps.sleep(0.1)


def count_in_steps(steps: int) -> MsgGenerator[None]:
    """Do the same, with a run that has an event a step."""
    yield from bps.open_run()
    for _ in range(steps):
        yield from bps.checkpoint()
        yield from bps.trigger_and_read([number])
        yield from bps.sleep(0.1)
    yield from bps.close_run()
PYTHON
port=$(venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > blueapi.yaml <<YAML
api:
  url: http://127.0.0.1:$port
env:
  sources:
    - kind: planFunctions
      module: waiting
YAML
PYTHONPATH=$folder venv/bin/blueapi -c blueapi.yaml serve > server.log 2>&1 &
server=$!
venv/bin/python - "$port" <<'PYTHON'
import sys
import time
from importlib.metadata import version

import requests

base = f"http://127.0.0.1:{sys.argv[1]}/api/v1"


def state():
    return requests.get(f"{base}/worker/state", timeout=30).json()


def wait_until(wanted, seconds=60):
    until = time.monotonic() + seconds
    while state() != wanted and time.monotonic() < until:
        time.sleep(0.1)
    return state()


def ask_for(new_state):
    return requests.put(f"{base}/worker/state", json={"new_state": new_state}, timeout=60).status_code


for _ in range(600):
    try:
        if requests.get(f"{base}/environment", timeout=30).json().get("initialized"):
            break
    except requests.ConnectionError:
        pass
    time.sleep(0.2)
def pause_and_resume(plan):
    """Return what was seen; the plan takes two seconds in all."""
    task = {"name": plan, "params": {"steps": 20}, "instrument_session": "cm12345-1"}
    task_id = requests.post(f"{base}/tasks", json=task, timeout=30).json()["task_id"]

    def described():
        return requests.get(f"{base}/tasks/{task_id}", timeout=30).json()

    requests.put(f"{base}/worker/task", json={"task_id": task_id}, timeout=30).raise_for_status()
    wait_until("RUNNING")
    pausing = ask_for("PAUSED")
    paused = wait_until("PAUSED")
    time.sleep(1)
    task = described()
    begin = time.monotonic()
    resuming = ask_for("RUNNING")
    later = wait_until("IDLE")
    took = time.monotonic() - begin
    print(f"{plan}: asked for PAUSED, answer {pausing}, the worker is {paused}")
    print(f"  while it is paused, the task counts as complete: {task['is_complete']}, with an error: {bool(task['errors'])}")
    print(f"  asked for RUNNING, answer {resuming}; the worker is {later} after {took:.1f} s")
    return pausing, paused, task["is_complete"], bool(task["errors"]), resuming, later


print(f"blueapi {version('blueapi')}, bluesky {version('bluesky')}")
without = pause_and_resume("wait_in_steps")
with_documents = pause_and_resume("count_in_steps")
print("The plan without a run goes on to its end, and the answer comes only then. The plan with a run is over at its first document.")
paused = (202, "PAUSED", True, True)
sys.exit(0 if without == (*paused, 202, "IDLE") and with_documents == (*paused, 500, "IDLE") else 1)
PYTHON
