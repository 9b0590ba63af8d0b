"""Photons are masked and added up; none of a valid pixel is lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FrameError
from .grid import block_mean

__all__ = ["SPIKE_COUNTS", "SPIKE_RATIO", "Binned", "add_up"]

# Pixels that are binned together: few enough to stay in the processor's cache, and enough to hide what calls cost.
_STRIP = 250_000
# A pixel of more than SPIKE_COUNTS above SPIKE_RATIO times its brightest neighbour is hot or was hit by a cosmic ray:
# no optics focus photons so sharply (a Gaussian spot with a sigma of 0.35 pixels has a ratio of 11).
SPIKE_RATIO, SPIKE_COUNTS = np.float32(15), np.float32(50)
_FEW = 0.02  # share of bright pixels up to which each is looked at by itself
_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
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
    shape = (-(-rows // factor), -(-columns // factor))
    counts, pixels = np.empty(shape, np.float32), np.empty(shape, np.float32)
    maximum, at_limit = 0.0, 0
    together = max(_STRIP // (factor * columns), 1)
    for first in range(0, shape[0], together):
        blocks = slice(first, min(first + together, shape[0]))
        strip, valid = _masked(image, mask, blocks, (factor, shape[1] * factor))
        counts[blocks], pixels[blocks] = (_block_sum(layer[1:-1, 1:-1], factor) for layer in (strip, valid))
        highest = float(strip.max())
        if highest >= max(maximum, _LOWEST_LIMIT):
            at_limit = (at_limit if highest == maximum else 0) + int(np.count_nonzero(strip == highest))
        maximum = max(maximum, highest)
    if not pixels.any():
        raise FrameError("no valid pixel: every value is masked, negative, NaN or the type's maximum")
    return Binned(counts, pixels / factor**2, factor, maximum, at_limit)


def _masked(
    image: np.ndarray, mask: np.ndarray | None, blocks: slice, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts (float32) and validity (1 or 0, uint8) of rows of blocks, filled up with nothing to whole ones.

    `size` is the height of a block and the width of all. Round what is returned runs a margin of one pixel without
    counts: while spikes are looked for, every pixel has its neighbours there.
    """
    height, width = size
    top, bottom = blocks.start * height, blocks.stop * height
    above = min(top, 1)
    pixels = slice(top - above, bottom + 1)
    image = image[pixels]
    valid = _valid_pixels(image)
    if mask is not None:
        valid &= ~mask[pixels]
    rows, columns = image.shape
    counts = np.zeros((bottom - top + 2, width + 2), np.float32)
    weights = np.zeros(counts.shape, np.uint8)
    here = (slice(1 - above, 1 - above + rows), slice(1, 1 + columns))
    with np.errstate(invalid="ignore"):  # of NaN, which is not valid
        counts[here] = image
    counts[here][~valid] = 0
    weights[here] = valid
    _leave_spikes(counts, weights)
    counts[[0, -1]] = 0
    return counts, weights


def _leave_spikes(counts: np.ndarray, weights: np.ndarray) -> None:
    """Make single pixels that stand far above all their neighbours invalid, in place; the margin stays as it is."""
    width, flat = counts.shape[1], counts.reshape(-1)
    inner = flat[width:-width]
    bright = inner > SPIKE_COUNTS
    if np.count_nonzero(bright) > _FEW * bright.size:  # most need no look at all their neighbours
        beside = np.maximum(flat[width - 1 : -width - 1], flat[width + 1 : -width + 1])
        bright = inner > SPIKE_RATIO * beside + SPIKE_COUNTS
    place = np.flatnonzero(bright) + width
    around = np.max([flat[place + down * width + right] for down, right in _NEIGHBOURS], axis=0)
    spikes = place[flat[place] > SPIKE_RATIO * around + SPIKE_COUNTS]
    flat[spikes] = weights.reshape(-1)[spikes] = 0


def _block_sum(layer: np.ndarray, factor: int) -> np.ndarray:
    """Return sums over blocks of factor x factor, float32; of a uint8 layer of ones and zeros too."""
    overflows = layer.dtype == np.uint8 and factor > np.iinfo(np.uint8).max
    lines = layer.reshape(-1, factor, layer.shape[1]).sum(axis=1, dtype=np.uint32 if overflows else layer.dtype)
    return block_mean(lines.astype(np.float32, copy=False), (len(lines), layer.shape[1] // factor)) * factor


def _valid_pixels(image: np.ndarray) -> np.ndarray:
    if image.dtype.kind == "f":
        return (image >= 0) & (image < np.inf)
    if image.dtype.kind == "u":
        return image < np.iinfo(image.dtype).max
    if image.dtype.kind == "i":  # read as unsigned, negative numbers lie above the maximum: one comparison will do
        return image.view(image.dtype.str.replace("i", "u")) < np.iinfo(image.dtype).max
    raise FrameError(f"a frame holds counts, but this one has dtype {image.dtype}: give integers or floats")
