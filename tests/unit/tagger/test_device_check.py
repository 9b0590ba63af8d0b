"""What `check` says of detectors before a scan, in the words of the device."""

import numpy as np
import pytest
from IPython.lib.pretty import pretty
from ophyd import Component, Device, Signal
from ophyd.sim import make_fake_device
from support.cameras import Camera
from support.models import CountsModel

from bluesky_xtag import Tagger
from bluesky_xtag.simulate.epics.ophyd_devices import Hdf5Detector, TiffDetector


@pytest.fixture(scope="module")
def faked():
    return {kind: make_fake_device(kind) for kind in (Hdf5Detector, TiffDetector)}


def detector(faked, directory, kind=Hdf5Detector, part="hdf5"):
    """The areaDetector of the simulated beamline, without its IOC."""
    det = faked[kind]("XTAG:", name="det")
    plugin = getattr(det, part)
    plugin.write_path_template = str(directory)
    det.read_attrs = [part]
    for port, name in ((det.cam.port_name, "CAM"), (plugin.nd_array_port, "CAM"), (plugin.port_name, "FILE")):
        port.sim_put(name)
    for group, suffix in ((det.cam.array_size, "array_size_"), (plugin.array_size, "")):
        for name, size in zip(("x", "y", "z") if suffix else ("width", "height", "depth"), (48, 64, 0), strict=True):
            getattr(group, f"{suffix}{name}").sim_put(size)
    if part == "hdf5":
        plugin.swmr_mode.sim_put("Off")
        plugin.num_frames_flush.sim_put(1)
    det.cam.beam_center_x.sim_put(20.0)
    det.cam.beam_center_y.sim_put(30.0)
    return det


@pytest.fixture
def found(capsys):
    """What is found about a device: the findings by what they are about, and what is printed."""
    taggers = []

    def found(device, **arguments):
        taggers.append(Tagger(CountsModel(), **arguments))
        findings = taggers[-1].check(device)
        out = capsys.readouterr().out
        for shown in (repr(findings), pretty(findings)):  # what prompts show of a result, after it was printed
            number = len([each for each in findings if each.kind == "change"])
            assert shown == f"<{len(findings)} finding{'s' if len(findings) > 1 else ''}, {number} to be changed>"
        assert all(finding.text in out and finding.remedy in out for finding in findings)
        return {(finding.kind, finding.about): finding for finding in findings}

    yield found
    for tagger in taggers:
        tagger.uninstall()


def changes(found):
    return [about for kind, about in found if kind == "change"]


def test_a_detector_that_is_ready_needs_no_change(found, faked, tmp_path):
    findings = found(detector(faked, tmp_path))
    assert changes(findings) == []
    assert findings["good", "beam centre"].text == "column 20, row 30, in the configuration of det"
    assert "det_cam_acquire_time" in findings["good", "exposure"].text
    assert "48 x 64" in findings["good", "size"].text or "64 x 48" in findings["good", "size"].text


def test_a_remedy_does_what_it_says(found, faked, tmp_path):
    det = detector(faked, tmp_path)
    for spoil in (
        lambda: det.hdf5.stage_sigs.pop("swmr_mode"),
        lambda: det.hdf5.stage_sigs.update(swmr_mode="Off"),
        lambda: det.hdf5.stage_sigs.move_to_end("swmr_mode"),
        lambda: det.hdf5.stage_sigs.update(num_frames_flush=10),
        lambda: setattr(det, "read_attrs", []),
        lambda: setattr(det.cam, "configuration_attrs", ["acquire_time"]),
    ):
        spoil()
        findings = found(det)
        (about,) = changes(findings)
        exec(findings["change", about].remedy, {"det": det})
        assert changes(found(det)) == []


def test_swmr_that_somebody_switched_on_by_hand_is_only_noted(found, faked, tmp_path):
    det = detector(faked, tmp_path)
    det.hdf5.stage_sigs.pop("swmr_mode")
    det.hdf5.swmr_mode.sim_put("On")
    findings = found(det)
    assert changes(findings) == []
    assert 'stage_sigs["swmr_mode"]' in findings["note", "SWMR"].remedy


def test_plugins_that_cannot_be_staged_or_found_are_named(found, faked, tmp_path):
    det = detector(faked, tmp_path)
    for size in (det.hdf5.array_size.width, det.hdf5.array_size.height):
        size.sim_put(0)
    assert found(det)["change", "size"].remedy == "det.hdf5.warmup()"
    det = detector(faked, tmp_path)
    det.hdf5.stage_sigs["lazy_open"] = "Yes"
    assert "number -1" in found(det)["change", "path"].text
    det = detector(faked, tmp_path)
    det.hdf5.array_size.width.sim_put(1024)
    assert "1024" in found(det)["change", "size"].text


def test_a_directory_that_is_elsewhere_needs_a_root_map(found, faked, tmp_path):
    det = detector(faked, "/nowhere/deep/below/here/frames")
    findings = found(det)
    assert "read_path_template" in findings["change", "path"].remedy
    (tmp_path / "frames").mkdir()
    assert changes(found(det, root_map={"/nowhere/deep/below/here": str(tmp_path)})) == []


def test_a_directory_that_the_plugin_makes_only_after_ophyd_asked_for_it(found, faked, tmp_path):
    det = detector(faked, tmp_path / "2026" / "11")
    finding = found(det)["change", "path"]
    assert "create_directory" in finding.text
    exec(finding.remedy, {"det": det})
    assert changes(found(det)) == []


def test_a_tiff_plugin_needs_no_swmr(found, faked, tmp_path):
    findings = found(detector(faked, tmp_path, TiffDetector, "tiff"))
    assert changes(findings) == []
    assert not [about for _, about in findings if about == "SWMR"]


def test_an_unknown_beam_centre_is_said_and_a_given_one_counts(found, faked, tmp_path):
    det = detector(faked, tmp_path)
    for signal in (det.cam.beam_center_x, det.cam.beam_center_y):
        signal.sim_put(0.0)  # as areaDetector has it when nobody set it
    assert "beam_center_x" in found(det)["note", "beam centre"].remedy
    assert "given to install" in found(det, beam_centre=(3, 4))["good", "beam centre"].text


def test_a_plugin_of_another_camera_is_named_before_it_ends_the_scan(found, faked, tmp_path):
    det = detector(faked, tmp_path)
    det.hdf5.nd_array_port.sim_put("PROC1")
    assert "cannot be asked" in found(det)["change", "beam centre"].text


def test_any_other_device(found):
    findings = found(Camera(lambda seconds: np.ones((32, 32))))
    assert findings["good", "image"].text == "det [32, 32]"
    assert ("good", "exposure") in findings
    assert changes(found(Signal(name="counter", value=1))) == ["image"]
    assert changes(found(object())) == ["device"]


def test_images_of_two_dimensions_that_are_named_are_found(found):
    class Two(Device):
        picture = Component(Signal, value=np.ones((32, 32)))

    assert "picture" in found(Two(name="two"), key="two_picture")["good", "image"].text
    assert "two_picture" in found(Two(name="two"), key="other")["note", "image"].text
