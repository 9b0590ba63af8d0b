"""Pixels reach the page as they are."""

import json

import numpy as np
import pytest

from bluesky_xtag.web.frame_pictures import pixel_message

KINDS = {"Uint8Array": "u1", "Uint16Array": "<u2", "Uint32Array": "<u4", "Float32Array": "<f4", "Float64Array": "<f8"}


def read(message):
    """What the page makes of it."""
    length = int.from_bytes(message[:4], "little")
    header = json.loads(message[4 : 4 + length])
    size = header["rows"] * header["columns"]
    values = np.frombuffer(message, KINDS[header["type"]], size, 4 + length)
    assert (4 + length) % 8 == 0  # or a browser refuses
    bits = np.unpackbits(np.frombuffer(message, np.uint8, offset=4 + length + values.nbytes))[:size]
    shape = header["rows"], header["columns"]
    return header, values.reshape(shape), bits.reshape(shape).astype(bool)


@pytest.mark.parametrize(
    ("dtype", "largest", "kind"),
    [
        (np.int32, 200, "Uint8Array"),
        (np.uint16, 60_000, "Uint16Array"),
        (np.int64, 3_000_000_000, "Uint32Array"),
        (np.uint64, 2**39, "Float64Array"),
        (np.float32, 1.5, "Float32Array"),
        (np.float64, 1.5, "Float32Array"),
        (np.float64, np.pi, "Float64Array"),
        (bool, 1, "Uint8Array"),
    ],
)
def test_no_count_is_changed_and_the_smallest_type_is_taken(dtype, largest, kind):
    pixels = np.zeros((5, 7), dtype)
    pixels[2, 3] = largest
    header, values, invalid = read(pixel_message(pixels, None, (3.5, 2.0)))
    assert header["type"] == kind and header["centre"] == [3.5, 2.0] and header["valid"] == 35
    np.testing.assert_array_equal(values, pixels)
    assert not invalid.any() and header["percentiles"]["100"] == largest


def test_pixels_that_do_not_count_are_marked():
    pixels = np.array([[1, -1, 3], [2**31 - 1, 5, 6]], np.int32)
    mask = np.array([[False, False, True], [False, False, False]])
    header, values, invalid = read(pixel_message(pixels, mask, None))
    np.testing.assert_array_equal(invalid, [[False, True, True], [True, False, False]])
    np.testing.assert_array_equal(values[~invalid], [1, 5, 6])
    assert header["percentiles"]["0"] == 1 and header["percentiles"]["100"] == 6 and header["centre"] is None
    masked = np.ma.MaskedArray(np.array([[np.nan, 1.0], [np.inf, 2.0]]), [[False, False], [False, True]])
    assert read(pixel_message(masked, None, None))[2].tolist() == [[True, False], [True, True]]


def test_a_frame_without_a_valid_pixel():
    header, _, invalid = read(pixel_message(np.full((3, 3), -1, np.int16), None, None))
    assert invalid.all() and header["valid"] == 0 and header["percentiles"]["99"] == 0
