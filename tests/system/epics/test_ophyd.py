"""The main job over Channel Access, with ophyd's own motor and areaDetector classes."""

import threading
import time

import bluesky.plans as bp
import pytest
from ophyd.areadetector.trigger_mixins import SingleTrigger
from support.archives import opened
from support.cameras import GradedModel
from support.spot_ioc import counts

from bluesky_xtag.plans import expose_until, skip_empty, tag_adaptive_scan
from bluesky_xtag.search import tags
from bluesky_xtag.simulate.epics.ophyd_devices import Hdf5Detector, TiffDetector

SECONDS = 60.0  # far beyond what a busy machine needs for a frame


@pytest.fixture
def store(request, RE):
    opened_store = opened(request, "tiled sqlite")
    RE.subscribe(opened_store.insert)
    return opened_store


@pytest.mark.parametrize("det", ["swmr", "tiff"], indirect=True)
@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_each_frame_has_its_tags_while_the_scan_runs(RE, seen, tag, det, x, monitor, wait):
    det.cam.acquire_time.set(0.25).wait(10)
    tag(model=GradedModel(), wait=wait, deadline=SECONDS)
    RE(bp.scan([det, monitor], x, 0, 10, 6))
    seen.assert_scan_went_well(6)
    assert seen.statuses() == {"ok": 6}
    assert [row["p_ring"] for row in seen.rows()] == pytest.approx(
        [counts(at, 0.25) / 1000 for at in (0, 2, 4, 6, 8, 10)], abs=0.003
    )
    assert all(event["data"]["I0"] > 0 for event in seen.events("primary"))


@pytest.mark.parametrize("det", ["default"], indirect=True)
def test_with_areadetectors_default_the_frames_are_tagged_when_the_file_is_closed(
    RE, seen, tag, store, det, x, tmp_path, caplog
):
    tagger = tag(model=GradedModel(), catalog=store.catalog, backup=tmp_path, wait="point", deadline=SECONDS)
    (uid,) = RE(bp.scan([det], x, 0, 10, 6))
    seen.assert_scan_went_well(6)
    assert seen.statuses() == {"unreadable": 6}
    assert "stage `swmr_mode` before `capture`" in tagger.latest.reason
    end = time.monotonic() + 60
    while tagger.statistics.tagged_later < 6 and time.monotonic() < end:
        time.sleep(0.02)
    assert list(tags(store.runs[uid])["xtag_status"]) == ["ok"] * 6
    assert "h5clear" not in caplog.text


def test_two_hundred_frames_at_ten_a_second(RE, seen, tag, det):
    det.cam.acquire_time.set(0.1).wait(10)
    tagger = tag(deadline=SECONDS)
    RE(bp.count([det], 200))
    seen.assert_scan_went_well(200)
    assert seen.statuses() == {"ok": 200}
    assert tagger.frames == 200


def test_expose_until(RE, seen, tag, det, x):
    x.set(0).wait(20)
    tagger = tag(model=GradedModel(), wait="point", deadline=SECONDS)
    RE(expose_until([det], tagger, limits=(0.01, 1.0)))
    assert seen.stop()["exit_status"] == "success"
    assert seen.statuses().keys() == {"ok"}
    assert [row["tags"] for row in seen.rows()] == ["weak_scattering", ""]


def test_skip_empty(RE, seen, tag, det, x):
    tagger = tag(model=GradedModel(), wait="point", deadline=SECONDS)
    det.cam.acquire_time.set(0.5).wait(10)
    RE(skip_empty(bp.scan([det], x, 0, 10, 3), tagger, 0.05, empty="weak_scattering"))
    assert seen.stop()["exit_status"] == "success"
    exposures = [event["data"]["det_cam_acquire_time"] for event in seen.events("primary")]
    assert exposures == [0.05, 0.05, 0.05, 0.5]  # only the last place counts enough for a second look
    assert seen.statuses() == {"ok": 4}


def test_tag_adaptive_scan(RE, seen, tag, det, x):
    from bluesky_xtag.simulate.epics.ophyd_devices import epics_motor

    y = epics_motor("y")
    y.wait_for_connection(timeout=20)
    tagger = tag(model=GradedModel(), wait="point", deadline=SECONDS)
    RE(tag_adaptive_scan([det], tagger, "random", x, 0, 10, y, 0, 10, tag="ring", max_points=4))
    assert seen.stop()["exit_status"] == "success"
    assert seen.statuses() == {"ok": 4}


