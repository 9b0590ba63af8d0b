"""What an HDF5 file shows as images: each once, without companions, and with a word on what is missing."""

import h5py
import numpy as np
import pytest

from bluesky_xtag.errors import FrameError, FrameNotReady
from bluesky_xtag.frames import FORMATS, data_sets, read
from bluesky_xtag.frames.sources import SeriesImages

SHAPE = (24, 32)


@pytest.fixture
def stack(rng):
    return rng.poisson(2, (3, *SHAPE)).astype(np.uint32)


def file_of(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return str(path)


@pytest.mark.parametrize(
    "companion",
    """data_errors errors data_white white dark dark_frames data_dark flat flatfield flat_field mask pixel_mask
    x_pixel_offset y_pixel_offset uncertainties variance weights background count_sigma bad_pixels gain""".split(),
)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_companions_are_left_alone(tmp_path, stack, companion, dimensions):
    array = stack if dimensions == 3 else stack[0]
    path = file_of(tmp_path / "a.h5", entry__data__data=array, **{f"entry__data__{companion}": array})
    assert [name for name, _ in data_sets(path)] == ["/entry/data/data"]
    # By its name it is taken.
    assert [name for name, _ in data_sets(path, f"/entry/data/{companion}")] == [f"/entry/data/{companion}"]


def test_nexus_says_which_are_the_images(tmp_path, stack):
    path = file_of(tmp_path / "a.nxs", entry__result__counts=stack, entry__more__movie=stack, entry__camera__film=stack)
    with h5py.File(path, "a") as file:
        file["entry/result"].attrs.update({"NX_class": "NXdata", "signal": "counts"})
    assert [name for name, _ in data_sets(path)] == ["/entry/result/counts"]
    with h5py.File(path, "a") as file:
        file["entry/camera"].attrs["NX_class"] = "NXdetector"
        file["entry/camera/data"] = stack[:2]
    assert dict(data_sets(path)) == {"/entry/camera/data": 2, "/entry/result/counts": 3}
    with h5py.File(path, "a") as file:
        file["entry/more/movie"].attrs["signal"] = 1  # as it was before
    assert "/entry/more/movie" in dict(data_sets(path))


def eiger(folder, counts, present=None, signal=False, where="/entry/data"):
    with h5py.File(folder / "s_master.h5", "w") as master:
        for number, count in enumerate(counts, 1):
            name = f"s_data_{number:06d}.h5"
            if present is None or number in present:
                with h5py.File(folder / name, "w") as file:
                    shape = SHAPE if count is None else (count, *SHAPE)
                    file["/entry/data/data"] = np.full(shape, number, np.uint32)
            master[f"{where}/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        if signal:
            master[where].attrs.update({"NX_class": "NXdata", "signal": "data_000001"})
    return str(folder / "s_master.h5")


@pytest.mark.parametrize("signal", [False, True])
@pytest.mark.parametrize("where", ["/entry/data", "/entry"])
def test_a_master_and_the_layout_of_its_first_firmware(tmp_path, signal, where):
    path = eiger(tmp_path, (2, 2, 1), signal=signal, where=where)
    assert sum(count for _, count in data_sets(path)) == 5
    assert [read(path, "/entry/data", index)[0, 0] for index in range(5)] == [1, 1, 2, 2, 3]
    with pytest.raises(FrameNotReady, match="holds 5 images so far"):
        read(path, "/entry/data", 5)


@pytest.mark.parametrize("where", ["/entry/data", "/entry"])
def test_a_series_is_read_whether_or_not_its_images_can_be_counted(tmp_path, where, caplog):
    path = eiger(tmp_path, (3,), where=where)
    assert SeriesImages(FORMATS["hdf5"], path, 1, None).read(0)[0, 0] == 1
    assert ("first 1 of the 3 images" in caplog.text) == (where == "/entry/data")


def test_data_files_of_single_images(tmp_path):
    path = eiger(tmp_path, (None, None, None))
    assert [count for _, count in data_sets(path)] == [1, 1, 1]
    assert [read(path, "/entry/data", index)[0, 0] for index in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(("present", "seen"), [((1, 3), [1, 1, None, None, 3]), ((1,), [1, 1, None, None, None])])
def test_a_data_file_that_is_missing_is_named_and_costs_no_other(tmp_path, present, seen):
    path = eiger(tmp_path, (2, 2, 1), present)
    counts = dict(data_sets(path))
    assert counts["/entry/data/data_000002"] == 2
    for index, value in enumerate(seen):
        if value is None:
            with pytest.raises(FrameNotReady, match=r"from s_data_00000[23]\.h5, which is not there"):
                read(path, "/entry/data", index)
        else:
            assert read(path, "/entry/data", index)[0, 0] == value
    with pytest.raises(FrameNotReady):
        read(path, "/entry/data/data_000002", 0)


def test_a_master_without_any_data_file(tmp_path):
    path = eiger(tmp_path, (2, 2), present=())
    with pytest.raises(FrameError, match=r"s_data_000001\.h5, s_data_000002\.h5: none of it is there"):
        list(data_sets(path))


def test_what_a_virtual_data_set_shows_again_counts_once(tmp_path):
    path = eiger(tmp_path, (2, 2))
    layout = h5py.VirtualLayout((4, *SHAPE), np.uint32)
    for number in (1, 2):
        layout[2 * number - 2 : 2 * number] = h5py.VirtualSource(
            f"s_data_{number:06d}.h5", "/entry/data/data", (2, *SHAPE)
        )
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("/entry/data/data", layout)
    assert dict(data_sets(path)) == {"/entry/data/data": 4}
    places = {(str(tmp_path / f"s_data_{number:06d}.h5"), "/entry/data/data") for number in (1, 2)}
    assert FORMATS["hdf5"].origins(path, "/entry/data/data") == places


@pytest.mark.parametrize("place", ["detector/pixel_mask", "detector/detectorSpecific/pixel_mask"])
def test_the_mask_of_a_master_travels_with_the_pixels(tmp_path, place):
    path = eiger(tmp_path, (2,))
    mask = np.zeros(SHAPE, np.uint32)
    mask[3, 4], mask[5, 6] = 1, 1 << 31
    with h5py.File(path, "a") as file:
        file[f"/entry/instrument/{place}"] = mask
    image = read(path, "/entry/data", 1)
    np.testing.assert_array_equal(np.ma.getmaskarray(image), mask != 0)
    assert (np.asarray(image) == 1).all()


@pytest.mark.parametrize("mask", [np.zeros(SHAPE, np.uint32), np.ones(SHAPE, np.uint32), np.ones((9, 9), np.uint32)])
def test_masks_that_say_nothing(tmp_path, mask):
    path = eiger(tmp_path, (2,))
    with h5py.File(path, "a") as file:
        file["/entry/instrument/detector/pixel_mask"] = mask
    assert not isinstance(read(path, "/entry/data", 0), np.ma.MaskedArray)


def test_the_only_images_are_found_without_a_name(tmp_path, stack):
    path = file_of(tmp_path / "a.h5", somewhere__else=stack)
    np.testing.assert_array_equal(read(path, "", 1), stack[1])
