"""Photons are masked and added up; none of a valid pixel is lost."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import FrameError
from .grid import block_mean

__all__ = ["SPIKE_COUNTS", "SPIKE_RATIO", "Binned", "add_up"]

# Rows of blocks that are binned together: few enough to stay in the processor's cache.
_STRIP = 16
# A pixel of more than SPIKE_COUNTS above SPIKE_RATIO times its brightest neighbour is hot or was hit by a cosmic ray:
# no optics focus photons so sharply (a Gaussian spot with a sigma of 0.35 pixels has a ratio of 11).
SPIKE_RATIO, SPIKE_COUNTS = 15.0, 50.0
_NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
# Below the limit of an eight-bit counter, many equal highest counts mean nothing.
_LOWEST_LIMIT = 254


@dataclass(frozen=True, eq=False)
class Binned:
    """A frame on the working grid; no photon of a valid pixel is lost.

    Parameters
    ----------
    counts : numpy.ndarray
        (rows, columns) float32, sums of counts over the valid pixels of each block.
    valid : numpy.ndarray
        (rows, columns) float32, fraction of each block's pixels that are valid, 0..1.
    factor : int
        Pixels of the frame along one side of a block.
    maximum : float
        Highest count of a valid pixel.
    at_limit : int
        Valid pixels that hold the highest count, if it is high enough to be a counter's limit.
    """

    counts: np.ndarray
    valid: np.ndarray
    factor: int
    maximum: float
    at_limit: int


def add_up(image: np.ndarray, mask: np.ndarray | None, grid: int) -> Binned:
    """Add up blocks of pixels, as many along the longer side as the grid has at most; see `Preparation.bin`."""
    image = np.asarray(image)
    if image.ndim != 2 or 0 in image.shape:
        raise FrameError(f"a frame has (rows, columns), but this one has shape {image.shape}")
    if mask is not None:
        if np.shape(mask) != image.shape:
            raise FrameError(
                f"the mask has shape {np.shape(mask)}, but the frame {image.shape}: give a mask of this detector"
            )
        mask = np.asarray(mask, bool)
    rows, columns = image.shape
    factor = max(1, -(-max(image.shape) // grid))
    counts, fraction = np.empty((2, -(-rows // factor), -(-columns // factor)), np.float32)
    maximum, at_limit = 0.0, 0
    for top in range(0, len(counts), _STRIP):
        strip, weights = _masked(image, mask, top * factor, _STRIP * factor, factor)
        shape = (len(strip) // factor, counts.shape[1])
        counts[top : top + _STRIP] = block_mean(strip, shape) * factor**2
        fraction[top : top + _STRIP] = block_mean(weights, shape)
        highest = float(strip.max())
        if highest >= max(maximum, _LOWEST_LIMIT):
            at_limit = (at_limit if highest == maximum else 0) + int(np.count_nonzero(strip == highest))
        maximum = max(maximum, highest)
    if not fraction.any():
        raise FrameError("no valid pixel: every value is masked, negative, NaN or the type's maximum")
    return Binned(counts, fraction, factor, maximum, at_limit)


def _masked(
    image: np.ndarray, mask: np.ndarray | None, top: int, height: int, factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts and validity (1 or 0) of a strip of rows, float32, filled up with nothing to whole blocks."""
    above = min(top, 1)  # one row more on both sides, so that every pixel has its neighbours
    pixels = slice(top - above, top + height + 1)
    image, mask = image[pixels], None if mask is None else mask[pixels]
    rows, columns = image.shape
    lines = -(-max(rows - above, 1) // factor) * factor + above
    padded = (max(lines, rows), -(-columns // factor) * factor)
    counts, weights = np.zeros(padded, np.float32), np.zeros(padded, np.float32)
    valid = _valid_pixels(image)
    if mask is not None:
        valid &= ~mask
    weights[:rows, :columns] = valid
    if image.dtype.kind == "f":  # NaN times zero would be NaN
        np.copyto(counts[:rows, :columns], image, casting="unsafe", where=valid)
    else:
        np.multiply(image, weights[:rows, :columns], out=counts[:rows, :columns], dtype=np.float32, casting="unsafe")
    _leave_spikes(counts, weights)
    strip = slice(above, above + min(height, -(-(rows - above) // factor) * factor))
    return counts[strip], weights[strip]


def _leave_spikes(counts: np.ndarray, weights: np.ndarray) -> None:
    """Make single pixels that stand far above all their neighbours invalid, in place."""
    if counts.max() <= SPIKE_COUNTS:
        return
    around = cv2.dilate(counts, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    spikes = counts > SPIKE_RATIO * around + SPIKE_COUNTS
    if spikes.any():
        counts[spikes] = weights[spikes] = 0


def _valid_pixels(image: np.ndarray) -> np.ndarray:
    if image.dtype.kind == "f":
        return (image >= 0) & (image < np.inf)
    if image.dtype.kind == "u":
        return image < np.iinfo(image.dtype).max
    if image.dtype.kind == "i":  # read as unsigned, negative numbers lie above the maximum: one comparison will do
        return image.view(image.dtype.str.replace("i", "u")) < np.iinfo(image.dtype).max
    raise FrameError(f"a frame holds counts, but this one has dtype {image.dtype}: give integers or floats")
