"""Documents of every flavour become frames, one for each image, in order."""

import itertools
import json
import logging
import os
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from event_model import NumpyEncoder, pack_datum_page, pack_event_page
from frames_fixtures import COMPRESSIONS, DATA, Documents, Hdf5Detector, Seen, frames_of, numbered, write_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ophyd import Component, Device, Signal
from ophyd.sim import SynSignal, SynSignalWithRegistry
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices
from ophyd_async.sim import PatternGenerator, SimBlobDetector

from bluesky_xtag.errors import FrameError, FrameNotReady, XTagValueError
from bluesky_xtag.frames import FrameAssembler
from bluesky_xtag.frames.data_keys import images_and_size, is_image

ENVIRONMENT = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
IMAGE = {"shape": [24, 32]}
EXTERNAL = IMAGE | {"external": "FILESTORE:"}
STREAMED = {"shape": [1, 24, 32], "external": "STREAM:", "dtype_numpy": "<u2"}


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def assert_never(frame, match):
    with pytest.raises(FrameError, match=match) as caught:
        frame.pixels()
    assert not isinstance(caught.value, FrameNotReady)


def inline(value, data_key=IMAGE, **arguments):
    """Return the frames of one event that holds a value."""
    run = Documents()
    run.event(run.descriptor({"det": data_key}), {"det": value})
    return frames_of(run.all, **arguments)


def streamed(uri, data_key=STREAMED, start=0, stop=1, mimetype="application/x-hdf5", **parameters):
    """Return the frames of one stream_datum."""
    run = Documents()
    bundle = run.descriptor({"det": data_key})
    run.stream_datum(run.stream_resource(uri, mimetype=mimetype, **parameters), bundle, start, stop)
    return frames_of(run.all)


def stored(path, data_key=EXTERNAL, spec="AD_HDF5", datum_kwargs=None, **resource_kwargs):
    """Return the frames of one event that refers to a datum."""
    run = Documents()
    bundle = run.descriptor({"det": data_key})
    datum_id = run.datum(run.resource(path, spec, **resource_kwargs), **(datum_kwargs or {"point_number": 0}))
    run.event(bundle, {"det": datum_id}, filled={"det": False})
    return frames_of(run.all)


# --- arrays inside the events


@pytest.mark.parametrize("leading", [(), (3,), (3, 1), (2, 2)])
def test_scan_with_arrays_in_its_events(RE, leading):  # noqa: N803
    count = itertools.count()
    per_event = int(np.prod(leading))

    def image():
        return numbered(per_event, first=per_event * next(count)).reshape(*leading, 24, 32)

    detector = SynSignal(func=image, name="det")
    first = next(count) * per_event  # ophyd takes a value when it makes the signal
    seen = Seen()
    (run,) = RE(bp.count([detector], 3), seen)
    assert seen.where() == [("det", s, i) for s in (1, 2, 3) for i in range(per_event)]
    assert {(frame.run, frame.stream, frame.beam_centre) for frame in seen.frames} == {(run, "primary", None)}
    events = {doc["seq_num"]: doc["uid"] for name, doc in seen.documents if name == "event"}
    assert all(frame.event == events[frame.seq_num] for frame in seen.frames)
    for frame, number in zip(seen.frames, itertools.count(first + per_event), strict=False):
        np.testing.assert_array_equal(frame.pixels(), numbered(1, first=number)[0])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "float32", ">u2"])
def test_dtypes_are_kept_in_native_byte_order(dtype):
    (frame,) = inline(numbered(1, dtype=dtype)[0])
    pixels = frame.pixels()
    assert pixels.dtype == np.dtype(dtype).newbyteorder("=") and pixels.dtype.isnative
    np.testing.assert_array_equal(pixels, numbered(1)[0])


def test_nested_lists_of_a_transported_document():
    frames = inline(numbered(3).tolist())
    assert [frame.pixels()[1, 1] for frame in frames] == [0, 1, 2]
    assert frames[0].pixels().shape == (24, 32)


def test_array_is_referred_to_and_not_copied():
    image = numbered(1)[0]
    assert np.shares_memory(inline(image)[0].pixels(), image)


