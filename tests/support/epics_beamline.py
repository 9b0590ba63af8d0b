"""The simulated beamline as a fixture: one IOC for all tests of a session, and devices that are set back after each."""

import sys
from pathlib import Path

from bluesky_xtag.simulate.epics import EpicsBeamline


def start():
    """Start the IOC and let ophyd talk to it."""
    import ophyd

    beamline = EpicsBeamline([sys.executable, str(Path(__file__).with_name("spot_ioc.py"))])
    ophyd.set_cl("caproto")
    return beamline
