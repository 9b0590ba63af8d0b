"""Small pictures of frames, for pages that show thousands of them."""

from __future__ import annotations

import numpy as np

from .brightness import GAP

__all__ = ["THUMBNAIL_SIDE", "draw_thumbnail", "invalid_pixels"]

THUMBNAIL_SIDE = 96  # pixels
_PERCENTILES = (2, 99.8)
_LEAST = 1.8  # of the logarithm from black to white, so that noise is not blown up; as on all other pictures
_QUALITY = 55  # of WebP


def draw_thumbnail(pixels: np.ndarray, mask: np.ndarray | None = None, side: int = THUMBNAIL_SIDE) -> bytes:
    """Return a small picture of a frame: its counts on a logarithmic scale, gaps and masked pixels in grey.

    Of each block of pixels the brightest is drawn, so that spots stay. Blocks are thinned before anything is converted,
    so a frame of a million pixels takes a few milliseconds.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns) raw counts; negative values, NaN, the maximum of an integer type and masked pixels are not
        valid.
    mask : numpy.ndarray, optional
        (rows, columns), true where pixels must not be used.
    side : int
        Longest side of the picture in pixels.

    Returns
    -------
    bytes
        A WebP picture, about 2 kB for 96 pixels.
    """
    import cv2

    counts = _brightest(pixels, mask, 2 * side)
    valid = np.isfinite(counts) & (counts >= 0)
    values = np.log1p(np.where(valid, counts, 0.0))
    seen = values[valid]
    low, high = np.percentile(seen, _PERCENTILES) if seen.size else (0.0, 1.0)
    high = max(high, low + _LEAST)
    bright = np.clip((values - low) / (high - low), 0, 1)
    coloured = cv2.applyColorMap((255 * bright).round().astype(np.uint8), cv2.COLORMAP_MAGMA)
    coloured[~valid] = GAP[::-1]
    scale = side / max(coloured.shape[:2])
    size = tuple(max(1, round(length * scale)) for length in coloured.shape[1::-1])
    shown = cv2.resize(coloured, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    return cv2.imencode(".webp", shown, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])[1].tobytes()


def invalid_pixels(pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Return which pixels do not count.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns) raw counts of any integer or float type.
    mask : numpy.ndarray, optional
        (rows, columns), true where pixels must not be used.

    Returns
    -------
    numpy.ndarray
        (rows, columns) bool: masked, negative, not finite, the maximum of an integer type of two bytes or more, and, as
        detectors mark pixels that are dead, 2**32 - 2 in uint32 and 10**12 or more in uint64.
    """
    data = np.ma.getdata(pixels)
    kind, size = data.dtype.kind, data.dtype.itemsize
    if kind == "f":
        invalid = ~(np.isfinite(data) & (data >= 0))
    elif kind == "i":
        invalid = (data < 0) | (data == np.iinfo(data.dtype).max)
    elif kind == "u" and size > 1:
        invalid = data >= {2: 2**16 - 1, 4: 2**32 - 2, 8: 10**12}[size]
    else:
        invalid = np.zeros(data.shape, bool)
    if np.ma.isMaskedArray(pixels):
        invalid |= np.ma.getmaskarray(pixels)
    if mask is not None and mask.shape == data.shape:
        invalid |= mask
    return invalid


def _brightest(pixels: np.ndarray, mask: np.ndarray | None, longest: int) -> np.ndarray:
    """Return the largest valid count of each block as float32; -1 where no pixel of a block is valid."""
    data = np.ma.getdata(pixels)
    if data.dtype.kind == "b":
        data = data.astype(np.uint8)
    invalid = invalid_pixels(pixels, mask)
    if invalid.any():
        # An unsigned type has no number below all counts, so it grows.
        wider = {"u1": "i2", "u2": "i4", "u4": "i8", "u8": "f8"}.get(data.dtype.str[1:], data.dtype.str)
        data = data.astype(wider)  # a copy, which may change
        data[invalid] = -1
    block = max(1, -(-max(data.shape) // longest))
    rows, columns = (-(-size // block) * block for size in data.shape)
    if (rows, columns) != data.shape:
        data = np.pad(data, ((0, rows - data.shape[0]), (0, columns - data.shape[1])), mode="edge")
    blocks = data.reshape(rows // block, block, columns // block, block)
    return blocks.max(axis=3).max(axis=1).astype(np.float32)
