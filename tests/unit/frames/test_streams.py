"""Streamed resources become frames, with and without events."""

from concurrent.futures import ThreadPoolExecutor

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices
from ophyd_async.sim import PatternGenerator, SimBlobDetector
from support.frames_fixtures import (
    DATA,
    STREAMED,
    Documents,
    Seen,
    assert_never,
    frames_of,
    numbered,
    streamed,
    write_file,
)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as executor:
        yield executor


class NumberedPattern(PatternGenerator):
    """Each image is brighter than the one before."""

    def generate_point(self, channel=1, high_energy=False):
        return (self._get_file().image_counter + 1) / 20 / self._exposure


def blob_detector(tmp_path):
    with init_devices():
        det = SimBlobDetector(StaticPathProvider(UUIDFilenameProvider(), tmp_path), NumberedPattern())
    return det


def images_in(tmp_path):
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        return file[DATA][()]


def test_ophyd_async_step_scan(RE, tmp_path, pool):  # noqa: N803
    det = blob_detector(tmp_path)
    seen = Seen(pool)
    RE(bp.count([det], 4), seen)
    assert seen.where() == [("det", s, 0) for s in (1, 2, 3, 4)]
    datums = [doc["uid"] for name, doc in seen.documents if name == "stream_datum"]
    assert [frame.id.event for frame in seen.frames] == datums[::2]
    np.testing.assert_array_equal(seen.pixels(), images_in(tmp_path))
    assert len(np.unique(seen.pixels(), axis=0)) == 4


@pytest.mark.parametrize("per_event", [1, 2])
def test_ophyd_async_fly_scan_without_events(RE, tmp_path, pool, per_event):  # noqa: N803
    det = blob_detector(tmp_path)
    trigger = TriggerInfo(number_of_events=6, collections_per_event=per_event, livetime=0.02)

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def fly():
        yield from bps.prepare(det, trigger, wait=True)
        yield from bps.declare_stream(det, name="fly", collect=True)
        yield from bps.kickoff(det, wait=True)
        yield from bps.collect_while_completing([det], [det], flush_period=0.05, stream_name="fly")

    seen = Seen(pool)
    RE(fly(), seen)
    assert not [name for name, _ in seen.documents if name.startswith("event")]
    assert seen.where() == [("det", s, i) for s in range(1, 7) for i in range(per_event)]
    assert {frame.id.stream for frame in seen.frames} == {"fly"}
    np.testing.assert_array_equal(seen.pixels(), images_in(tmp_path))


@pytest.mark.parametrize("layout", [(6, 24, 32), (3, 2, 24, 32), (6, 1, 24, 32)])
@pytest.mark.parametrize("data_key", [{"shape": [2, 24, 32]}, {"shape": [1, 24, 32], "multiplier": 2}])
def test_multi_frame_stream_in_either_join(tmp_path, layout, data_key):
    path = write_file(tmp_path / "a.h5", numbered(6).reshape(layout))
    parameters = {key: data_key[key] for key in data_key if key == "multiplier"}
    frames = streamed(path.as_uri(), STREAMED | {"shape": data_key["shape"]}, 1, 3, **parameters)
    found = [(f.id.seq_num, f.id.index, f.pixels()[1, 1]) for f in frames]
    assert found == [(2, 0, 2), (2, 1, 3), (3, 0, 4), (3, 1, 5)]


def test_old_stream_resource_of_ophyd_async(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(2), dataset="/old/data")
    run = Documents()
    bundle = run.descriptor({"det": STREAMED | {"shape": [24, 32]}})
    resource = run.stream_resource("file://localhost/a.h5")
    document = run.all[-1][1]
    del document["uri"], document["mimetype"], document["parameters"]
    document |= {
        "spec": "AD_HDF5_SWMR_SLICE",
        "root": str(tmp_path),
        "resource_path": path.name,
        "resource_kwargs": {"path": "/old/data", "multiplier": 1},
    }
    run.stream_datum(resource, bundle, 0, 2)
    assert [frame.pixels()[1, 1] for frame in frames_of(run.all)] == [0, 1]


def test_file_name_with_blanks(tmp_path):
    path = write_file(tmp_path / "a b%.h5", numbered(1))
    assert streamed(path.as_uri())[0].pixels().shape == (24, 32)


def test_stream_datum_without_its_resource_is_reported(caplog):
    run = Documents()
    bundle = run.descriptor({"det": STREAMED})
    run.stream_datum(run.stream_resource("file://localhost/a.h5"), bundle, 0, 1)
    (frame,) = frames_of([doc for doc in run.all if doc[0] != "stream_resource"])
    assert_never(frame, "no stream_resource .* came before")


def test_stream_datum_without_its_resource_that_may_be_of_two_keys_is_said(caplog):
    run = Documents()
    bundle = run.descriptor({"det": STREAMED, "other": STREAMED})
    run.stream_datum(run.stream_resource("file://localhost/a.h5"), bundle, 0, 1)
    assert frames_of([doc for doc in run.all if doc[0] != "stream_resource"]) == []
    assert "Frames are lost" in caplog.text