def test_event_page():
    run = Documents()
    bundle = run.descriptor({"det": IMAGE, "x": {"dtype": "number", "shape": []}})
    events = [run.event(bundle, {"det": image, "x": 1.0}) for image in numbered(4)]
    frames = frames_of([*run.all[:2], ("event_page", pack_event_page(*events))])
    assert [(frame.event, frame.seq_num, frame.pixels()[1, 1]) for frame in frames] == [
        (event["uid"], event["seq_num"], number) for number, event in enumerate(events)
    ]


# --- resource and datum


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("per_point", [1, 3])
def test_scan_with_an_hdf5_file_read_while_it_is_written(RE, tmp_path, pool, compression, per_point):  # noqa: N803
    detector = Hdf5Detector(tmp_path, name="det", per_point=per_point, compression=compression)
    seen = Seen(pool)
    RE(bp.count([detector], 4), seen)
    assert seen.where() == [("det_image", s, i) for s in (1, 2, 3, 4) for i in range(per_point)]
    np.testing.assert_array_equal(seen.pixels(), numbered(4 * per_point))


@pytest.mark.parametrize("spec", ["AD_HDF5", "AD_HDF5_SWMR_STREAM", "AD_HDF5_SWMR_SLICE", "XTAG_HDF5"])
def test_every_spec_of_the_family_is_read_by_our_reader(RE, tmp_path, pool, spec):  # noqa: N803
    seen = Seen(pool)
    RE(bp.count([Hdf5Detector(tmp_path, name="det", spec=spec)], 2), seen)
    np.testing.assert_array_equal(seen.pixels(), numbered(2))


def test_scan_with_a_handler_of_another_package(RE, tmp_path, pool):  # noqa: N803
    count = itertools.count()
    detector = SynSignalWithRegistry(
        func=lambda: numbered(2, first=2 * next(count)), name="img", save_path=str(tmp_path)
    )
    seen = Seen(pool)
    RE(bp.count([detector], 3), seen)
    assert seen.where() == [("img", s, i) for s in (1, 2, 3) for i in (0, 1)]
    assert [image[1, 1] for image in seen.pixels()] == [2, 3, 4, 5, 6, 7]


def test_tiff_files_of_area_detector(tmp_path):
    import tifffile

    for number, image in enumerate(numbered(4)):
        tifffile.imwrite(tmp_path / f"a_{number:06d}.tiff", image)
    frames = stored(
        tmp_path,
        EXTERNAL | {"shape": [2, 24, 32]},
        "AD_TIFF",
        {"point_number": 1},
        template="%s%s_%6.6d.tiff",
        filename="a",
        frame_per_point=2,
    )
    assert [frame.pixels()[1, 1] for frame in frames] == [2, 3]


@pytest.mark.parametrize("spec", ["AD_EIGER", "AD_EIGER2", "AD_EIGER_SLICE"])
def test_eiger_series_over_two_data_files(tmp_path, spec):
    for part in (1, 2):
        images = numbered(2, first=2 * part)
        write_file(tmp_path / f"e_7_data_{part:06d}.h5", images, **COMPRESSIONS["bitshuffle"])
    with h5py.File(tmp_path / "e_7_master.h5", "w") as file:
        for part in (1, 2):
            file[f"/entry/data/data_{part:06d}"] = h5py.ExternalLink(f"e_7_data_{part:06d}.h5", DATA)
    frames = stored(tmp_path / "e", EXTERNAL | {"shape": [4, 24, 32]}, spec, {"seq_id": 7}, images_per_file=2)
    assert [frame.pixels()[1, 1] for frame in frames] == [2, 3, 4, 5]


def test_datum_page_and_event_page(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(5))
    run = Documents()
    bundle = run.descriptor({"det": EXTERNAL})
    resource = run.resource(path)
    run.all.append(("resource", resource.resource_doc))
    datums = [resource.compose_datum(datum_kwargs={"point_number": number}) for number in (4, 0, 2)]
    events = [
        bundle.compose_event(data={"det": datum["datum_id"]}, timestamps={"det": 0.0}, filled={"det": False})
        for datum in datums
    ]
    run.all += [("datum_page", pack_datum_page(*datums)), ("event_page", pack_event_page(*events))]
    assert [frame.pixels()[1, 1] for frame in frames_of(run.all)] == [4, 0, 2]


