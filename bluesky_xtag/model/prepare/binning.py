"""Masks photons and adds them up. No photon of a valid pixel is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from ...errors import FrameError, FrameNotReady
from .compiled import compiled
from .packed import PackedImage
from .validity import FEW, GAP_VALUES, as_counts, hides_gaps, sample_step, split_high

__all__ = ["SPIKE_COUNTS", "SPIKE_RATIO", "Binned", "add_up"]

# Pixels that are binned together: few enough to stay in the processor's cache, and enough to hide what calls cost, and
# that threads take turns in Python between them. Measured with two threads: at 60,000 a third less.
_STRIP = 480_000
# A pixel of more than SPIKE_COUNTS above SPIKE_RATIO times its brightest neighbour is hot or was hit by a cosmic ray:
# no optics focus photons so sharply (a Gaussian spot with a sigma of 0.35 pixels has a ratio of 11).
SPIKE_RATIO, SPIKE_COUNTS = np.float32(15), np.float32(50)
# Below the limit of an eight-bit counter, many equal highest counts mean nothing.
_LOWEST_LIMIT = 254
_LIT = 4  # ends of rows of pixels at the type's limit, from which on it is looked whether they are saturated
_TOO_MANY = 1e12  # counts, for a pixel: some write such numbers where there is no detector
_NO_MASK = np.empty((0, 0), bool)


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
        Number of valid pixels with the highest count, if this count is high enough to be a counter's limit.
    """

    counts: np.ndarray
    valid: np.ndarray
    factor: int
    maximum: float
    at_limit: int


def add_up(image: np.ndarray | PackedImage, mask: np.ndarray | None, grid: int) -> Binned:
    """Add up blocks of pixels, at most as many along the longer side as the grid has; see `Preparation.bin`."""
    if not _is_packed(image):
        return _add_up(np.asanyarray(image), mask, grid)
    binned = _add_up_plain(image, mask, grid)
    return _add_up(image.unpack(), mask, grid) if binned is None else binned


def _is_packed(image: Any) -> TypeGuard[PackedImage]:
    return not isinstance(image, np.ndarray) and hasattr(image, "unpack")


def _add_up_plain(image: PackedImage, mask: np.ndarray | None, grid: int) -> Binned | None:
    """Add up blocks of an image while it is decoded; None if its pixels turn out not to be plain counts.

    What `_add_up` looks at before and between, is looked at afterwards; the rows for it are kept as they pass.
    """
    mask = _join(image.mask, mask, image.shape)
    limit = _limit(image.dtype)
    sampled = _Sampled(image)
    try:
        binned, lit = _bin(sampled, mask, limit, grid)
    except FrameNotReady:
        raise
    except FrameError:  # no valid pixel, unless they are not counts
        return None
    sample = sampled.sample
    if lit >= _LIT or as_counts(sample).image is not sample or hides_gaps(sample, binned.maximum) is not None:
        return None
    return binned


