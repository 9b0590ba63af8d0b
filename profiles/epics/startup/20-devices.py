"""The devices over Channel Access, with ophyd's own classes. Put your own prefix and detector in their place."""

import ophyd
from ophyd import EpicsMotor, EpicsSignalRO
from ophyd.areadetector import ADComponent, DetectorBase
from ophyd.areadetector.cam import SimDetectorCam
from ophyd.areadetector.filestore_mixins import FileStoreHDF5IterativeWrite
from ophyd.areadetector.plugins import HDF5Plugin_V34
from ophyd.areadetector.trigger_mixins import SingleTrigger
from ophyd.signal import EpicsSignalBase
from ophyd.sim import NullStatus

# Seconds, before the first device is made. Without the last one ophyd waits for ever where a file cannot be opened.
EpicsSignalBase.set_defaults(timeout=10, connection_timeout=10, write_timeout=20)

if ophyd.get_cl().name == "dummy":
    ophyd.set_cl("caproto")

PREFIX = "XTAG:"


class Cam(SimDetectorCam):
    # A camera records the signals that are in this list; frames need their beam centre.
    _default_configuration_attrs = (
        *SimDetectorCam._default_configuration_attrs,  # noqa: SLF001
        "beam_center_x",
        "beam_center_y",
    )
    beam_center_x = ADComponent(EpicsSignalRO, "BeamX_RBV")
    beam_center_y = ADComponent(EpicsSignalRO, "BeamY_RBV")


class HDF5(HDF5Plugin_V34, FileStoreHDF5IterativeWrite):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stage_sigs["swmr_mode"] = "On"  # areaDetector's default is off: then nobody can read before the scan ends
        self.stage_sigs["num_frames_flush"] = 1
        self.stage_sigs.move_to_end("capture")  # which opens the file


class Detector(SingleTrigger, DetectorBase):
    cam = ADComponent(Cam, "cam1:")
    hdf5 = ADComponent(HDF5, "HDF1:", write_path_template="/")

    def trigger(self):
        status = super().trigger()
        return NullStatus() if status is None else status  # ophyd 1.11: the exposure was over before it returned


frames_directory.mkdir(parents=True, exist_ok=True)  # noqa: F821 (from the file before)
x = EpicsMotor(f"{PREFIX}x", name="x", labels={"motors"})
y = EpicsMotor(f"{PREFIX}y", name="y", labels={"motors"})
monitor = EpicsSignalRO(f"{PREFIX}I0", name="I0", kind="hinted")
det = Detector(PREFIX, name="det", read_attrs=["hdf5"], labels={"detectors"})
det.hdf5.write_path_template = str(frames_directory)  # noqa: F821
det.hdf5.read_attrs = []
for device in (x, y, monitor, det.hdf5.enable):
    device.wait_for_connection(timeout=20)
