"""The devices of the demo: simulated in this process, or an IOC's over Channel Access."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from ...errors import XTagValueError
from .scans import EXPOSURE

if TYPE_CHECKING:
    from ...simulate import Exposures

__all__ = ["DETECTOR", "Control", "beamline"]

DETECTOR = "det"
Control = Literal["simulated", "ophyd", "ophyd-async"]
_PATIENCE = 20.0  # seconds

# From what the detector sees: the detector and the motors x and y.
Devices = Callable[["Exposures"], tuple[Any, Any, Any]]


@contextmanager
def beamline(control: Control, directory: Path, console: Console) -> Iterator[Devices]:
    """Give a function that makes the devices; an IOC ends with the block.

    Parameters
    ----------
    control : {"simulated", "ophyd", "ophyd-async"}
        Devices in this process, or those of a simulated IOC with the classes of ophyd or of ophyd-async.
    directory : Path
        Where files of frames are written.
    console : rich.console.Console
        Where the story goes.

    Raises
    ------
    XTagValueError
        A package is not installed.
    """
    if control == "simulated":
        yield lambda exposures: _simulated(exposures, directory)
        return
    try:
        import caproto  # noqa: F401
    except ImportError:
        raise XTagValueError('the simulated IOC needs caproto: pip install "bluesky_xtag[epics]"') from None
    from ...simulate import EpicsBeamline

    made: list[tuple[Any, Any, Any]] = []

    def devices(exposures: Exposures) -> tuple[Any, Any, Any]:
        if not made:  # only now, since devices of ophyd-async need a RunEngine
            made.append(_ophyd(directory) if control == "ophyd" else _ophyd_async(directory))
        return made[0]

    with ExitStack() as stack:
        with console.status("Starting an IOC with a camera, an HDF5 plugin and motors"):
            ioc = stack.enter_context(EpicsBeamline())
        port = ioc.environment["EPICS_CA_SERVER_PORT"]
        console.print(f"IOC on port {port}: camera, HDF5 plugin and motors, with the classes of {control}")
        try:
            yield devices
        finally:  # before the IOC ends, or libca tells of it
            for each in made:
                _leave(each)


def _simulated(exposures: Exposures, directory: Path) -> tuple[Any, Any, Any]:
    from ...simulate import PhotonCounter, motor

    x, y = motor("x"), motor("y")
    counter = PhotonCounter(name=DETECTOR, exposures=exposures, x=x, y=y, directory=directory, exposure=EXPOSURE)
    return counter, x, y


def _ophyd(directory: Path) -> tuple[Any, Any, Any]:
    import ophyd

    from ...simulate import epics_detector, epics_motor

    if ophyd.get_cl().name == "dummy":
        ophyd.set_cl("caproto")
    directory.mkdir(parents=True, exist_ok=True)
    x, y = epics_motor("x"), epics_motor("y")
    for motor in (x, y):
        motor.wait_for_connection(timeout=_PATIENCE)
    detector = epics_detector(directory.resolve(), DETECTOR)
    detector.cam.acquire_time.set(EXPOSURE).wait(_PATIENCE)
    return detector, x, y


def _ophyd_async(directory: Path) -> tuple[Any, Any, Any]:
    try:
        import aioca  # noqa: F401
        from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
        from ophyd_async.epics.adcore import ADWriterFactory
        from ophyd_async.epics.adsimdetector import SimDetector
        from ophyd_async.epics.core import epics_signal_r
        from ophyd_async.epics.motor import Motor
    except ImportError as error:
        raise XTagValueError(
            f'ophyd-async does not speak Channel Access here ({error}): pip install "ophyd-async[ca]"'
        ) from None
    from ...simulate import EpicsBeamline

    class Detector(SimDetector):
        """With the beam centre, which each run records."""

        def __init__(self, prefix: str, *writers: Any, name: str) -> None:
            self.beam_center_x = epics_signal_r(float, f"{prefix}cam1:BeamX_RBV")
            self.beam_center_y = epics_signal_r(float, f"{prefix}cam1:BeamY_RBV")
            super().__init__(prefix, *writers, config_sigs=[self.beam_center_x, self.beam_center_y], name=name)

    directory.mkdir(parents=True, exist_ok=True)
    prefix = EpicsBeamline.prefix
    places = StaticPathProvider(UUIDFilenameProvider(), directory.resolve())
    with init_devices():
        x, y = Motor(f"{prefix}x", name="x"), Motor(f"{prefix}y", name="y")
        detector = Detector(prefix, ADWriterFactory.hdf(places), name=DETECTOR)
    return detector, x, y


def _leave(devices: tuple[Any, Any, Any]) -> None:
    """Disconnect devices."""
    if hasattr(devices[0], "destroy"):
        for device in devices:
            device.destroy()
        return
    import aioca
    from bluesky.run_engine import call_in_bluesky_event_loop

    async def purge() -> None:
        aioca.purge_channel_caches()

    call_in_bluesky_event_loop(purge())
