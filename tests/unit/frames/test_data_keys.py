"""Which data keys and streams hold images, and what is no image."""

import logging

import h5py
import numpy as np
import pytest
from support.frames_fixtures import DATA, IMAGE, Documents, assert_never, frames_of, inline, numbered, stored, streamed

from bluesky_xtag.frames import images_and_size
from bluesky_xtag.frames.data_keys import is_image


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
    assert [(f.id.key, f.id.index) for f in frames_of(run.all)] == [("saxs", 0), ("waxs", 0), ("waxs", 1)]
    assert [f.id.key for f in frames_of(run.all, key="saxs")] == ["saxs"]
    assert [f.id.key for f in frames_of(run.all, key=["waxs", "saxs"])] == ["saxs", "waxs", "waxs"]
    assert_never(frames_of(run.all, key="mca")[0], r"\(4096,\)")


def test_streams():
    run = Documents()
    for name in ("baseline", "dark", "primary", "tags", "monitored"):
        run.event(run.descriptor({"det": IMAGE}, name), {"det": numbered(1)[0]})
    assert [frame.id.stream for frame in frames_of(run.all)] == ["primary", "monitored"]
    assert [frame.id.stream for frame in frames_of(run.all, streams=["dark", "primary"])] == ["dark", "primary"]
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


def test_where_a_declared_size_is_wrong_the_pixels_win_and_it_is_said_once_a_run(caplog):
    (frame,) = inline(np.zeros((24, 33)))
    for _ in range(2):
        assert frame.pixels().shape == (24, 33)
    (record,) = caplog.records
    assert "(24, 33)" in record.getMessage() and "declares (24, 32)" in record.getMessage()


def test_a_size_that_no_binning_explains_is_refused():
    assert_never(inline(np.zeros((2400, 3200), np.uint8))[0], r"\(2400, 3200\).*\(24, 32\).*no binning")
    assert_never(inline(np.zeros((1, 2)))[0], r"\(1, 2\).*\(24, 32\)")


@pytest.mark.parametrize(
    ("shape", "count", "size"),
    [
        ((24, 32), 1, (24, 32)),
        ((None, 24, 32), 1, (24, 32)),
        ((-1, 24, 32), 1, (24, 32)),
        ((0, 24, 32), 1, (24, 32)),
        ((3, 24, 32), 3, (24, 32)),
        ((32, 24, 0), 1, (32, 24)),
        ((24, 32, 3), 1, (24, 32)),
        ((5, 24, 32, 4), 5, (24, 32)),
        ((3, 9, 3), 3, (9, 3)),
        (("rows", "columns"), 1, None),
        ((-1, -1), 1, None),
        ((), 1, None),
        ("24, 32", 1, None),
    ],
)
def test_what_a_declared_shape_says(shape, count, size):
    assert images_and_size(shape) == (count, size)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_colours_of_a_pixel_are_added_up_and_transparency_is_none(dtype):
    colours = np.random.default_rng(0).integers(0, 255, (24, 32, 4)).astype(dtype)
    (frame,) = inline(colours, {"dtype": "array", "shape": [24, 32, 4]})
    np.testing.assert_array_equal(frame.pixels(), colours[..., :3].astype(float).sum(axis=-1))


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
