#!/usr/bin/env bash
# bluesky 1.15.1: `log_scan(..., start, stop, num)` calls start and stop positions, and moves the motor to 10**start ... 10**stop.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check bluesky==1.15.1 ophyd==1.11.2 event-model==1.24.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import bluesky
from bluesky import RunEngine
from bluesky.plans import log_scan, rel_log_scan
from ophyd.sim import SynAxis

RE = RunEngine()
motor = SynAxis(name="motor")


def positions(plan):
    seen = []
    RE(plan, lambda name, document: seen.append(float(document["data"]["motor"])) if name == "event" else None)
    return seen


says = " ".join(log_scan.__doc__.split())
absolute = positions(log_scan([motor], motor, 1, 100, 3))
motor = SynAxis(name="motor")
motor.set(5)
relative = positions(rel_log_scan([motor], motor, 0, 1, 2))
print(f"bluesky {bluesky.__version__}")
print("its help: start is the 'starting position of motor', stop the 'ending position of motor'")
print(f"log_scan from 1 to 100 in 3 steps goes to {absolute}")
print(f"rel_log_scan from 0 to 1 in 2 steps, with the motor at 5, goes to {relative}")
print("So the numbers are exponents of ten: for 1 to 100 one must ask for 0 to 2. Only the limits of the motor can stop it.")
described = "starting position of motor" in says and absolute[0] == 10 and absolute[2] == 1e100 and relative == [6, 15]
sys.exit(0 if described else 1)
PYTHON