@pytest.mark.parametrize("det", ["swmr", "default", "tiff"], indirect=True)
def test_check_says_which_detector_has_to_change(tag, det, request):
    found = tag(model=GradedModel()).check(det)
    assert {finding.about for finding in found if finding.kind == "change"} == (
        {"SWMR"} if request.node.callspec.params["det"] == "default" else set()
    )
    assert "column 20, row 30" in "".join(map(str, found))


def test_an_hdf5_file_for_each_frame(RE, seen, tag, beamline, tmp_path):
    from ophyd.areadetector import ADComponent
    from ophyd.areadetector.filestore_mixins import FileStoreHDF5SingleIterativeWrite
    from ophyd.areadetector.plugins import HDF5Plugin_V34

    from bluesky_xtag.simulate.epics.ophyd_devices import Hdf5Detector

    class Single(HDF5Plugin_V34, FileStoreHDF5SingleIterativeWrite):
        pass

    class Detector(Hdf5Detector):
        hdf5 = ADComponent(Single, "HDF1:", write_path_template=str(tmp_path))

    det = Detector("XTAG:", name="single", read_attrs=["hdf5"])
    det.hdf5.read_attrs = []
    det.hdf5.enable.wait_for_connection(timeout=20)
    tagger = tag(model=GradedModel(), deadline=SECONDS)
    assert [finding for finding in tagger.check(det) if finding.kind == "change"] == []
    RE(bp.count([det], 3))
    assert seen.statuses() == {"ok": 3}
    assert len(list(tmp_path.glob("*.h5"))) == 3


@pytest.mark.parametrize(("place", "make"), [("missing", 0), ("file", -3), ("/proc", 0)])
def test_a_file_that_cannot_be_opened_ends_the_scan_with_the_reason_at_hand(
    RE, seen, tag, det, tmp_path, monkeypatch, place, make
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(det.hdf5, "write_path_template", str(tmp_path / place))  # a path from the root stays itself
    monkeypatch.setitem(det.hdf5.stage_sigs, "create_directory", make)
    monkeypatch.setattr(det.hdf5.capture, "_write_timeout", 1.0)
    det.hdf5.create_directory.put(make)
    with pytest.raises(Exception, match="capture.*timed out after 1.0 seconds. Current value is 0"):
        RE(bp.count([det]))
    assert (det.hdf5.capture.get(), det.hdf5.write_status.get(as_string=True)) == (0, "Write error")
    assert f"Error opening file {tmp_path / place}" in det.hdf5.write_message.get()
    assert det.hdf5.file_path_exists.get() == (place == "/proc")
    answered = threading.Event()  # a client that waits for its put
    det.hdf5.file_write_mode.set("Stream").wait(10)
    det.hdf5.capture.put(1, use_complete=True, callback=lambda **_: answered.set())
    assert answered.wait(10)
    det.hdf5.file_write_mode.set("Single").wait(10)
    monkeypatch.undo()
    det.hdf5.create_directory.put(0)
    tag(model=GradedModel(), deadline=SECONDS)
    RE(bp.count([det]))
    assert seen.statuses() == {"ok": 1} and det.hdf5.write_message.get() == ""


def test_a_file_that_is_opened_lazily_is_never_found_with_ophyd(RE, seen, tag, beamline, tmp_path):
    """ophyd 1.11 takes the number of the file before it is opened; `check` says so."""
    from bluesky_xtag.simulate.epics.ophyd_devices import epics_detector

    det = epics_detector(tmp_path, "lazy")
    det.hdf5.stage_sigs["lazy_open"] = "Yes"
    det.hdf5.stage_sigs.move_to_end("capture")
    tagger = tag(model=GradedModel(), deadline=0.3)
    (finding,) = [finding for finding in tagger.check(det) if finding.kind == "change"]
    assert "number -1" in finding.text
    RE(bp.count([det], 1))
    assert [path.name[-10:] for path in tmp_path.glob("*.h5")] == ["_000000.h5"[-10:]]
    assert "_-000001.h5 does not exist yet" in tagger.latest.reason


@pytest.mark.parametrize("detector", [Hdf5Detector, TiffDetector])
def test_an_exposure_that_is_over_before_trigger_returns_is_a_point_like_others(monkeypatch, detector):
    monkeypatch.setattr(SingleTrigger, "trigger", lambda self: None)  # what ophyd returns then
    status = detector.trigger(object.__new__(detector))
    status.wait(5)
    assert status.success