def test_external_key_that_is_filled_already():
    (frame,) = inline(numbered(1)[0], EXTERNAL)
    assert frame.pixels().shape == (24, 32)


def test_resource_without_run_start(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(2))
    run = Documents()
    bundle = run.descriptor({"det": EXTERNAL})
    resource = run.resource(path)
    del run.all[-1][1]["run_start"]
    run.event(bundle, {"det": run.datum(resource, point_number=1)}, filled={"det": False})
    assert frames_of(run.all)[0].pixels()[1, 1] == 1


def test_one_staging_for_two_runs(RE, tmp_path, pool):  # noqa: N803
    detector = Hdf5Detector(tmp_path, name="det")

    @bpp.stage_decorator([detector])
    def plan():
        for _ in range(2):
            yield from bpp.run_wrapper(bps.trigger_and_read([detector]))

    seen = Seen(pool)
    RE(plan(), seen)
    np.testing.assert_array_equal(seen.pixels(), numbered(2))


def test_device_read_twice_after_one_trigger(RE, tmp_path, pool):  # noqa: N803
    detector = Hdf5Detector(tmp_path, name="det")

    @bpp.stage_decorator([detector])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([detector])
        yield from bps.create()
        yield from bps.read(detector)
        yield from bps.save()

    seen = Seen(pool)
    RE(plan(), seen)
    assert [image[1, 1] for image in seen.pixels()] == [0, 0]


def test_late_file(tmp_path):
    (frame,) = stored(tmp_path / "late.h5")
    with pytest.raises(FrameNotReady, match="does not exist yet"):
        frame.pixels()
    write_file(tmp_path / "late.h5", numbered(1))
    np.testing.assert_array_equal(frame.pixels(), numbered(1)[0])


def test_late_file_of_a_foreign_handler(tmp_path):
    (frame,) = stored(tmp_path / "late", spec="NPY_SEQ", datum_kwargs={"index": 0})
    with pytest.raises(FrameNotReady, match="late_0.npy"):
        frame.pixels()
    np.save(tmp_path / "late_0.npy", numbered(1)[0])
    np.testing.assert_array_equal(frame.pixels(), numbered(1)[0])


def test_fewer_images_than_declared(tmp_path):
    np.save(tmp_path / "few_0.npy", numbered(2))
    frames = stored(tmp_path / "few", EXTERNAL | {"shape": [3, 24, 32]}, "NPY_SEQ", {"index": 0})
    assert [frame.pixels()[1, 1] for frame in frames[:2]] == [0, 1]
    with pytest.raises(FrameNotReady, match="holds 2 images"):
        frames[2].pixels()


def test_more_images_than_declared_are_reported_once(tmp_path, caplog):
    np.save(tmp_path / "many_0.npy", numbered(4))
    for _ in range(3):
        (frame,) = stored(tmp_path / "many", EXTERNAL, "NPY_SEQ", {"index": 0})
        assert frame.pixels()[1, 1] == 0
    assert ["first 1 of the 4" in record.getMessage() for record in caplog.records] == [True]


def test_frame_per_point_that_contradicts_the_shape_is_named(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(6))
    frames = stored(path, EXTERNAL | {"shape": [3, 24, 32]}, frame_per_point=1)
    assert frames[0].pixels()[1, 1] == 0
    assert_never(frames[1], "frame_per_point")


def test_frame_per_point_tells_the_images_where_the_shape_does_not(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(6))
    frames = stored(path, EXTERNAL, datum_kwargs={"point_number": 1}, frame_per_point=3)
    assert [frame.pixels()[1, 1] for frame in frames] == [3, 4, 5]


def test_unknown_spec_and_unknown_datum_never_come(tmp_path):
    assert_never(stored(tmp_path / "a", spec="NOBODY_KNOWS")[0], "NOBODY_KNOWS.*databroker.handlers")
    run = Documents()
    run.event(run.descriptor({"det": EXTERNAL}), {"det": "gone/0"}, filled={"det": False})
    assert_never(frames_of(run.all)[0], "gone/0")


# --- stream_resource and stream_datum


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
    assert [frame.event for frame in seen.frames] == datums[::2]
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
    assert {frame.stream for frame in seen.frames} == {"fly"}
    np.testing.assert_array_equal(seen.pixels(), images_in(tmp_path))


