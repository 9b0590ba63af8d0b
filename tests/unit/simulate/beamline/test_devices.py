import bluesky.plan_stubs as bps
import bluesky.plans as bp
import h5py
import hdf5plugin
import numpy as np
import pytest
from bluesky.utils import FailedStatus
from support.exposures import Broken, Held, Numbered

from bluesky_xtag import XTagError
from bluesky_xtag.simulate import PhotonCounter, motor
from bluesky_xtag.simulate.beamline.swmr_writer import DATASET


@pytest.fixture
def beamline(tmp_path):
    def beamline(exposures):
        x, y = motor("x", delay=0.0), motor("y", delay=0.0)
        return PhotonCounter(name="det", exposures=exposures, x=x, y=y, directory=tmp_path, exposure=0.0), x, y

    return beamline


def test_documents_refer_to_frames_as_area_detector_does(RE, seen, beamline):
    det, x, _ = beamline(Numbered())
    RE(bp.scan([det], x, 0, 2, 3))
    (descriptor,) = seen.of("descriptor")
    key = descriptor["data_keys"]["det_image"]
    assert (key["shape"], key["dtype_numpy"]) == ([1, 12, 10], "<i4")
    assert key["external"]
    settings = descriptor["configuration"]["det"]["data"]
    assert (settings["det_cam_beam_center_x"], settings["det_cam_beam_center_y"]) == (4.5, 6.0)
    (resource,) = seen.of("resource")
    assert resource["spec"] == "AD_HDF5_SWMR"
    assert resource["resource_kwargs"] == {"frame_per_point": 1}
    assert [datum["datum_kwargs"] for datum in seen.of("datum")] == [{"point_number": number} for number in range(3)]
    assert [event["data"]["det_image"] for event in seen.of("event")] == [
        datum["datum_id"] for datum in seen.of("datum")
    ]
    assert [event["data"]["det_total"] for event in seen.of("event")] == [0, 119, 238]


def test_each_frame_can_be_read_while_the_scan_goes_on(RE, beamline, tmp_path):
    det, x, _ = beamline(Numbered())
    frames = []

    def read(name, doc):
        (path,) = tmp_path.glob("*.h5")
        with h5py.File(path, "r", libver="latest", swmr=True) as file:
            data = file[DATASET]
            assert data.chunks == (1, 12, 10)
            assert data._filters.keys() == {str(hdf5plugin.Bitshuffle.filter_id)}
            frames.append(data[:, 5, 5].tolist())

    RE.subscribe(read, "event")
    RE(bp.scan([det], x, 1, 3, 3))
    assert frames == [[1], [1, 2], [1, 2, 3]]


def test_each_staging_begins_a_file(RE, beamline, tmp_path):
    det, _, _ = beamline(Numbered())
    RE(bp.count([det]))
    RE(bp.count([det], 2))
    lengths = []
    for path in tmp_path.glob("*.h5"):
        with h5py.File(path) as file:
            lengths.append(file[DATASET].shape[0])
    assert sorted(lengths) == [1, 2]


def test_trigger_returns_before_the_exposure_ends(beamline):
    exposures = Held()
    det, _, _ = beamline(exposures)
    det.stage()
    status = det.trigger()
    assert not status.done
    exposures.released.set()
    status.wait(10)
    assert status.success
    det.unstage()


def test_a_failing_detector_fails_the_plan_with_its_reason(RE, beamline):
    det, _, _ = beamline(Broken())
    with pytest.raises(FailedStatus) as failure:
        RE(bp.count([det]))
    assert "no high voltage" in str(failure.value.__cause__) + str(failure.value.args)


def test_an_unstaged_detector_says_what_to_do(RE, beamline):
    det, _, _ = beamline(Numbered())
    with pytest.raises(XTagError, match="det is not staged"):
        RE(bps.trigger_and_read([det]))


def test_a_varying_beam_centre_is_part_of_each_reading(RE, seen, beamline):
    class Wandering(Numbered):
        fixed_beam = False

        def beam_centre(self, x, y):
            return (x, 2.0) if x < 2 else None

    det, x, _ = beamline(Wandering())
    RE(bp.scan([det], x, 1, 2, 2))
    columns = [event["data"]["det_cam_beam_center_x"] for event in seen.of("event")]
    assert columns[0] == 1.0
    assert np.isnan(columns[1])
    assert "det_cam_beam_center_x" not in seen.of("descriptor")[0]["configuration"]["det"]["data"]


def test_a_frame_that_no_event_took_leaves_nothing_for_the_next_run(RE, seen, beamline):
    det, _, _ = beamline(Numbered())

    def aborted():
        yield from bps.stage(det)
        yield from bps.open_run()
        yield from bps.trigger(det, wait=True)
        raise RuntimeError("between a trigger and its event")

    with pytest.raises(RuntimeError):
        RE(aborted())
    RE(bp.count([det]))
    (resource,) = seen.of("resource")
    (datum,) = seen.of("datum")
    assert datum["resource"] == resource["uid"] and datum["datum_kwargs"] == {"point_number": 0}
