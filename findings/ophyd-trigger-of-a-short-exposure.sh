#!/usr/bin/env bash
# ophyd 1.11.2: SingleTrigger.trigger() returns None if the exposure is over before it returns, and the RunEngine ends the scan with an AttributeError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --quiet --disable-pip-version-check ophyd==1.11.2 bluesky==1.15.1
"$folder/venv/bin/python" - <<'PYTHON'
import logging
from importlib.metadata import version

import bluesky.plans as bp
from bluesky import RunEngine
from ophyd import Component, Device, EpicsSignal
from ophyd.areadetector.trigger_mixins import SingleTrigger
from ophyd.sim import make_fake_device

logging.disable(logging.CRITICAL)


class Cam(Device):
    acquire = Component(EpicsSignal, "Acquire")
    image_mode = Component(EpicsSignal, "ImageMode")
    array_counter = Component(EpicsSignal, "ArrayCounter")
    num_images = Component(EpicsSignal, "NumImages")


class Detector(SingleTrigger, Device):
    cam = Component(Cam, "cam1:")

    def generate_datum(self, key, timestamp, datum_kwargs):
        """There is no file plugin."""


print(f"ophyd {version('ophyd')}, bluesky {version('bluesky')}: a camera whose acquire goes to 1 and back to 0")
detector = make_fake_device(Detector)("", name="det")
detector.stage()
acquire = detector.cam.acquire


def expose_briefly(value, **others):
    """Be a camera whose exposure is over when the thread that triggered it runs on."""
    if value == 1:
        acquire.sim_put(0)


slow = detector.trigger()
acquire.sim_put(0)
print("an exposure that ends after trigger() returned:", slow)
assert slow is not None and slow.done

acquire.subscribe(expose_briefly, run=False)
brief = detector.trigger()
print("an exposure that ended before trigger() returned:", brief)
assert brief is None
detector.unstage()

try:
    RunEngine({}, context_managers=[])(bp.count([detector]))
except AttributeError as error:
    print("the scan ends:", error)
    assert "NoneType" in str(error)
else:
    raise AssertionError("the scan went well")
PYTHON
