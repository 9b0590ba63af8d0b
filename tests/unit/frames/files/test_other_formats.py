"""CBF, MRC and TIFF where readers fail: large steps, stacks of three, compression, byte order, files not whole."""

import base64
import hashlib
import struct

import fabio
import numpy as np
import pytest
import tifffile

from bluesky_xtag.errors import FrameError, FrameNotReady
from bluesky_xtag.frames import data_sets, read


def packed(image):
    out, before = bytearray(), 0
    for value in image.ravel().tolist():
        step, before = value - before, value
        for form, mark, least in (("<b", b"", 7), ("<h", b"\x80", 15), ("<i", b"\x80\x00\x80", 31)):
            if abs(step) < 2**least:
                out += mark + struct.pack(form, step)
                break
        else:
            out += b"\x80\x00\x80\x00\x00\x00\x80" + struct.pack("<q", step)
    return bytes(out)


def write_cbf(path, image, kind="signed 32-bit integer"):
    data = packed(image)
    head = (
        "###CBF: VERSION 1.5\r\ndata_a\r\n\r\n_array_data.data\r\n;\r\n--CIF-BINARY-FORMAT-SECTION--\r\n"
        'Content-Type: application/octet-stream;\r\n     conversions="x-CBF_BYTE_OFFSET"\r\n'
        f"Content-Transfer-Encoding: BINARY\r\nX-Binary-Size: {len(data)}\r\nX-Binary-ID: 1\r\n"
        f'X-Binary-Element-Type: "{kind}"\r\nX-Binary-Element-Byte-Order: LITTLE_ENDIAN\r\n'
        f"Content-MD5: {base64.b64encode(hashlib.md5(data).digest()).decode()}\r\n"
        f"X-Binary-Number-of-Elements: {image.size}\r\nX-Binary-Size-Fastest-Dimension: {image.shape[1]}\r\n"
        f"X-Binary-Size-Second-Dimension: {image.shape[0]}\r\nX-Binary-Size-Padding: 1\r\n\r\n\r\n"
    )
    tail = b"\0\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n"
    path.write_bytes(head.encode() + b"\x0c\x1a\x04\xd5" + data + tail)
    return str(path)


@pytest.fixture
def counts(rng):
    return rng.poisson(20, (48, 64)).astype(np.int32)


@pytest.mark.parametrize(
    "values",
    [
        [5, 6],
        [-1, -2],
        [127, -128, 128, -1, 255],
        [32767, -32768, 65535, 0],
        [-1, 2**31 - 1, -1],
        [2**31 - 1, -(2**31), 2**31 - 1, 0],
    ],
)
def test_steps_of_every_width_in_a_cbf(tmp_path, counts, values):
    counts[10, 20 : 20 + len(values)] = values
    path = write_cbf(tmp_path / "a.cbf", counts)
    found = read(path, "", 0)
    np.testing.assert_array_equal(found, counts)
    assert found.dtype == np.int32 and list(data_sets(path)) == [("", 1)]


def test_a_cbf_of_fabio_and_ours_agree(tmp_path, counts):
    fabio.cbfimage.CbfImage(data=counts).write(str(tmp_path / "a.cbf"))
    np.testing.assert_array_equal(read(str(tmp_path / "a.cbf"), "", 0), counts)
    ours = write_cbf(tmp_path / "b.cbf", counts)
    np.testing.assert_array_equal(fabio.open(ours).data, read(ours, "", 0))


def test_unsigned_counts_in_a_cbf(tmp_path, counts):
    image = counts.astype(np.int64)
    image[0, :2] = 2**32 - 1, 2**32 - 2
    found = read(write_cbf(tmp_path / "a.cbf", image, "unsigned 32-bit integer"), "", 0)
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, image)


