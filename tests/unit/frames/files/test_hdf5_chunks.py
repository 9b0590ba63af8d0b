"""Images decoded outside of HDF5's lock, against what HDF5 itself reads."""

import os
import threading
from contextlib import contextmanager

import h5py
import hdf5plugin
import numpy as np
import pytest

from bluesky_xtag.errors import FrameNotReady
from bluesky_xtag.frames.files import hdf5_opening
from bluesky_xtag.frames.files.hdf5 import pack_image, read_image
from bluesky_xtag.frames.files.hdf5_chunks import ChunkedImage
from bluesky_xtag.model import Preparation

# Loops are compiled at the first run.
pytestmark = pytest.mark.timeout(60)

FILTERS = {
    "lz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
    "lz4 in blocks of 64 pixels": dict(hdf5plugin.Bitshuffle(nelems=64, cname="lz4")),
    "lz4 in blocks of 40 pixels": dict(hdf5plugin.Bitshuffle(nelems=40, cname="lz4")),
    "gzip": {"compression": "gzip", "compression_opts": 4},
    "none": {},
}
TYPES = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]


def image_of(dtype, shape=(131, 117), seed=0):
    """Counts, and what readers stumble over: highest and lowest numbers, single and in patches; bit patterns."""
    rng = np.random.default_rng(seed)
    image = rng.poisson(3, shape).astype(dtype)
    ends = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    image[40:47] = image[:, 60:63] = ends.max
    image[90:95, 20:30] = ends.min
    image[100, 100], image[101, 100], image[7, 7] = ends.max, 0, ends.max
    image[0, :64] = (2.0 ** (np.arange(64) % (8 * np.dtype(dtype).itemsize - 1))).astype(dtype)
    if image.dtype.kind == "f":
        image[3, 3], image[4, 4], image[5, 5] = np.nan, np.inf, -0.0
    return image


def write(path, images, chunks=None, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=images, chunks=chunks or (1, *images.shape[1:]), **options)
    return str(path)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", FILTERS)
def test_every_type_and_filter_gives_the_pixels_that_hdf5_gives(tmp_path, dtype, name):
    images = np.stack([image_of(dtype, seed=seed) for seed in range(3)])
    path = write(tmp_path / "frames.h5", images, **FILTERS[name])
    for index in range(3):
        packed = pack_image(path, "data", index)
        assert isinstance(packed, ChunkedImage) and packed.shape == images.shape[1:] and packed.dtype == dtype
        assert packed.unpack().tobytes() == read_image(path, "data", index).tobytes() == images[index].tobytes()


@pytest.mark.parametrize("name", ["lz4", "zstd", "gzip", "none"])
@pytest.mark.parametrize("shape", [(10, 10), (1, 10), (31, 33), (64, 64), (127, 129), (200, 41), (257, 8)])
@pytest.mark.parametrize("chunk", [None, (1, 7, None), (1, 16, 16), (1, 50, 9), (1, None, 20)])
def test_sizes_that_no_block_and_no_chunk_divides(tmp_path, name, shape, chunk):
    image = image_of("uint32", (257, 129))[: shape[0], : shape[1]]
    whole = (1, *shape)
    chunks = chunk and tuple(min(part or side, side) for part, side in zip(chunk, whole, strict=True))
    path = write(tmp_path / "frames.h5", image[None], chunks, **FILTERS[name])
    packed = pack_image(path, "data", 0)
    assert isinstance(packed, ChunkedImage)
    np.testing.assert_array_equal(packed.unpack(), image)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("chunks", [None, (1, 33, 117), (1, 33, 50)])
def test_rows_may_be_taken_in_pieces_of_any_height(tmp_path, name, chunks):
    image = image_of("int32")
    packed = pack_image(write(tmp_path / "frames.h5", image[None], chunks, **FILTERS[name]), "data", 0)
    assert isinstance(packed, ChunkedImage)
    done = 0
    with packed.rows() as rows:
        for height in (1, 2, 30, 1, 60, 36, 1):
            piece = np.empty((height, image.shape[1]), image.dtype)
            rows.fill(piece)
            np.testing.assert_array_equal(piece, image[done : done + height])
            done += height
        assert done == len(image)
        with pytest.raises(FrameNotReady):
            rows.fill(np.empty((1, image.shape[1]), image.dtype))