@pytest.mark.parametrize("layout", [(6, 24, 32), (3, 2, 24, 32), (6, 1, 24, 32)])
@pytest.mark.parametrize("data_key", [{"shape": [2, 24, 32]}, {"shape": [1, 24, 32], "multiplier": 2}])
def test_multi_frame_stream_in_either_join(tmp_path, layout, data_key):
    path = write_file(tmp_path / "a.h5", numbered(6).reshape(layout))
    parameters = {key: data_key[key] for key in data_key if key == "multiplier"}
    frames = streamed(path.as_uri(), STREAMED | {"shape": data_key["shape"]}, 1, 3, **parameters)
    assert [(f.seq_num, f.index, f.pixels()[1, 1]) for f in frames] == [(2, 0, 2), (2, 1, 3), (3, 0, 4), (3, 1, 5)]


def test_frame_numbers_agree_with_blueskys_consolidator(tmp_path):
    from bluesky.consolidators import consolidator_factory

    path = write_file(tmp_path / "a.h5", numbered(6))
    run = Documents()
    bundle = run.descriptor({"det": STREAMED | {"shape": [2, 24, 32]}})
    resource = run.stream_resource(f"file://localhost{path}")
    datum = run.stream_datum(resource, bundle, 0, 3)
    consolidator = consolidator_factory(resource.stream_resource_doc, bundle.descriptor_doc)
    consolidator.consume_stream_datum(datum)
    np.testing.assert_array_equal([f.pixels() for f in frames_of(run.all)], consolidator.get_adapter().read())


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


@pytest.mark.parametrize("mimetype", ["image/tiff", "application/x-npy"])
def test_image_sequences_through_blueskys_consolidators(tmp_path, mimetype):
    import tifffile

    for number, image in enumerate(numbered(3)):
        tifffile.imwrite(tmp_path / f"a_{number:06d}.tiff", image)
        np.save(tmp_path / f"a_{number}.npy", image)
    tiff = mimetype == "image/tiff"
    shape = [1, 24, 32] if tiff else [24, 32]
    parameters = {"template": "a_{:06d}.tiff", "chunk_shape": [1, 24, 32]} if tiff else {"filename": "a"}
    frames = streamed(
        f"{tmp_path.as_uri()}/", STREAMED | {"shape": shape}, 1, 4, f"multipart/related;type={mimetype}", **parameters
    )
    assert [frame.pixels()[1, 1] for frame in frames[:2]] == [1, 2]
    with pytest.raises(FrameNotReady, match="cannot be read yet"):
        frames[2].pixels()


def test_unreadable_formats_and_places_never_come(tmp_path):
    assert_never(streamed("http://localhost/a.h5")[0], "only file URIs")
    assert_never(streamed("file://localhost/a", mimetype="application/x-home-made")[0], "x-home-made")
    assert_never(streamed("file://localhost/a.h5", slice="(:, 0)")[0], "slice")


def test_stream_datum_without_its_resource_is_reported(caplog):
    run = Documents()
    bundle = run.descriptor({"det": STREAMED})
    run.stream_datum(run.stream_resource("file://localhost/a.h5"), bundle, 0, 1)
    assert frames_of([doc for doc in run.all if doc[0] != "stream_resource"]) == []
    assert "Frames are lost" in caplog.text


# --- what is no image


def test_wrong_shape_names_both():
    assert_never(inline(np.zeros((24, 33)))[0], r"\(24, 33\).*\(24, 32\)")


def test_width_and_height_may_be_declared_in_either_order():
    assert inline(numbered(1)[0].T)[0].pixels().shape == (32, 24)


@pytest.mark.parametrize("value", [np.zeros(32), np.zeros((24, 0)), np.zeros((0, 24, 32)), 5.0, [[1, 2], [3]]])
def test_value_that_is_no_image_never_comes(value):
    for frame in inline(value):
        assert_never(frame, "det|array")


def test_dtype_that_is_no_image_never_comes():
    assert_never(inline(np.zeros((24, 32), complex))[0], "complex128")


