"""Masks photons and adds them up. No photon of a valid pixel is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from ...errors import FrameError, FrameNotReady
from .packed import PackedImage, Rows
from .strips import TOO_MANY, Blocks, Found, add_decoded, add_strip, together
from .validity import FEW, GAP_VALUES, as_counts, hides_gaps, sample_step, split_high

__all__ = ["Binned", "add_up"]

# Pixels that are binned together: few enough to stay in the processor's cache, and enough to hide what calls cost, and
# that threads take turns in Python between them. Measured with two threads: at 60,000 a third less.
_STRIP = 480_000
_STAYS = 40_000  # the same, where threads do not take turns
_LIT = 4  # ends of rows of pixels at the type's limit, from which on it is looked whether they are saturated
_USUAL = ("uint16", "uint32", "int16", "int32")  # that loops are compiled for before the first frame
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
            return _bin(_without(image, gaps, saturated, held), mask, np.float32(TOO_MANY), grid)[0]
    for _ in GAP_VALUES:  # one kind of gap may hide another
        value = hides_gaps(whole, binned.maximum)
        if value is None:
            break
        gaps, saturated = split_high(whole, value, mask)
        if gaps.sum() < FEW:
            break
        whole = _without(whole, gaps, saturated, float(value))
        binned, _ = _bin(whole, mask, np.float32(TOO_MANY), grid)
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
    blocks = Blocks(counts, pixels, factor, _NO_MASK if mask is None else np.array(mask, order="C"), limit)
    if isinstance(image, np.ndarray):
        height = _height(factor, columns)
        maximum, at_limit, lit = _bin_strips(_strips(image, height), height, rows, blocks)
    else:
        maximum, at_limit, lit = _bin_packed(image, blocks)
    if not pixels.any():
        raise FrameError("no valid pixel: every value is masked, negative, NaN or the type's maximum")
    return Binned(counts, pixels / factor**2, factor, float(maximum), at_limit), lit


def _height(factor: int, columns: int, pixels: int = _STRIP) -> int:
    """Return how many rows are added up together: whole blocks."""
    return max(pixels // (factor * columns), 1) * factor


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


def _bin_packed(image: _Sampled, blocks: Blocks) -> Found:
    rows, columns = image.shape
    with image.image.rows() as source:
        decoded = source.compiled() if str(image.sample.dtype) in _USUAL else None
        if decoded is None:
            height = _height(blocks.factor, columns)
            return _bin_strips(_decode_strips(image, source, height), height, rows, blocks)
        height, dtype = min(_height(blocks.factor, columns, _STAYS), rows), image.sample.dtype
        bits = np.dtype(f"u{dtype.itemsize}")
        fresh, sample = np.empty((height + 1, columns), bits), image.sample.view(bits)
        good, found = add_decoded(
            decoded.fill, decoded.state, rows, fresh, dtype.kind == "i", blocks, sample, image.step
        )
        if not good:
            raise decoded.error()
        return found


def _bin_strips(strips: Iterable[np.ndarray], height: int, rows: int, blocks: Blocks) -> Found:
    found = (np.float32(0), 0, 0)
    for top, strip in zip(range(0, rows, height), strips, strict=True):
        found = together(found, add_strip(strip, top, min(top, 1), min(height, rows - top), blocks))
    return found


def _strips(image: np.ndarray, height: int) -> Iterator[np.ndarray]:
    """Yield float32 strips of rows with those beside them: spikes are told by their neighbours."""
    with np.errstate(invalid="ignore", over="ignore"):  # of what is not valid anyway
        for top in range(0, len(image), height):
            yield np.array(image[max(top - 1, 0) : top + height + 1], np.float32, order="C")


def _decode_strips(sampled: _Sampled, source: Rows, height: int) -> Iterator[np.ndarray]:
    rows, columns = sampled.shape
    decoded = np.empty((min(height + 1, rows), columns), sampled.sample.dtype)
    window = np.empty((height + 2, columns), np.float32)
    held = done = 0  # rows of the window, and of the image
    for top in range(0, rows, height):
        if top:  # the last row of the strip before, and the first of this one
            window[:2] = window[held - 2 : held]
            held = 2
        fresh = decoded[: min(top + height + 1, rows) - done]
        source.fill(fresh)
        sampled.keep(fresh, done)
        with np.errstate(invalid="ignore", over="ignore"):
            window[held : held + len(fresh)] = fresh
        held, done = held + len(fresh), done + len(fresh)
        yield window[:held]


def _limit(dtype: np.dtype) -> np.float32:
    """Return the value from which on a pixel is not valid: the maximum of an integer type, or more than any counts."""
    if dtype.kind not in "fui":
        raise FrameError(f"a frame holds counts, but this one has dtype {dtype}: give integers or floats")
    return np.float32(TOO_MANY if dtype.kind == "f" else min(np.iinfo(dtype).max, TOO_MANY))
