"""Images of HDF5 files, finished, growing, late and wrong."""

from concurrent.futures import ThreadPoolExecutor

import event_model
import h5py
import numpy as np
import pytest
from support.frames_fixtures import COMPRESSIONS, DATA, Documents, numbered, write_file

from bluesky_xtag.errors import FrameError, FrameNotReady
from bluesky_xtag.frames.files.hdf5 import Hdf5Frames, read_image


def assert_never(path, dataset=DATA, index=0, match=None):
    with pytest.raises(FrameError, match=match) as caught:
        read_image(path, dataset, index)
    assert not isinstance(caught.value, FrameNotReady)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "float32"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_any_detector_dtype_and_compression_comes_back_unchanged(tmp_path, rng, dtype, compression):
    images = rng.integers(0, 120, (3, 40, 50)).astype(dtype)
    path = write_file(tmp_path / "a.h5", images, **COMPRESSIONS[compression])
    for index, image in enumerate(images):
        read = read_image(path, DATA, index)
        assert read.dtype == image.dtype
        np.testing.assert_array_equal(read, image)


def test_dataset_that_has_its_size_before_its_images(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("chunked", (3, 24, 32), "uint16", chunks=(1, 24, 32))[0] = 7
        file.create_dataset("plain", (3, 24, 32), "uint16")
    assert read_image(tmp_path / "a.h5", "chunked", 0)[0, 0] == 7
    for dataset in ("chunked", "plain"):
        with pytest.raises(FrameNotReady, match="not written yet"):
            read_image(tmp_path / "a.h5", dataset, 1)


def test_virtual_dataset(tmp_path):
    layout = h5py.VirtualLayout((4, 24, 32), "uint16")
    for part in (0, 1):
        path = write_file(tmp_path / f"{part}.h5", numbered(2, first=2 * part))
        layout[2 * part : 2 * part + 2] = h5py.VirtualSource(path, DATA, (2, 24, 32))
    with h5py.File(tmp_path / "vds.h5", "w", libver="latest") as file:
        file.create_virtual_dataset(DATA, layout)
    assert [read_image(tmp_path / "vds.h5", DATA, index)[1, 1] for index in range(4)] == [0, 1, 2, 3]


def test_old_file_format_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="earliest") as file:
        file[DATA] = numbered(2)
    np.testing.assert_array_equal(read_image(tmp_path / "a.h5", DATA, 1), numbered(2)[1])


def test_reading_goes_with_any_other_use_of_the_file_in_this_process(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(2))
    for options in ({}, {"libver": "latest", "swmr": True}, {"locking": False}):
        with h5py.File(path, "r", **options):
            assert read_image(path, DATA, 1)[0, 0] == 1
    with h5py.File(path, "a") as file:
        assert read_image(path, DATA, 1)[0, 0] == 1
        file.attrs["reading left it alone"] = True