def _join(own: np.ndarray | None, mask: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return what an image's own mask and the user's hide, together."""
    if mask is not None and np.shape(mask) != shape:
        raise FrameError(f"the mask has shape {np.shape(mask)}, but the frame {shape}: give a mask of this detector")
    mask = None if mask is None else np.asarray(mask, bool)
    if own is None or mask is None:
        return mask if own is None else own
    return own | mask


def _add_up(image: np.ndarray, mask: np.ndarray | None, grid: int) -> Binned:
    own = np.ma.getmaskarray(image) if isinstance(image, np.ma.MaskedArray) else None  # it came with the pixels
    image = np.asarray(image)
    if image.ndim != 2 or 0 in image.shape:
        raise FrameError(f"a frame has (rows, columns), but this one has shape {image.shape}")
    mask = _join(own, mask, image.shape)
    limit, whole = _limit(image.dtype), as_counts(image).image
    binned, lit = _bin(whole, mask, limit, grid)
    if lit >= _LIT and whole is image:
        gaps, saturated = split_high(image, limit, mask)
        if saturated.sum() >= FEW:
            # A counter that fills its type says how much it held; flags of more bits than any counter do not.
            held = float(limit) if limit < GAP_VALUES[2] else binned.maximum
            return _bin(_without(image, gaps, saturated, held), mask, np.float32(_TOO_MANY), grid)[0]
    for _ in GAP_VALUES:  # one kind of gap may hide another
        value = hides_gaps(whole, binned.maximum)
        if value is None:
            break
        gaps, saturated = split_high(whole, value, mask)
        if gaps.sum() < FEW:
            break
        whole = _without(whole, gaps, saturated, float(value))
        binned, _ = _bin(whole, mask, np.float32(_TOO_MANY), grid)
    return binned


def _without(image: np.ndarray, gaps: np.ndarray, saturated: np.ndarray, held: float) -> np.ndarray:
    """Return a frame without the pixels of gaps; saturated ones hold what they are known to hold."""
    changed = image.astype(np.float32)
    changed[saturated] = held
    changed[gaps] = np.nan
    return changed


def _bin(image: np.ndarray | _Sampled, mask: np.ndarray | None, limit: np.float32, grid: int) -> tuple[Binned, int]:
    """Add up blocks; return also how many pixels next to such as hold the limit are brighter than those beyond."""
    rows, columns = image.shape
    factor = max(1, -(-max(image.shape) // grid))
    shape = (-(-rows // factor), -(-columns // factor))
    counts, pixels = np.empty(shape, np.float32), np.empty(shape, np.float32)
    maximum, at_limit, lit = 0.0, 0, 0
    together = max(_STRIP // (factor * columns), 1)
    strips = _strips(image, together * factor)
    for first, strip in zip(range(0, shape[0], together), strips, strict=True):
        blocks = slice(first, first + together)
        top = first * factor
        above = min(top, 1)
        masked = _NO_MASK if mask is None else np.array(mask[top - above : top - above + len(strip)], order="C")
        height = min(together * factor, rows - top)
        highest, times, bright = _add_strip(strip, masked, above, height, limit, factor, counts[blocks], pixels[blocks])
        lit += bright
        if highest >= maximum:
            at_limit = (at_limit if highest == maximum else 0) + times
        maximum = max(maximum, highest)
    if not pixels.any():
        raise FrameError("no valid pixel: every value is masked, negative, NaN or the type's maximum")
    return Binned(counts, pixels / factor**2, factor, maximum, at_limit), lit


class _Sampled:
    """A packed image of which the rows that `as_counts` and `hides_gaps` look at are kept when they pass."""

    def __init__(self, image: PackedImage) -> None:
        self.image, self.shape = image, image.shape
        self.step = sample_step(image.shape[0])
        self.sample = np.empty((-(-image.shape[0] // self.step), image.shape[1]), image.dtype)

    def keep(self, rows: np.ndarray, first: int) -> None:
        """Keep those of some rows, of which the number of the first is given."""
        skipped = -first % self.step
        kept = rows[skipped :: self.step]
        begin = (first + skipped) // self.step
        self.sample[begin : begin + len(kept)] = kept


def _strips(image: np.ndarray | _Sampled, height: int) -> Iterator[np.ndarray]:
    """Yield float32 strips of rows with those beside them: spikes are told by their neighbours."""
    with np.errstate(invalid="ignore", over="ignore"):  # of what is not valid anyway
        if isinstance(image, np.ndarray):
            for top in range(0, len(image), height):
                yield np.array(image[max(top - 1, 0) : top + height + 1], np.float32, order="C")
        else:
            yield from _decode_strips(image, height)


def _decode_strips(sampled: _Sampled, height: int) -> Iterator[np.ndarray]:
    rows, columns = sampled.shape
    image = sampled.image
    decoded = np.empty((min(height + 1, rows), columns), image.dtype)
    window = np.empty((height + 2, columns), np.float32)
    held = done = 0  # rows of the window, and of the image
    with image.rows() as source:
        for top in range(0, rows, height):
            if top:  # the last row of the strip before, and the first of this one
                window[:2] = window[held - 2 : held]
                held = 2
            fresh = decoded[: min(top + height + 1, rows) - done]
            source.fill(fresh)
            sampled.keep(fresh, done)
            window[held : held + len(fresh)] = fresh
            held, done = held + len(fresh), done + len(fresh)
            yield window[:held]


def _limit(dtype: np.dtype) -> np.float32:
    """Return the value from which on a pixel is not valid: the maximum of an integer type, or more than any counts."""
    if dtype.kind not in "fui":
        raise FrameError(f"a frame holds counts, but this one has dtype {dtype}: give integers or floats")
    return np.float32(_TOO_MANY if dtype.kind == "f" else min(np.iinfo(dtype).max, _TOO_MANY))


@compiled()
def _add_strip(
    image: np.ndarray,
    mask: np.ndarray,
    above: int,
    height: int,
    limit: np.float32,
    factor: int,
    counts: np.ndarray,
    pixels: np.ndarray,
) -> tuple[float, int, int]:
    """Fill rows of blocks with the sums of `height` rows of pixels, and with how many of them are valid.

    The rows come with those beside them, `above` of them before. Return the highest count, how many pixels hold it if
    it may be a counter's limit, and how often light spreads from pixels at the type's limit, as it does where they are
    saturated.
    """
    rows, columns = image.shape
    # A row and those beside it, with a margin, so that all pixels have neighbours; few enough for the first cache.
    clean, valid = np.zeros((3, columns + 2), np.float32), np.zeros((3, columns), np.float32)
    sums, areas = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for row in range(above + 1):
        _clean(image, mask, row, limit, clean[row - above], valid[row - above])
    highest, times, lit = np.float32(0), 0, 0
    for row in range(height):
        before, here, after = (row - 1) % 3, row % 3, (row + 1) % 3
        _clean(image, mask, above + row + 1, limit, clean[after], valid[after])
        top = _leave_spikes(clean[before], clean[here], clean[after], valid[here])
        if limit < _TOO_MANY and row % 4 == 0:
            lit += _count_lit(image[above + row], limit)
        block, inside = row // factor, row % factor
        if inside == 0:
            sums[:] = areas[:] = 0
        for column in range(columns):
            sums[column] += clean[here, column + 1] * valid[here, column]
            areas[column] += valid[here, column]
        if top >= highest and top >= _LOWEST_LIMIT:
            times = _count(clean[here], valid[here], top) + (times if top == highest else 0)
        highest = _larger(highest, top)
        if inside == factor - 1 or row == height - 1:
            _add_across(sums, areas, factor, counts[block], pixels[block])
    return float(highest), times, lit


@compiled()
def _count_lit(row: np.ndarray, limit: np.float32) -> int:
    """Return how many pixels next to such as hold the limit are much brighter than the next, or nearly as bright."""
    if _highest(row) < limit:
        return 0
    lit, half = np.int32(0), limit / np.float32(2)
    before_last, last, here, following, second = row[:-4], row[1:-3], row[2:-2], row[3:-1], row[4:]
    for column in range(len(here)):  # without branches and negative places, so that pixels are looked at by the dozen
        light, one, other = here[column], before_last[column], second[column]
        right = following[column] >= limit
        edge = (light < limit) & (right != (last[column] >= limit))
        beyond = one if right else other
        bright = (light > np.float32(4) * beyond + np.float32(100)) | (light > np.float32(3000)) | (light >= half)
        lit += np.int32(edge & bright)
    return int(lit)


@compiled()
def _clean(
    image: np.ndarray, mask: np.ndarray, row: int, limit: np.float32, clean: np.ndarray, valid: np.ndarray
) -> None:
    """Copy a row of pixels, those that are not valid as 0; all are 0 below the last."""
    if row >= len(image):
        clean[:] = 0
        return
    for column in range(image.shape[1]):
        count = image[row, column]
        good = (count >= 0) & (count < limit)
        clean[column + 1] = count if good else np.float32(0)
        valid[column] = np.float32(1) if good else np.float32(0)
    if len(mask):
        for column in range(image.shape[1]):
            if mask[row, column]:
                clean[column + 1] = valid[column] = 0


@compiled()
def _leave_spikes(above: np.ndarray, row: np.ndarray, below: np.ndarray, valid: np.ndarray) -> np.float32:
    """Make single pixels that stand far above all their neighbours invalid, what they hold stays; return the highest.

    The highest count is that of the pixels that are left.
    """
    highest = _highest(row)
    if highest <= SPIKE_COUNTS:
        return highest
    beside = np.empty(len(row), np.float32)
    for column in range(len(row)):
        beside[column] = _larger(above[column], below[column])
    spikes = np.int32(0)
    for column in range(len(valid)):  # row[column + 1] is its pixel
        around = _larger(_larger(beside[column], beside[column + 1]), beside[column + 2])
        around = _larger(around, _larger(row[column], row[column + 2]))
        spike = row[column + 1] > SPIKE_RATIO * around + SPIKE_COUNTS
        valid[column] = np.float32(0) if spike else valid[column]
        spikes += np.int32(spike)
    return _highest(row[1:-1] * valid) if spikes else highest


@compiled()
def _highest(row: np.ndarray) -> np.float32:
    """Return the highest count; as floats from 0 on are in the order of their bits, it is found among integers."""
    bits = row.view(np.int32)
    highest = np.int32(0)
    for column in range(len(bits)):
        highest = max(highest, bits[column])
    return np.full(1, highest).view(np.float32)[0]  # read as a float again: only arrays can be


@compiled()
def _count(row: np.ndarray, valid: np.ndarray, count: np.float32) -> int:
    """Return how many valid pixels of a row hold a count."""
    times = 0
    for column in range(len(valid)):
        times += (row[column + 1] == count) & (valid[column] > 0)
    return times


@compiled()
def _add_across(sums: np.ndarray, areas: np.ndarray, factor: int, counts: np.ndarray, pixels: np.ndarray) -> None:
    """Add neighbouring columns, `factor` to a block; the last may be less."""
    whole = len(sums) // factor
    counts[:] = pixels[:] = 0
    for offset in range(factor):
        for block in range(whole):
            counts[block] += sums[block * factor + offset]
            pixels[block] += areas[block * factor + offset]
    for column in range(whole * factor, len(sums)):
        counts[whole] += sums[column]
        pixels[whole] += areas[column]


@compiled()
def _larger(one: np.float32, other: np.float32) -> np.float32:
    """Return the larger number; quicker than `max`, which minds NaN."""
    return one if one > other else other