def test_a_cbf_that_cannot_be_right(tmp_path, counts):
    path = write_cbf(tmp_path / "a.cbf", counts)
    whole = (tmp_path / "a.cbf").read_bytes()
    for length in (0, 100, 800, len(whole) - 200):
        (tmp_path / "a.cbf").write_bytes(whole[:length])
        with pytest.raises(FrameNotReady):
            read(path, "", 0)
    (tmp_path / "a.cbf").write_bytes(whole.replace(b"signed 32-bit", b"signed 8-bit"))
    counts[0, 0] = 1000
    with pytest.raises(FrameError, match="damaged"):
        read(write_cbf(tmp_path / "b.cbf", counts, "signed 8-bit integer"), "", 0)
    with pytest.raises(FrameNotReady, match="does not exist yet"):
        read(str(tmp_path / "nowhere.cbf"), "", 0)


def write_mrc(path, stack, mode, order="<", extended=0):
    header = bytearray(1024)
    images, rows, columns = stack.shape
    struct.pack_into(f"{order}4i", header, 0, columns, rows, images, mode)
    struct.pack_into(f"{order}i", header, 92, extended)
    header[208:216] = b"MAP " + (b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0")
    path.write_bytes(bytes(header) + bytes(extended) + stack.astype(stack.dtype.newbyteorder(order)).tobytes())
    return str(path)


@pytest.mark.parametrize(("mode", "dtype"), [(0, "i1"), (1, "i2"), (2, "f4"), (6, "u2"), (12, "f2")])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("images", [1, 3, 4])
def test_every_image_of_an_mrc_stack(tmp_path, rng, mode, dtype, order, images):
    stack = rng.integers(0, 100, (images, 40, 50)).astype(dtype)
    path = write_mrc(tmp_path / "a.mrc", stack, mode, order, extended=256)
    assert list(data_sets(path)) == [("", images)]
    for index in range(images):
        found = read(path, "", index)
        np.testing.assert_array_equal(found, stack[index])
        assert found.dtype == np.dtype(dtype)
    (tmp_path / "a.mrc").write_bytes((tmp_path / "a.mrc").read_bytes()[:-10])
    with pytest.raises(FrameNotReady):
        read(path, "", images - 1)


def test_what_is_no_mrc_image(tmp_path, rng):
    with pytest.raises(FrameError, match="mode 4"):
        read(write_mrc(tmp_path / "a.mrc", np.zeros((1, 40, 50), "c8"), 4), "", 0)
    (tmp_path / "b.mrc").write_bytes(bytes(100))
    with pytest.raises(FrameNotReady, match="ends in its header"):
        list(data_sets(str(tmp_path / "b.mrc")))


@pytest.mark.parametrize("images", [1, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"photometric": "minisblack"},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"compression": "zlib", "photometric": "minisblack"},
        {"compression": "lzw", "photometric": "minisblack"},
        {"compression": "zstd", "photometric": "minisblack"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_image_of_a_tiff_stack(tmp_path, rng, images, dtype, options):
    stack = rng.integers(0, 250, (images, 40, 50)).astype(dtype)
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, stack, **options)
    assert list(data_sets(path)) == [("", images)]
    for index in range(images):
        np.testing.assert_array_equal(read(path, "", index), stack[index])


@pytest.mark.parametrize("colours", [3, 4])
def test_the_colours_of_a_tiff_are_added_up(tmp_path, rng, colours):
    picture = rng.integers(0, 250, (40, 50, colours)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb")
    assert list(data_sets(str(tmp_path / "a.tif"))) == [("", 1)]
    np.testing.assert_array_equal(read(str(tmp_path / "a.tif"), "", 0), picture[..., :3].sum(axis=-1, dtype=np.uint32))


def test_an_image_that_needs_too_much_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((400, 500), np.uint8))
    monkeypatch.setenv("XTAG_MAX_IMAGE_BYTES", "199_999")
    with pytest.raises(FrameError, match="XTAG_MAX_IMAGE_BYTES"):
        read(str(tmp_path / "a.tif"), "", 0)
    path = write_mrc(tmp_path / "a.mrc", np.zeros((1, 400, 500), "i2"), 1)
    with pytest.raises(FrameError, match="XTAG_MAX_IMAGE_BYTES"):
        read(path, "", 0)