def test_images_of_a_contiguous_block_are_told_apart(tmp_path):
    images = np.stack([image_of("uint16", seed=seed) for seed in range(6)]).reshape(2, 3, 131, 117)
    path = str(tmp_path / "frames.h5")
    with h5py.File(path, "w") as file:
        file["data"] = images
    for index in range(6):
        packed = pack_image(path, "data", index)
        assert isinstance(packed, ChunkedImage)
        np.testing.assert_array_equal(packed.unpack(), images.reshape(6, 131, 117)[index])


def test_a_block_in_a_file_that_is_written_is_left_to_hdf5(tmp_path):
    path = str(tmp_path / "frames.h5")
    with h5py.File(path, "w", libver="latest") as file:
        file["data"] = image_of("uint16")[None]
        file.flush()
        assert isinstance(pack_image(path, "data", 0), np.ndarray)


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (2, 131, 117)},
        {"chunks": (1, 131, 117), "compression": "gzip", "shuffle": True},
        {"chunks": (1, 131, 117), "compression": "lzf"},
        {"chunks": (1, 131, 117), "compression": "gzip", "fletcher32": True},
        {"chunks": (1, 131, 117), **hdf5plugin.LZ4()},
        {"chunks": (1, 131, 117), **hdf5plugin.Blosc()},
        {"chunks": (1, 131, 117), **hdf5plugin.Bitshuffle(cname="none")},
        {"chunks": (1, 131, 117), "dtype": ">u4"},
    ],
    ids=str,
)
def test_what_cannot_be_decoded_here_is_read_by_hdf5(tmp_path, options):
    image = image_of("uint32")
    path = str(tmp_path / "frames.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.stack([image, image]), **options)
    found = pack_image(path, "data", 1)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, image)


def test_a_file_that_does_not_begin_with_hdf5_is_read_by_it(tmp_path):
    path = str(tmp_path / "frames.h5")
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("data", data=image_of("uint32")[None], chunks=(1, 131, 117))
    np.testing.assert_array_equal(pack_image(path, "data", 0), image_of("uint32"))


def test_virtual_data_sets_and_colours_are_read_by_hdf5(tmp_path):
    image = image_of("uint8")
    source = write(tmp_path / "source.h5", image[None])
    path = str(tmp_path / "master.h5")
    layout = h5py.VirtualLayout((1, 131, 117), "uint8")
    layout[0] = h5py.VirtualSource(source, "data", (1, 131, 117))[0]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("colours", data=np.stack([image] * 3, axis=-1)[None], chunks=(1, 131, 117, 3))
    np.testing.assert_array_equal(pack_image(path, "virtual", 0), image)
    np.testing.assert_array_equal(pack_image(path, "colours", 0), 3 * image.astype(int))


def test_the_mask_of_the_detector_travels_with_the_packed_image(tmp_path):
    path = str(tmp_path / "master.h5")
    mask = np.zeros((131, 117), np.uint32)
    mask[10:20] = 8
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data/data", data=image_of("uint32")[None], chunks=(1, 131, 117), **FILTERS["lz4"])
        file["entry/instrument/detector/pixel_mask"] = mask
    packed = pack_image(path, "entry/data/data", 0)
    assert isinstance(packed, ChunkedImage)
    np.testing.assert_array_equal(packed.mask, mask > 0)
    unpacked = packed.unpack()
    assert isinstance(unpacked, np.ma.MaskedArray)
    np.testing.assert_array_equal(np.ma.getmaskarray(unpacked), mask > 0)


