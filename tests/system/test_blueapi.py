"""blueapi's real server, in an environment of its own: it pins another Tiled (`make blueapi-env`)."""

import json
import os
import re
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.places import ROOT
from websockets.sync.client import connect

ENVIRONMENT = Path(os.environ.get("XTAG_TEST_BLUEAPI") or ROOT / ".venv" / "blueapi-env")
BLUEAPI = ENVIRONMENT / "bin" / "blueapi"

pytestmark = pytest.mark.skipif(
    not BLUEAPI.exists(), reason=f"blueapi is not in {ENVIRONMENT}: `make blueapi-env` installs it"
)

PAGE = (ROOT / "docs" / "how-to" / "blueapi.md").read_text("utf-8")
BEAMLINE = re.search(r"^```\{code-block\} python\n:caption: beamline.py.*?\n(.*?)^```$", PAGE, re.M | re.S)[1]
CONFIGURATION = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)[1]
OWN_PLANS = re.search(
    r"^```\{code-block\} python\n:caption: own_plans.py.*?\n(.*?)^```$",
    (ROOT / "docs" / "how-to" / "wait-for-tags.md").read_text("utf-8"),
    re.M | re.S,
)[1]
TASKS = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.S)]
ADDED = """
    - kind: deviceManager
      module: other_devices
    - kind: planFunctions
      module: own_plans
"""

OPHYD_ASYNC = """
from pathlib import Path

from ophyd_async.core import StaticFilenameProvider, StaticPathProvider, init_devices
from ophyd_async.sim import SimBlobDetector, SimMotor

from bluesky_xtag.plans.remote import Devices

with init_devices():
    stage = SimMotor(name="stage", instant=True)
    blob = SimBlobDetector(StaticPathProvider(StaticFilenameProvider("blob"), Path(__file__).parent), name="blob")
devices = Devices(lambda: stage, lambda: blob)
"""

FRAMES = {"detectors": ["det"], "tagger": "xtag"}


class Server:
    """blueapi's server, seen through its REST interface and its stream of events."""

    def __init__(self, port):
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=60)
        self._stream = f"ws://127.0.0.1:{port}/api/v2/run_plan"

    def get(self, path):
        return self.client.get(path).raise_for_status().json()

    def task(self, name, **params):
        return {"name": name, "params": params, "instrument_session": "cm12345-1"}

    def run(self, name, **params):
        """Run a plan; return the documents that its events carry, and its outcome."""
        documents, outcome = [], None
        with self._running(name, params) as events:
            for event in events:
                if "doc" in event:
                    documents.append((event["name"], event["doc"]))
                elif event.get("task_status"):
                    outcome = event["task_status"]["result"]
        return Run(documents), outcome

    @contextmanager
    def _running(self, name, params):
        with connect(self._stream, max_size=None, open_timeout=30) as socket:
            socket.send(json.dumps({"kind": "submit", "task": self.task(name, **params)}))
            yield (json.loads(message)["data"] for message in socket)

    def wait_until(self, state, seconds=60):
        until = time.monotonic() + seconds
        while (seen := self.get("/worker/state")) != state:
            assert time.monotonic() < until, seen
            time.sleep(0.05)


class Run:
    """The documents of one run."""

    def __init__(self, documents):
        self._documents = documents
        (self.stop,) = (doc for name, doc in documents if name == "stop")
        self._streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}

    def events(self, stream):
        events = [
            doc for name, doc in self._documents if name == "event" and self._streams[doc["descriptor"]] == stream
        ]
        return list({event["seq_num"]: event for event in events}.values())

    def assert_every_frame_has_its_row(self, frames=None, ended="success"):
        rows = [event["data"] for event in self.events("tags")]
        seen = self.events("primary")
        assert [row["xtag_frame_event"] for row in rows] == [event["uid"] for event in seen]
        assert {row["xtag_status"] for row in rows} <= {"ok", "late"}
        assert frames in (None, len(rows))
        assert len(rows) == self.stop["num_events"]["tags"]
        assert self.stop["exit_status"] == ended


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("blueapi")
    (directory / "beamline.py").write_text(BEAMLINE)
    (directory / "other_devices.py").write_text(OPHYD_ASYNC)
    (directory / "own_plans.py").write_text(OWN_PLANS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "8000" in CONFIGURATION
    (directory / "blueapi.yaml").write_text(CONFIGURATION.rstrip().replace("8000", str(port)) + ADDED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, directory)))}
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [BLUEAPI, "-c", directory / "blueapi.yaml", "serve"], env=environment, stdout=log, stderr=log, cwd=directory
        )
    try:
        server = Server(port)
        until = time.monotonic() + 200
        while True:
            try:
                state = server.get("/environment")
                break
            except httpx.TransportError:
                assert process.poll() is None and time.monotonic() < until, (directory / "log").read_text()
                time.sleep(0.2)
        assert state["initialized"], state["error_message"]
        yield server
        server.client.close()
    finally:
        process.terminate()
        process.wait(60)


def test_it_offers_every_plan_and_device(server):
    plans = {plan["name"]: plan["schema"] for plan in server.get("/plans")["plans"]}
    assert set(plans) == {
        "compare_samples",
        "count",
        "expose_until",
        "grid_scan",
        "scan",
        "scan_twice",
        "scan_until",
        "skip_empty_grid",
        "tag_adaptive_scan",
        "watch",
    }
    assert plans["scan_until"]["properties"]["tagger"]["enum"] == ["xtag"]
    assert {"det", "x", "y", "xtag", "blob", "stage"} <= {each["name"] for each in server.get("/devices")["devices"]}


