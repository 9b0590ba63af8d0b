import pytest
from support import epics_beamline

import bluesky_xtag.simulate.epics.ophyd_devices  # noqa: F401, before any signal: it sets how long ophyd waits for one


@pytest.fixture(scope="package")
def beamline():
    """The IOC of all these tests; a page of the documentation, in the same process, has its own before or after."""
    started = epics_beamline.start()
    yield started
    started.close()


@pytest.fixture(scope="package")
def x(beamline):
    from bluesky_xtag.simulate.epics.ophyd_devices import epics_motor

    motor = epics_motor("x")
    motor.wait_for_connection(timeout=20)
    return motor


@pytest.fixture(scope="package")
def monitor(beamline):
    from bluesky_xtag.simulate.epics.ophyd_devices import epics_monitor

    signal = epics_monitor()
    signal.wait_for_connection(timeout=20)
    return signal


@pytest.fixture(scope="package")
def camera(beamline, tmp_path_factory):
    """Detectors of ophyd's classes; connecting takes seconds, so each is made once for all files."""
    from bluesky_xtag.simulate.epics.ophyd_devices import epics_detector

    return {
        "swmr": epics_detector(tmp_path_factory.mktemp("swmr")),
        "default": epics_detector(tmp_path_factory.mktemp("default"), swmr=False),
        "tiff": epics_detector(tmp_path_factory.mktemp("tiff"), tiff=True),
    }


@pytest.fixture
def det(request, camera):
    """The camera with SWMR, or as a test asks for; exposing as briefly as before."""
    detector = camera[getattr(request, "param", "swmr")]
    detector.cam.acquire_time.set(0.05).wait(10)
    yield detector
    detector.cam.acquire_time.set(0.05).wait(10)