@pytest.mark.parametrize("name", ["lz4", "zstd", "gzip"])
def test_a_damaged_chunk_is_an_error_or_other_pixels_but_never_the_end_of_the_process(tmp_path, name):
    path = write(tmp_path / "frames.h5", image_of("uint32")[None], **FILTERS[name])
    packed = pack_image(path, "data", 0)
    assert isinstance(packed, ChunkedImage)
    (chunk,) = packed.chunks
    with open(path, "rb") as file:
        good = file.read()
    rng, failed = np.random.default_rng(0), 0
    for _ in range(300):
        bad = bytearray(good)
        for place in rng.integers(chunk.offset, chunk.offset + chunk.size, rng.integers(1, 6)):
            bad[place] = rng.integers(256)
        if rng.random() < 0.3:  # the first bytes say how much there is
            bad[chunk.offset + rng.integers(16)] = rng.integers(256)
        with open(path, "r+b") as file:  # the same file, with other bytes
            file.write(bad)
        try:
            assert packed.unpack().shape == packed.shape
        except FrameNotReady as error:
            assert "frames.h5" in str(error)
            failed += 1
    assert failed > 20


@pytest.mark.parametrize("name", FILTERS)
def test_a_file_that_was_cut_is_not_ready(tmp_path, name):
    path = write(tmp_path / "frames.h5", image_of("uint32")[None], **FILTERS[name])
    packed = pack_image(path, "data", 0)
    assert isinstance(packed, ChunkedImage)
    os.truncate(path, packed.chunks[0].offset + packed.chunks[0].size // 2)
    with pytest.raises(FrameNotReady, match=r"frames\.h5"):
        packed.unpack()


def test_a_file_that_was_replaced_or_removed_is_not_ready(tmp_path):
    path = write(tmp_path / "frames.h5", image_of("uint32")[None], **FILTERS["lz4"])
    packed = pack_image(path, "data", 0)
    assert isinstance(packed, ChunkedImage)
    os.replace(write(tmp_path / "other.h5", image_of("uint32", seed=1)[None], **FILTERS["lz4"]), path)
    with pytest.raises(FrameNotReady, match="replaced"):
        packed.unpack()
    os.remove(path)
    with pytest.raises(FrameNotReady, match=r"frames\.h5"):
        packed.unpack()


def test_warming_compiles_the_decoder(tmp_path):
    from bluesky_xtag.frames import warm
    from bluesky_xtag.frames.files import bitshuffle
    from bluesky_xtag.model.prepare import strips

    warm(packed=True)
    loops = bitshuffle._fill, strips.add_decoded
    known = [set(loop.signatures) for loop in loops]
    for dtype in ("uint32", "int32", "uint16"):
        path = write(tmp_path / f"{dtype}.h5", image_of(dtype)[None], **FILTERS["lz4"])
        packed = pack_image(path, "data", 0)
        assert isinstance(packed, ChunkedImage)
        packed.unpack()
        Preparation().bin(packed)
    assert [set(loop.signatures) for loop in loops] == known


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("chunks", [None, (1, 33, 117), (1, 33, 50)])
def test_bins_are_those_of_the_pixels(tmp_path, name, chunks):
    image = np.random.default_rng(0).poisson(3, (131, 117)).astype("uint32")
    image[40:47] = 2**32 - 1
    packed = pack_image(write(tmp_path / "frames.h5", image[None], chunks, **FILTERS[name]), "data", 0)
    assert isinstance(packed, ChunkedImage)
    found, wanted = Preparation().bin(packed), Preparation().bin(image)
    np.testing.assert_array_equal(found.counts, wanted.counts)
    np.testing.assert_array_equal(found.valid, wanted.valid)


def old(path):
    """Say of a file that it was written long ago."""
    os.utime(path, (0, 0))
    return path


@contextmanager
def opened():
    """Count how often files are opened."""
    names, opens = [], hdf5_opening.open_file

    @contextmanager
    def count(path, *how, **more):
        names.append(path)
        with opens(path, *how, **more) as file:
            yield file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5_opening, "open_file", count)
        yield names


