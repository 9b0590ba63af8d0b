"""Small pictures: what is seen on them, for every type of pixels that detectors write."""

import cv2
import numpy as np
import pytest

from bluesky_xtag.view import THUMBNAIL_SIDE, draw_thumbnail

GREY = np.array([0xC4, 0xC9, 0xD1])


def drawn(pixels, mask=None):
    picture = cv2.imdecode(np.frombuffer(draw_thumbnail(pixels, mask), np.uint8), cv2.IMREAD_COLOR)
    return picture[..., ::-1].astype(int)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.int32, np.int64, np.float32, bool])
def test_bright_pixels_are_seen_and_the_size_is_right(dtype):
    pixels = np.zeros((1001, 700), dtype)
    pixels[297:310, 398:411] = 1 if dtype is bool else 200
    picture = drawn(pixels)
    assert picture.shape == (THUMBNAIL_SIDE, round(700 / 1001 * THUMBNAIL_SIDE), 3)
    row, column = np.unravel_index(picture.sum(axis=2).argmax(), picture.shape[:2])
    assert abs(row - 303 * 96 / 1001) <= 2 and abs(column - 404 * 96 / 1001) <= 2


@pytest.mark.parametrize(
    ("dtype", "mark"),
    [
        (np.uint16, 2**16 - 1),
        (np.uint32, 2**32 - 1),
        (np.uint32, 2**32 - 2),
        (np.uint64, 10**12),
        (np.uint64, 2**64 - 1),
        (np.int32, -1),
        (np.int32, 2**31 - 1),
        (np.float32, np.nan),
        (np.float64, np.inf),
    ],
)
def test_pixels_that_are_not_valid_are_grey(dtype, mark):
    pixels = np.arange(200 * 200).reshape(200, 200).astype(dtype) % 50
    pixels[:100] = mark
    picture = drawn(pixels)
    assert np.abs(picture[:40] - GREY).max() < 30
    assert np.abs(picture[56:] - GREY).max(axis=2).min() > 30


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int64, np.float32])
def test_masked_pixels_are_grey(dtype):
    pixels = np.full((64, 96), 5, dtype)
    mask = np.zeros(pixels.shape, bool)
    mask[:, :48] = True
    for picture in (drawn(pixels, mask), drawn(np.ma.MaskedArray(pixels, mask))):
        assert np.abs(picture[:, :40] - GREY).max() < 30
        assert np.abs(picture[:, 56:] - GREY).max(axis=2).min() > 30


@pytest.mark.parametrize("shape", [(1, 1), (3, 1000), (1000, 3), (5, 7), (97, 193)])
def test_frames_of_every_shape_are_drawn(shape):
    assert max(drawn(np.ones(shape, np.int32)).shape) == THUMBNAIL_SIDE


def test_a_frame_without_a_valid_pixel_is_all_grey():
    assert np.abs(drawn(np.full((50, 50), -1, np.int32)) - GREY).max() < 30