def test_one_dimensional_dataset_never_comes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[DATA] = np.arange(9)
    assert_never(stored(tmp_path / "a.h5")[0], r"\(9,\)")
    assert_never(streamed((tmp_path / "a.h5").as_uri())[0], r"\(9,\)")


def test_foreign_file_never_comes(tmp_path):
    (tmp_path / "a.h5").write_text("no HDF5 at all" * 99)
    assert_never(stored(tmp_path / "a.h5")[0], "not an HDF5 file")


# --- which keys and streams


@pytest.mark.parametrize(
    ("data_key", "expected"),
    [
        ({"dtype": "array", "shape": [10, 10]}, True),
        ({"dtype": "array", "shape": [5, 1, 619, 487]}, True),
        ({"dtype": "array", "shape": [195, 1475]}, True),
        ({"dtype": "array", "shape": [1024]}, False),
        ({"dtype": "array", "shape": [4, 4096]}, False),
        ({"dtype": "array", "shape": [16, 4096]}, False),
        ({"dtype": "number", "shape": []}, False),
        ({"dtype": "array", "shape": []}, False),
        ({"dtype": "array", "shape": [], "external": "FILESTORE:"}, True),
        ({"dtype": "array", "shape": [1, 0, 0], "external": "FILESTORE:"}, True),
        ({"dtype": "array", "shape": [None, 100, 100], "external": "FILESTORE:"}, True),
        ({"dtype": "array", "shape": [1024], "external": "FILESTORE:"}, False),
        ({"dtype": "number", "shape": [], "external": "STREAM:"}, False),
        ({"dtype": "array", "shape": [2], "external": "STREAM:"}, False),
    ],
)
def test_what_looks_like_an_image(data_key, expected):
    assert is_image(data_key) is expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([], (1, None)),
        ([7], (1, None)),
        ([5, 6], (1, (5, 6))),
        ([3, 5, 6], (3, (5, 6))),
        ([3, 1, 5, 6], (3, (5, 6))),
        ([3, 2, 5, 6], (6, (5, 6))),
        ([0, 5, 6], (1, (5, 6))),
        ([6, 5, 0], (1, (6, 5))),
        ([4, 0, 0], (4, None)),
        ([None, 5, 6], (1, (5, 6))),
    ],
)
def test_images_and_size_of_a_shape(shape, expected):
    assert images_and_size(shape) == expected


def test_all_image_keys_and_nothing_else():
    run = Documents()
    keys = {"saxs": IMAGE, "waxs": IMAGE, "x": {"dtype": "number", "shape": []}, "mca": {"shape": [4096]}}
    bundle = run.descriptor(keys)
    run.event(bundle, {"saxs": numbered(1)[0], "waxs": numbered(2), "x": 1.0, "mca": np.zeros(4096)})
    assert [(f.key, f.index) for f in frames_of(run.all)] == [("saxs", 0), ("waxs", 0), ("waxs", 1)]
    assert [f.key for f in frames_of(run.all, key="saxs")] == ["saxs"]
    assert [f.key for f in frames_of(run.all, key=["waxs", "saxs"])] == ["saxs", "waxs", "waxs"]
    assert_never(frames_of(run.all, key="mca")[0], r"\(4096,\)")


def test_streams():
    run = Documents()
    for name in ("baseline", "dark", "primary", "tags", "monitored"):
        run.event(run.descriptor({"det": IMAGE}, name), {"det": numbered(1)[0]})
    assert [frame.stream for frame in frames_of(run.all)] == ["primary", "monitored"]
    assert [frame.stream for frame in frames_of(run.all, streams=["dark", "primary"])] == ["dark", "primary"]
    assert frames_of(run.all, streams="tags") == []


def test_absent_key_is_named_once_with_the_known_ones(caplog):
    run = Documents()
    bundle = run.descriptor({"det_image": IMAGE, "x": {"dtype": "number", "shape": []}})
    for image in numbered(3):
        run.event(bundle, {"det_image": image, "x": 0.0})
    run.stop()
    assert frames_of(run.all, key="det_imgae") == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert all(part in record.getMessage() for part in (run.uid, "det_imgae", "det_image, x"))
    caplog.clear()
    frames_of(run.all, key=["det_image", "other"])
    frames_of(run.all, key="x")
    assert not caplog.records


# --- the beam centre