@pytest.mark.parametrize("name", ["lz4", "gzip"])
@pytest.mark.parametrize("chunks", [None, (1, 33, 50)])
def test_images_that_follow_are_found_without_opening_the_file_again(tmp_path, name, chunks):
    images = np.stack([image_of("uint32", seed=seed) for seed in range(5)])
    path = old(write(tmp_path / "frames.h5", images, chunks, **FILTERS[name]))
    with opened() as names:
        for index in (1, 2, 4, 3, 2):
            packed = pack_image(path, "data", index)
            assert isinstance(packed, ChunkedImage)
            np.testing.assert_array_equal(packed.unpack(), images[index])
    assert len(names) == 1
    with pytest.raises(FrameNotReady, match="image 5"):
        pack_image(path, "data", 5)


def test_images_of_a_master_are_found_along_and_only_while_neither_file_changes(tmp_path):
    images = np.stack([image_of("uint32", seed=seed) for seed in range(3)])
    data, master = str(tmp_path / "data.h5"), str(tmp_path / "master.h5")
    write(data, images, **FILTERS["lz4"])
    mask = np.zeros(images.shape[1:], np.uint32)
    mask[10:20] = 1
    with h5py.File(master, "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("data.h5", "data")
        file["entry/instrument/detector/pixel_mask"] = mask
    for path in (data, master):
        old(path)
    with opened() as names:
        for index in range(3):
            packed = pack_image(master, "entry/data", index)
            assert isinstance(packed, ChunkedImage) and packed.mask is not None
            np.testing.assert_array_equal(np.asarray(packed.unpack()), images[index])
        assert len(names) == 1
        os.utime(master, (1, 1))
        pack_image(master, "entry/data", 2)
        assert len(names) == 2
        os.remove(data)
        write(data, images[::-1], **FILTERS["lz4"])
        packed = pack_image(master, "entry/data", 2)
        assert isinstance(packed, ChunkedImage)
        np.testing.assert_array_equal(np.asarray(packed.unpack()), images[0])


def test_nothing_is_remembered_of_a_file_that_is_written(tmp_path):
    path = str(tmp_path / "frames.h5")
    with h5py.File(path, "w", libver="latest") as file:
        images = file.create_dataset("data", (4, 131, 117), "uint32", chunks=(1, 131, 117), **FILTERS["lz4"])
        images[:3] = [image_of("uint32", seed=seed) for seed in range(3)]
        file.flush()
        with opened() as names:
            for index in range(3):
                pack_image(path, "data", index)
                os.utime(path, (0, 0))
        assert len(names) == 3
    with opened() as names:  # closed a moment ago
        for index in range(3):
            pack_image(path, "data", index)
    assert len(names) == 3


def test_images_that_were_not_written_are_not_found_along(tmp_path):
    path = str(tmp_path / "frames.h5")
    with h5py.File(path, "w") as file:
        images = file.create_dataset("data", (4, 131, 117), "uint32", chunks=(1, 131, 117), **FILTERS["lz4"])
        images[0] = images[1] = images[3] = image_of("uint32")
    old(path)
    assert isinstance(pack_image(path, "data", 0), ChunkedImage)
    assert isinstance(pack_image(path, "data", 1), ChunkedImage)
    with pytest.raises(FrameNotReady, match="not written"):
        pack_image(path, "data", 2)
    assert isinstance(pack_image(path, "data", 3), ChunkedImage)


def test_an_image_is_decoded_while_another_thread_is_inside_hdf5(tmp_path):
    from h5py._objects import phil

    packed = pack_image(write(tmp_path / "frames.h5", image_of("uint32")[None], **FILTERS["lz4"]), "data", 0)
    Preparation().bin(packed)  # compiled
    found = []
    with phil:  # h5py's lock around every call of HDF5
        thread = threading.Thread(target=lambda: found.append(Preparation().bin(packed)))
        thread.start()
        thread.join(20)
        assert found