def test_threads_read_one_growing_file(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        dataset = file.create_dataset(DATA, (0, 24, 32), "uint16", maxshape=(None, 24, 32), chunks=(1, 24, 32))
        file.swmr_mode = True

        def eventually(index):
            while True:
                try:
                    return read_image(path, DATA, index)
                except FrameNotReady:
                    continue

        with ThreadPoolExecutor(4) as pool:
            reads = [pool.submit(eventually, index) for index in range(12)]
            for index, image in enumerate(numbered(12)):
                dataset.resize(index + 1, axis=0)
                dataset[index] = image
                dataset.flush()
            for index, read in enumerate(reads):
                np.testing.assert_array_equal(read.result(60), numbered(12)[index])


# In SWMR mode HDF5 itself waits for ever on most of these, and reads zeros from the others.
@pytest.mark.parametrize("part", [0, 4, 20, 47, 48, 60, 100, 800, 0.5, 0.99])
def test_torn_file_may_still_come(tmp_path, part):
    whole = write_file(tmp_path / "whole.h5", numbered(3)).read_bytes()
    path = tmp_path / "a.h5"
    size = int(part * len(whole)) if isinstance(part, float) else part
    path.write_bytes(whole[:size])
    reason = "truncated file" if size >= 48 else "cannot be read"
    for index in (0, 2):
        with pytest.raises(FrameNotReady, match=reason):
            read_image(path, DATA, index)
    path.write_bytes(whole)
    assert read_image(path, DATA, 2)[0, 0] == 2


def test_file_without_its_superblock_yet_may_still_come(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\0" * 4096)
    with pytest.raises(FrameNotReady):
        read_image(tmp_path / "a.h5", DATA, 0)


def test_foreign_file_never_comes(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"II*\0 is how a TIFF begins" * 400)
    assert_never(tmp_path / "a.h5", match="not an HDF5 file")


def test_absent_dataset_names_those_that_are_there(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(1), dataset="/measurement/images")
    with pytest.raises(FrameNotReady, match=r"/measurement/images \(1, 24, 32\)"):
        read_image(path, "/entry/images", 0)


def test_one_dimensional_dataset_never_becomes_an_image(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[DATA] = np.arange(5)
    assert_never(tmp_path / "a.h5", match=r"shape \(5,\)")


@pytest.mark.parametrize("layout", [(12, 24, 32), (12, 1, 24, 32), (6, 2, 24, 32), (3, 2, 2, 24, 32), (12 * 24, 32)])
def test_images_are_counted_through_all_leading_dimensions(tmp_path, layout):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[DATA] = numbered(12).reshape(layout)
    for index in (0, 1, 2, 7, 11):
        np.testing.assert_array_equal(read_image(tmp_path / "a.h5", DATA, index, size=(24, 32)), numbered(12)[index])
    with pytest.raises(FrameNotReady):
        read_image(tmp_path / "a.h5", DATA, 12, size=(24, 32))


def test_chunks_need_not_be_frames(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(DATA, data=numbered(5), chunks=(2, 7, 10))
    np.testing.assert_array_equal(read_image(tmp_path / "a.h5", DATA, 4), numbered(5)[4])


def test_either_name_of_area_detectors_images_will_do(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(1), dataset="/entry/instrument/detector/data")
    assert read_image(path, "entry/data/data", 0).shape == (24, 32)


def test_dectris_series_goes_on_through_its_data_files(tmp_path):
    for part in (1, 2):
        write_file(tmp_path / f"s_data_{part:06d}.h5", numbered(3, first=3 * part), **COMPRESSIONS["bitshuffle"])
    with h5py.File(tmp_path / "s_master.h5", "w") as file:
        for part in (1, 2, 3):
            file[f"/entry/data/data_{part:06d}"] = h5py.ExternalLink(f"s_data_{part:06d}.h5", DATA)
    assert [read_image(tmp_path / "s_master.h5", "/entry/data", n)[0, 0] for n in range(6)] == [3, 4, 5, 6, 7, 8]
    with pytest.raises(FrameNotReady, match="s_master.h5 takes image 6 from s_data_000003.h5, which is not there"):
        read_image(tmp_path / "s_master.h5", "/entry/data", 6)


def test_handler_fills_events(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(6))
    run = Documents()
    bundle = run.descriptor({"det": {"shape": [2, 24, 32], "external": "FILESTORE:"}})
    resource = run.resource(path, spec="XTAG_HDF5", frame_per_point=2)
    run.event(bundle, {"det": run.datum(resource, point_number=1)}, filled={"det": False})
    with event_model.Filler({"XTAG_HDF5": Hdf5Frames}, inplace=False) as filler:
        *_, (_, event) = [filler(name, doc) for name, doc in run.all]
    np.testing.assert_array_equal(event["data"]["det"], numbered(6)[2:4])


def test_handler_knows_the_resource_parameters_in_use(tmp_path):
    path = write_file(tmp_path / "a.h5", numbered(2), dataset="/x/y")
    for name in ("dataset", "key", "path"):
        handler = Hdf5Frames(str(path), frame_per_point=None, swmr=True, chunk_shape=(1,), **{name: "/x/y"})
        assert handler(1).shape == (1, 24, 32)
        assert handler.get_file_list([]) == [str(path)]


def test_handler_does_not_hand_out_the_next_points_images(tmp_path):
    handler = Hdf5Frames(str(write_file(tmp_path / "a.h5", numbered(6))), frame_per_point=2)
    assert handler.image(1, 1)[0, 0] == 3
    with pytest.raises(FrameError, match="frame_per_point"):
        handler.image(1, 2)