def centre(data_keys=(), configuration=None, metadata=None, event=None, image="pil_image", **arguments):
    """Return the beam centre of a detector `pil` beside a detector `eig`, from what the documents say."""
    run = Documents(**(metadata or {}))
    scalars = {key: {"dtype": "number", "shape": []} for key in event or {}}
    owner = {"pil": ["pil_image"], "eig": ["eig_image"]}
    for key in scalars:
        owner.setdefault(key.split("_")[0], []).append(key)
    bundle = run.descriptor(
        {"pil_image": IMAGE, "eig_image": IMAGE} | scalars, owner=owner, configuration=configuration
    )
    run.event(bundle, {"pil_image": numbered(1)[0], "eig_image": numbered(1)[0]} | (event or {}))
    return next(frame.beam_centre for frame in frames_of(run.all, **arguments) if frame.key == image)


@pytest.mark.parametrize("prefix", ["", "cam_", "pil_", "pil_cam_", "pil-driver-", "pil_image_"])
@pytest.mark.parametrize("word", ["beam_center", "beam_centre"])
def test_beam_centre_under_every_name(prefix, word):
    pair = {f"{prefix}{word}_x": 11.5, f"{prefix}{word}_y": 7}
    assert centre(configuration={"pil": pair}) == (11.5, 7.0)
    assert centre(metadata=pair) == (11.5, 7.0)
    assert centre(event=pair) == (11.5, 7.0)
    assert centre() is None


def test_beam_centre_of_the_event_goes_before_the_configuration_and_that_before_the_start():
    names = "pil_cam_beam_center_x", "pil_cam_beam_center_y"
    places = [{"event": 1}, {"configuration": 2}, {"metadata": 3}]

    def say(given):
        place = {k: dict.fromkeys(names, float(v)) for one in given for k, v in one.items()}
        if "configuration" in place:
            place["configuration"] = {"pil": place["configuration"]}
        return centre(**place)

    assert [say(places[start:]) for start in range(3)] == [(1, 1), (2, 2), (3, 3)]


def test_beam_centre_of_zeros_is_not_set():
    zeros = {"pil_beam_center_x": 0, "pil_beam_center_y": 0}
    assert centre(configuration={"pil": zeros}) is None
    assert centre(configuration={"pil": zeros}, metadata={"beam_center_x": 3, "beam_center_y": 4}) == (3, 4)
    assert centre(event={"pil_beam_center_x": 0.0, "pil_beam_center_y": 8.0}) == (0.0, 8.0)


@pytest.mark.parametrize("bad", ["", None, float("nan"), [1, 2]])
def test_beam_centre_that_is_no_number_is_unknown(bad):
    assert centre(metadata={"beam_center_x": bad, "beam_center_y": 4.0}) is None


def test_beam_centre_of_another_detector_is_never_taken():
    pair = {"eig_cam_beam_center_x": 5.0, "eig_cam_beam_center_y": 6.0}
    for said in ({"event": pair}, {"configuration": {"eig": pair}}, {"metadata": pair}):
        assert centre(**said) is None
        assert centre(**said, image="eig_image") == (5, 6)
    unprefixed = {"beam_center_x": 5.0, "beam_center_y": 6.0}
    assert centre(configuration={"eig": unprefixed}) is None
    assert centre(configuration={"eig": unprefixed}, image="eig_image") == (5, 6)


def test_beam_centre_by_argument():
    assert centre(beam_centre=(3, 4)) == (3.0, 4.0)
    names = ("pil_cam_beam_x", "pil_cam_beam_y")
    pair = dict(zip(names, (8, 9), strict=True))
    for said in ({"event": pair}, {"configuration": {"pil": pair}}, {"metadata": pair}):
        assert centre(**said, beam_centre=names) == (8, 9)
    assert centre(metadata={"beam_center_x": 1, "beam_center_y": 2}, beam_centre=names) is None


@pytest.mark.parametrize("wrong", ["beam", (1,), (1, "y"), (1, None), (float("nan"), 2), 5])
def test_wrong_beam_centre_argument(wrong):
    with pytest.raises((XTagValueError, TypeError)):
        FrameAssembler(beam_centre=wrong)


