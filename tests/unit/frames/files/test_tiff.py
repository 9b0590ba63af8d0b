"""TIFF through tifffile: the pixels that fabio gave where it was right, and those that it did not give."""

import fabio
import numpy as np
import pytest
import tifffile
from PIL import Image

from bluesky_xtag.errors import FrameError, FrameNotReady
from bluesky_xtag.frames.files.tiff import TiffFormat

TIFF = TiffFormat()
STACK = np.arange(5 * 24 * 32, dtype=np.uint16).reshape(5, 24, 32)
NUMBERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]


def read_all(path):
    ((name, count),) = TIFF.data_sets(str(path))
    assert name == ""
    return [TIFF.read(str(path), "", index) for index in range(count)]


def by_fabio(path):
    with fabio.open(str(path)) as file:
        return [np.asarray(file.get_frame(index).data) for index in range(file.nframes)]


def assert_same(images, expected):
    assert len(images) == len(expected)
    for image, other in zip(images, expected, strict=True):
        assert image.dtype == other.dtype and image.dtype.isnative
        np.testing.assert_array_equal(image, other)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"rowsperstrip": 5}], ids=["plain", "big", "strips"])
def test_numbers_of_each_kind_are_those_of_fabio(tmp_path, rng, dtype, options):
    stack = (rng.random((5, 24, 32)) * 100).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stack, **options)
    assert_same(read_all(tmp_path / "a.tif"), by_fabio(tmp_path / "a.tif"))
    assert_same(read_all(tmp_path / "a.tif"), stack)


@pytest.mark.parametrize("dtype", [number for number in NUMBERS if number != "float64"])  # which fabio does not write
def test_files_that_fabio_wrote(tmp_path, rng, dtype):
    image = (rng.random((24, 32)) * 100).astype(dtype)
    fabio.tifimage.TifImage(data=image).write(str(tmp_path / "a.tif"))
    assert_same(read_all(tmp_path / "a.tif"), [image])
    assert_same(read_all(tmp_path / "a.tif"), by_fabio(tmp_path / "a.tif"))


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate"])
def test_files_that_pillow_wrote(tmp_path, dtype, compression):
    image = STACK[0].astype(dtype)
    Image.fromarray(image).save(tmp_path / "a.tif", compression=compression)
    assert_same(read_all(tmp_path / "a.tif"), [image])
    with fabio.open(str(tmp_path / "a.tif")) as file:
        assert_same([np.asarray(file.data)], [image])


@pytest.mark.parametrize(
    "options",
    [
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">"},
        {"tile": (16, 16)},
        {"compression": "zlib", "predictor": True},
        {"imagej": True},
        {"truncate": True},  # one description of all, as ImageJ writes more than 4 GB
        {"photometric": "miniswhite"},
        {"ome": True, "metadata": {"axes": "TYX"}},
    ],
    ids=str,
)
def test_a_stack_gives_all_its_images(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", STACK, **options)
    assert_same(read_all(tmp_path / "a.tif"), STACK)
    with pytest.raises(FrameNotReady, match="holds 5 images so far; number 5 is wanted"):
        TIFF.read(str(tmp_path / "a.tif"), "", 5)


def test_images_may_differ_and_previews_do_not_count(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(STACK[0])
        file.write(STACK[0, ::4, ::4], subfiletype=1)
        file.write(STACK[1, :10].astype(np.float32))
    assert_same(read_all(tmp_path / "a.tif"), [STACK[0], STACK[1, :10].astype(np.float32)])


def test_a_boolean_image_is_as_it_was_written(tmp_path):
    mask = np.zeros((24, 33), bool)
    mask[3, 4] = mask[5, :7] = True
    tifffile.imwrite(tmp_path / "a.tif", mask)
    Image.fromarray(mask).save(tmp_path / "b.tif")
    for name in ("a.tif", "b.tif"):
        assert_same(read_all(tmp_path / name), [mask])


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"truncate": True}, {"rowsperstrip": 5}], ids=str)
def test_what_was_cut_off_is_not_ready_and_what_is_whole_is_read(tmp_path, options):
    tifffile.imwrite(tmp_path / "whole.tif", STACK, **options)
    content, path = (tmp_path / "whole.tif").read_bytes(), tmp_path / "a.tif"
    for size in [0, 2, 4, 7, *range(8, len(content), 211)]:
        path.write_bytes(content[:size])
        right = 0
        for index, expected in enumerate(STACK):
            try:
                np.testing.assert_array_equal(TIFF.read(str(path), "", index), expected)
                right += 1
            except FrameNotReady:
                pass
        assert right < 5 or size > len(content) - 24 * 32 * 2
        if right:
            assert len(list_readable(path)) == right < 5 or right == 5


def list_readable(path):
    """Return the images that can be read of all that the file says it has; a torn stack says one more."""
    ((_, count),) = TIFF.data_sets(str(path))
    readable = []
    for index in range(count):
        try:
            readable.append(TIFF.read(str(path), "", index))
        except FrameNotReady:
            continue
    return readable


def test_a_strip_that_was_never_written_is_not_black(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint16) + 7, compression="zlib", rowsperstrip=16)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        sizes = file.pages[0].tags["StripByteCounts"]
        sizes.overwrite((*sizes.value[:3], 0))
    with pytest.raises(FrameNotReady, match="not all written"):
        TIFF.read(str(tmp_path / "a.tif"), "", 0)


@pytest.mark.parametrize("compression", [34676, 60000])  # known by its name alone, and unknown
def test_a_compression_that_cannot_be_undone_is_an_error_at_once(tmp_path, compression):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages[0].tags["Compression"].overwrite(compression)
    with pytest.raises(FrameError, match=f"a.tif cannot be unpacked: .*{compression}") as caught:
        TIFF.read(str(tmp_path / "a.tif"), "", 0)
    assert not isinstance(caught.value, FrameNotReady)


def test_absent_empty_and_foreign_files(tmp_path):
    path = tmp_path / "a.tif"
    with pytest.raises(FrameNotReady, match="does not exist yet"):
        TIFF.read(str(path), "", 0)
    path.write_bytes(b"\0" * 100)
    with pytest.raises(FrameNotReady, match="does not begin yet"):
        TIFF.read(str(path), "", 0)
    path.write_bytes(b"no picture" * 100)
    with pytest.raises(FrameError, match="cannot be read") as caught:
        list(TIFF.data_sets(str(path)))
    assert not isinstance(caught.value, FrameNotReady)
    fabio.edfimage.EdfImage(data=STACK[0]).write(str(path))  # what fabio knows in spite of its name
    assert_same(read_all(path), [STACK[0]])
