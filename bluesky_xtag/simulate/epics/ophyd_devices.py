"""The simulated beamline's devices with ophyd's own classes, as a beamline writes them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ophyd import EpicsMotor, EpicsSignalRO
from ophyd.areadetector import ADComponent, DetectorBase, EpicsSignalWithRBV
from ophyd.areadetector.cam import SimDetectorCam
from ophyd.areadetector.filestore_mixins import FileStoreHDF5IterativeWrite, FileStoreTIFFIterativeWrite
from ophyd.areadetector.plugins import HDF5Plugin_V34, TIFFPlugin_V34
from ophyd.areadetector.trigger_mixins import SingleTrigger
from ophyd.signal import EpicsSignalBase
from ophyd.status import StatusBase

from .ioc_process import PREFIX

__all__ = ["Hdf5Detector", "TiffDetector", "epics_detector", "epics_monitor", "epics_motor"]

_PATIENCE = 20.0  # seconds

with suppress(RuntimeError):  # there are signals already, and it is too late
    # ophyd waits one second, and the IOC shares two cores with whatever else this machine does. For what it sets it
    # waits for ever: also for `capture`, which goes back to 0 when the plugin cannot open its file.
    EpicsSignalBase.set_defaults(timeout=_PATIENCE, connection_timeout=_PATIENCE, write_timeout=_PATIENCE)


class _Cam(SimDetectorCam):
    """The camera with the beam centre, which each run records: ophyd's cameras record what this list names."""

    _default_configuration_attrs = (
        *SimDetectorCam._default_configuration_attrs,  # noqa: SLF001, as ophyd has it
        "beam_center_x",
        "beam_center_y",
    )
    beam_center_x = ADComponent(EpicsSignalWithRBV, "BeamX")
    beam_center_y = ADComponent(EpicsSignalWithRBV, "BeamY")


class _Hdf5(HDF5Plugin_V34, FileStoreHDF5IterativeWrite):  # pyright: ignore[reportIncompatibleMethodOverride]
    """One file for each run, readable while it is written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stage_sigs["swmr_mode"] = "On"
        self.stage_sigs["num_frames_flush"] = 1
        self.stage_sigs.move_to_end("capture")  # SWMR must be on before the file is opened


class _Tiff(TIFFPlugin_V34, FileStoreTIFFIterativeWrite):  # pyright: ignore[reportIncompatibleMethodOverride]
    """One file for each frame."""


class _Trigger(SingleTrigger):
    """One exposure for each trigger, however short: ophyd 1.11 returns nothing if it is over before it returns."""

    def trigger(self) -> Any:
        """Expose, and return the status."""
        status: Any = super().trigger()
        if status is None:
            status = StatusBase()
            status.set_finished()
        return status


class Hdf5Detector(_Trigger, DetectorBase):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The camera with its HDF5 plugin."""

    cam = ADComponent(_Cam, "cam1:")
    hdf5 = ADComponent(_Hdf5, "HDF1:", write_path_template="/")


class TiffDetector(_Trigger, DetectorBase):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The camera with its TIFF plugin."""

    cam = ADComponent(_Cam, "cam1:")
    tiff = ADComponent(_Tiff, "TIFF1:", write_path_template="/")


def epics_detector(
    directory: str | Path, name: str = "det", *, tiff: bool = False, swmr: bool = True, prefix: str = PREFIX
) -> Any:
    """Return the camera of the simulated beamline, as a detector of ophyd's areaDetector classes.

    Parameters
    ----------
    directory : str or Path
        Where the IOC writes its files.
    name : str
        The image's data key is `<name>_image`.
    tiff : bool
        Write TIFF files, one for each frame, instead of one HDF5 file for each run.
    swmr : bool
        Whether the HDF5 file can be read while it is written; areaDetector's own default is that it cannot.
    prefix : str
        What the names of the records begin with.
    """
    detector: Any = (TiffDetector if tiff else Hdf5Detector)(prefix, name=name)
    plugin = detector.tiff if tiff else detector.hdf5
    plugin.write_path_template = str(directory)
    plugin.read_attrs = []
    detector.read_attrs = [plugin.attr_name]  # which gives the image its place in each reading
    if not tiff and not swmr:
        plugin.stage_sigs["swmr_mode"] = "Off"
    # ophyd 1.11 connects at first use, and loses the status of a trigger that ends meanwhile.
    plugin.enable.wait_for_connection(timeout=_PATIENCE)
    return detector


def epics_motor(name: str, prefix: str = PREFIX) -> EpicsMotor:
    """Return a sample motor, "x" or "y"."""
    return EpicsMotor(f"{prefix}{name}", name=name, labels={"motors"})


def epics_monitor(name: str = "I0", prefix: str = PREFIX) -> EpicsSignalRO:
    """Return the beam monitor."""
    return EpicsSignalRO(f"{prefix}I0", name=name, kind="hinted")