def test_beam_centre_of_an_ophyd_device_and_of_a_stream(RE, tmp_path):  # noqa: N803
    class Cam(Device):
        beam_center_x = Component(Signal, value=100.5, kind="config")
        beam_center_y = Component(Signal, value=80.25, kind="config")

    class Detector(Hdf5Detector):
        cam = Component(Cam, "")

    seen = Seen()
    detector = Detector(tmp_path, name="pil", read_attrs=[], configuration_attrs=["cam"])
    RE(bp.count([detector]), seen)
    assert [frame.beam_centre for frame in seen.frames] == [(100.5, 80.25)]
    run = Documents(beam_center_x=9, beam_center_y=10)
    bundle = run.descriptor({"det": STREAMED})
    run.stream_datum(run.stream_resource("file://localhost/a.h5"), bundle, 0, 2)
    assert [frame.beam_centre for frame in frames_of(run.all)] == [(9, 10)] * 2


# --- runs


def test_interleaved_runs(RE, tmp_path, pool):  # noqa: N803
    left, right = (Hdf5Detector(tmp_path, name=name) for name in ("left", "right"))

    def one(detector, key):
        return bpp.set_run_key_wrapper(bps.trigger_and_read([detector]), key)

    @bpp.stage_decorator([left, right])
    def plan():
        for key in ("a", "b"):
            yield from bpp.set_run_key_wrapper(bps.open_run(), key)
        for _ in range(3):
            yield from one(left, "a")
            yield from one(right, "b")
        for key in ("a", "b"):
            yield from bpp.set_run_key_wrapper(bps.close_run(), key)

    seen = Seen(pool)
    runs = RE(plan(), seen)
    assert [(f.run, f.key, f.seq_num) for f in seen.frames] == [
        (run, f"{name}_image", s) for s in (1, 2, 3) for run, name in zip(runs, ("left", "right"), strict=True)
    ]
    assert [image[1, 1] for image in seen.pixels()] == [0, 0, 1, 1, 2, 2]


def state(assembler):
    """Return all that an assembler holds."""
    return {name: value for name, value in vars(assembler).items() if isinstance(value, dict) and value}


def test_state_goes_with_the_run_and_frames_stay_readable(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(3))
    run = Documents()
    bundle = run.descriptor({"det": EXTERNAL, "streamed": STREAMED})
    resource = run.resource(path)
    unused = run.datum(resource, point_number=2)
    run.event(bundle, {"det": run.datum(resource, point_number=1)}, filled={"det": False})
    run.stream_datum(run.stream_resource(path.as_uri(), key="streamed"), bundle, 0, 1)
    run.stop()
    for end in ("stop", "forget"):
        assembler = FrameAssembler()
        frames = [frame for name, doc in run.all[:-1] for frame in assembler(name, doc)]
        assert unused in str(state(assembler))
        assembler("stop", run.all[-1][1]) if end == "stop" else assembler.forget(run.uid)
        assert state(assembler).keys() <= {"_resources", "_used"}, "the newest few of these are kept"
        assert [frame.pixels()[1, 1] for frame in frames] == [1, 0]
    FrameAssembler().forget("never heard of it")


def test_used_documents_do_not_pile_up(tmp_path):
    run = Documents()
    bundle = run.descriptor({"det": EXTERNAL}, name="dark")
    assembler = FrameAssembler()
    for name, doc in run.all:
        assembler(name, doc)
    for point in range(1000):
        resource = run.resource(tmp_path / f"{point}.h5")
        datum = resource.compose_datum(datum_kwargs={"point_number": 0}, validate=False)
        event = bundle.compose_event(
            data={"det": datum["datum_id"]}, timestamps={"det": 0.0}, filled={"det": False}, validate=False
        )
        for name, doc in (("resource", resource.resource_doc), ("datum", datum), ("event", event)):
            assembler(name, doc)
    assert max(len(held) for held in state(assembler).values()) <= 256


def test_documents_of_a_run_joined_late_are_no_error():
    run = Documents()
    run.event(run.descriptor({"det": IMAGE}), {"det": numbered(1)[0]})
    run.stop()
    assert len(frames_of(run.all[1:])) == 1
    assert frames_of(run.all[2:]) == []


# --- any mix of documents


FLAVOURS = ("event", "event_page", "datum", "datum_page", "stream", "json")


