"""How bright each pixel of a frame is drawn: on a logarithmic scale between two percentiles, whatever draws it."""

from __future__ import annotations

import numpy as np

__all__ = ["GAP", "as_colours", "log_counts"]

GAP = (0xC4, 0xC9, 0xD1)
_PERCENTILES = (2, 99.8)
_LEAST = 1.8  # of the logarithm from black to white, so that noise is not blown up


def log_counts(pixels: np.ndarray, longest: int) -> tuple[np.ndarray, float, float]:
    """Return the logarithms of the counts of a frame, made smaller, and which of them are black and white.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns) raw counts; negative values, NaN, a type's maximum and masked pixels are not valid.
    longest : int
        How many rows or columns the result has, about.

    Returns
    -------
    numpy.ndarray
        (rows, columns) float: of each block of pixels the brightest, so that spots and gaps survive; NaN if it is not
        valid.
    float, float
        The logarithms to be drawn black and white.
    """
    counts = _thin(np.ma.filled(np.ma.asarray(pixels).astype(float), -1.0), longest)
    valid = np.isfinite(counts) & (counts >= 0) & (counts < 2**32 - 2)
    values = np.log1p(np.where(valid, counts, np.nan))
    low, high = np.nanpercentile(values, _PERCENTILES) if valid.any() else (0.0, 1.0)
    return values, float(low), max(float(high), float(low) + _LEAST)


def as_colours(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return a frame as a coloured image that fills as much of a space as its shape allows.

    Parameters
    ----------
    pixels : numpy.ndarray
        As for `log_counts`.
    rows, columns : int
        The space, in pixels that are square.

    Returns
    -------
    numpy.ndarray
        (rows, columns, 3) uint8: red, green and blue, at most as many rows and columns as there is space.
    """
    import cv2

    scale = min(rows / pixels.shape[0], columns / pixels.shape[1])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    values, low, high = log_counts(pixels, 2 * max(size))
    bright = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0, 1)
    coloured = cv2.applyColorMap((255 * bright).round().astype(np.uint8), cv2.COLORMAP_MAGMA)[..., ::-1]
    coloured[np.isnan(values)] = GAP
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return cv2.resize(np.ascontiguousarray(coloured), size, interpolation=way)


def _thin(counts: np.ndarray, longest: int) -> np.ndarray:
    block = max(1, round(max(counts.shape) / longest))
    rows, columns = (size // block * block for size in counts.shape)
    if not rows or not columns:  # a strip that is thinner than a block
        return counts
    blocks = counts[:rows, :columns].reshape(rows // block, block, columns // block, block)
    return blocks.max(axis=(1, 3))