@pytest.mark.parametrize(
    ("name", "params", "frames"),
    [
        ("count", {"num": 3}, 3),
        ("scan", {"axes": [["x", 1, 9], ["y", 2, 3]], "num": 3}, 3),
        ("grid_scan", {"axes": [["x", 1, 9, 2], ["y", 2, 3, 2]], "snake": True}, 4),
        ("scan", {"detectors": ["blob"], "axes": [["stage", 1, 2]], "num": 2}, None),
    ],
)
def test_rows_are_in_its_events(server, name, params, frames):
    run, outcome = server.run(name, **FRAMES | params)
    assert outcome["outcome"] == "success"
    if frames is not None:
        run.assert_every_frame_has_its_row(frames)
    else:  # ophyd-async tells of frames by stream_datum, not in the event
        assert [event["data"]["xtag_frame_seq_num"] for event in run.events("tags")] == [1, 2]
        assert {event["data"]["xtag_status"] for event in run.events("tags")} == {"ok"}


@pytest.mark.parametrize(
    ("name", "params", "result"),
    [
        ("scan_until", {"motor": "x", "start": 0, "stop": 4, "step": 2, "until": "ring>1"}, False),
        ("expose_until", {"limits": [0.01, 0.2]}, ...),
        ("expose_until", {"limits": [0.01, 0.2], "exposure": "det.cam.acquire_time"}, ...),
        ("tag_adaptive_scan", {"strategy": "random", "axes": [["x", 0, 10]], "tag": "ring", "max_points": 3}, ...),
        ("skip_empty_grid", {"probe_exposure": 0.001, "axes": [["x", 0, 10, 2], ["y", 0, 10, 2]]}, ...),
        ("watch", {"interval": [0.1, 1], "max_frames": 2, "until": "ring>1"}, False),
        (
            "compare_samples",
            {"motors": ["x"], "samples": {"A": [1], "B": [5]}, "target": "not ring>1"},
            {"A": 1, "B": 1},
        ),
        ("scan_twice", {"motor": "x", "start": 0, "stop": 10, "num": 3, "condition": "not ring>1"}, ...),
    ],
)
def test_rows_and_decisions_of_plans_that_tags_steer_are_in_its_events(server, name, params, result):
    run, outcome = server.run(name, **FRAMES | params)
    assert outcome["outcome"] == "success", outcome
    assert result in (..., outcome["result"])
    run.assert_every_frame_has_its_row()
    decisions = run.events("decisions")
    assert decisions and {"decision_action", "decision_reason"} <= set(decisions[0]["data"])
    assert run.stop["num_events"]["decisions"] == len(decisions)


def test_tasks_of_its_rest_interface(server):
    task = server.client.post("/tasks", json=server.task("scan_until", **FRAMES, motor="x", start=0, stop=2, step=1,
                                                         until="ring>1")).raise_for_status().json()  # fmt: skip
    server.client.put("/worker/task", json={"task_id": task["task_id"]}).raise_for_status()
    server.wait_until("IDLE")
    done = server.get(f"/tasks/{task['task_id']}")
    assert done["is_complete"] and not done["errors"]
    assert done["outcome"]["result"] is False


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["name"])
def test_tasks_of_the_page_run(server, task):
    run, outcome = server.run(task["name"], **task["params"])
    assert outcome["outcome"] == "success", outcome
    run.assert_every_frame_has_its_row()


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"motor": "z", "start": 0, "stop": 1, "step": 1, "until": "ring"}, "z cannot be found"),
        ({"motor": "x", "start": 0, "stop": 1, "until": "ring"}, "step"),
        ({"motor": "x", "start": 0, "stop": 1, "step": 1, "until": "ring", "tagger": "det"}, "is not of type"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_scan(server, params, named):
    refused = server.client.post("/tasks", json=server.task("scan_until", **FRAMES | params))
    assert refused.status_code == 422
    assert named in refused.text


def test_a_condition_that_does_not_fit_ends_the_task_with_a_message(server):
    task = server.client.post(
        "/tasks", json=server.task("scan_until", **FRAMES, motor="x", start=0, stop=1, step=1, until="rong")
    ).json()
    server.client.put("/worker/task", json={"task_id": task["task_id"]}).raise_for_status()
    server.wait_until("IDLE")
    assert "rong" in str(server.get(f"/tasks/{task['task_id']}")["errors"])


@pytest.mark.parametrize(("state", "status"), [("ABORTING", "abort"), ("STOPPING", "success")])
def test_a_plan_that_is_ended_early_keeps_its_rows_and_the_next_goes_on(server, state, status):
    # blueapi 1.21.1 pauses, but cannot resume, plans of bluesky's own either.
    documents = []
    with server._running("count", FRAMES | {"num": 100, "delay": 0.2}) as events:
        for event in events:
            if "doc" in event:
                documents.append((event["name"], event["doc"]))
            if sum(name == "event" for name, _ in documents) == 2 and event.get("name") == "event":
                server.client.put("/worker/state", json={"new_state": state, "reason": "enough"}).raise_for_status()
    run = Run(documents)
    run.assert_every_frame_has_its_row(ended=status)
    assert 1 <= len(run.events("primary")) < 100
    server.wait_until("IDLE")
    after, _ = server.run("count", **FRAMES, num=2)
    after.assert_every_frame_has_its_row(2)