@pytest.fixture(scope="module")
def many_images(tmp_path_factory):
    return write_file(tmp_path_factory.mktemp("many") / "a.h5", numbered(64, (10, 12)))


@st.composite
def runs(draw):
    """A few runs, each a list of (flavour, images per event, number of events), and the order that interleaves them."""
    step = st.tuples(st.sampled_from(FLAVOURS), st.integers(1, 3), st.integers(1, 3))
    steps = draw(st.lists(st.lists(step, max_size=4), min_size=1, max_size=3))
    return steps, draw(st.randoms(use_true_random=False))


def run_of(steps, path):
    """Return the documents of a run, and (key, seq_num, index, number shown) of each of its images."""
    run = Documents()
    run.resource(path)
    taken = itertools.count()
    expected = []
    bundles, resources, seq_nums = {}, {}, {}
    for flavour, images, events in steps:
        name = f"{flavour}_{images}"
        external = {"datum": "FILESTORE:", "datum_page": "FILESTORE:", "stream": "STREAM:"}.get(flavour)
        if name not in bundles:
            data_key = {"shape": [images, 10, 12], "dtype_numpy": "<u2"} | ({"external": external} if external else {})
            bundles[name] = run.descriptor({name: data_key}, name=name)
            if external == "FILESTORE:":
                resources[name] = run.resource(path, frame_per_point=images)
            elif external:
                resources[name] = run.stream_resource(path.as_uri(), key=name)
            resources[name, "used"] = 0
        bundle, used = bundles[name], resources[name, "used"]
        resources[name, "used"] += events
        first = seq_nums.get(name, 1)
        seq_nums[name] = first + events
        starts = [images * (used + n) for n in range(events)] if external else [next(taken) for _ in range(events)]
        expected += [
            (name, first + n, index, start + index) for n, start in enumerate(starts) for index in range(images)
        ]
        if flavour == "stream":
            run.stream_datum(resources[name], bundle, used, used + events, first)
            continue
        values = [numbered(images, (10, 12), first=start) for start in starts]
        if external:
            datums = [resources[name].compose_datum(datum_kwargs={"point_number": used + n}) for n in range(events)]
            documents = (
                [("datum_page", pack_datum_page(*datums))] if "page" in flavour else [("datum", d) for d in datums]
            )
            run.all += documents
            values = [datum["datum_id"] for datum in datums]
        filled = {name: False} if external else {}
        composed = [bundle.compose_event(data={name: value}, timestamps={name: 0.0}, filled=filled) for value in values]
        if "page" in flavour:
            run.all.append(("event_page", pack_event_page(*composed)))
        elif flavour == "json":
            run.all += [("event", json.loads(json.dumps(event, cls=NumpyEncoder))) for event in composed]
        else:
            run.all += [("event", event) for event in composed]
    run.stop()
    return run, expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs())
def test_any_mix_of_documents_gives_one_frame_per_image_in_order(many_images, drawn):
    steps, random = drawn
    made = [run_of(run_steps, many_images) for run_steps in steps]
    waiting = [list(run.all) for run, _ in made]
    assembler = FrameAssembler()
    frames = []
    while any(waiting):
        name, doc = random.choice([documents for documents in waiting if documents]).pop(0)
        frames += assembler(name, doc)
    for run, expected in made:
        mine = [frame for frame in frames if frame.run == run.uid]
        assert [(f.key, f.seq_num, f.index, int(f.pixels()[1, 1])) for f in mine] == expected
    assert len(frames) == sum(len(expected) for _, expected in made)


def test_handlers_are_found_without_databroker(tmp_path):
    np.save(tmp_path / "a_0.npy", numbered(1)[0])
    script = (
        "import sys, pathlib\n"
        "from test_frames import stored, EXTERNAL\n"
        "before = set(sys.modules)\n"
        f"(frame,) = stored(pathlib.Path({str(tmp_path / 'a')!r}), spec='NPY_SEQ', datum_kwargs={{'index': 0}})\n"
        "assert frame.pixels().shape == (24, 32)\n"
        "assert not {'databroker', 'tiled', 'tensorflow'} & (set(sys.modules) - before)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=pathlib.Path(__file__).parent, check=True, env=ENVIRONMENT)
