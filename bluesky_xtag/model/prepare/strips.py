"""Adds up strips of rows: compiled loops that pass over pixels a few rows at a time, while these are in the cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .compiled import compile_loop

__all__ = ["SPIKE_COUNTS", "SPIKE_RATIO", "TOO_MANY", "Blocks", "Found", "add_decoded", "add_strip", "together"]

# A pixel of more than SPIKE_COUNTS above SPIKE_RATIO times its brightest neighbour is hot or was hit by a cosmic ray:
# no optics focus photons so sharply (a Gaussian spot with a sigma of 0.35 pixels has a ratio of 11).
SPIKE_RATIO, SPIKE_COUNTS = np.float32(15), np.float32(50)
# Below the limit of an eight-bit counter, many equal highest counts mean nothing.
_LOWEST_LIMIT = 254
TOO_MANY = 1e12  # counts, for a pixel: some write such numbers where there is no detector
_ONE, _TWO = np.uint64(1), np.uint64(2)
_LOOKED_AT = np.uint64(256)  # pixels of a row that are looked at together


class Blocks(NamedTuple):
    """What pixels are added up to, and which of them.

    Parameters
    ----------
    counts, pixels : numpy.ndarray
        (rows, columns) float32 of blocks: sums, and numbers of valid pixels; both are filled.
    factor : int
        Pixels along one side of a block.
    mask : numpy.ndarray
        (rows, columns) bool of pixels, true where they are not valid; (0, 0) without one.
    limit : numpy.float32
        Count from which on a pixel is not valid.
    """

    counts: np.ndarray
    pixels: np.ndarray
    factor: int
    mask: np.ndarray
    limit: np.float32


Found = tuple[np.float32, int, int]
"""Of pixels: the highest count, how many have it if it may be a counter's limit, and how often light spreads from such
at the type's limit, as it does where they are saturated."""


@compile_loop()
def add_decoded(
    fill: Any,
    state: np.ndarray,
    rows: int,
    fresh: np.ndarray,
    signed: bool,
    blocks: Blocks,
    sample: np.ndarray,
    step: int,
) -> tuple[bool, Found]:
    """Fill blocks with what is decoded a few rows at a time, so that it stays in the cache; keep every `step`th row.

    `fresh` is room for one row more than are added up together, of unsigned integers whatever the pixels are: each kind
    of pixels that this is compiled for takes seconds. Return first whether all could be decoded.
    """
    height, columns = len(fresh) - 1, fresh.shape[1]
    window = np.empty((height + 2, columns), np.float32)
    found, held, done = (np.float32(0), 0, 0), 0, 0
    for top in range(0, rows, height):
        if top:
            window[0], window[1] = window[held - 2], window[held - 1]
            held = 2
        more = min(top + height + 1, rows) - done
        if not fill(state.ctypes, fresh.ctypes, more * columns):
            return False, found
        for row in range(more):
            if (done + row) % step == 0:
                sample[(done + row) // step] = fresh[row]
            _to_floats(fresh[row], signed, window[held + row])
        held, done = held + more, done + more
        found = together(found, add_strip(window[:held], top, min(top, 1), min(height, rows - top), blocks))
    return True, found


@compile_loop()
def _to_floats(row: np.ndarray, signed: bool, floats: np.ndarray) -> None:
    if signed:
        least = np.int64(1) << (8 * row.itemsize - 1)
        for column in range(len(row)):
            floats[column] = (np.int64(row[column]) ^ least) - least  # 2**n - 1 is -1
    else:
        for column in range(len(row)):
            floats[column] = row[column]


@compile_loop()
def together(some: Found, more: Found) -> Found:
    """Return what is known of two parts of an image together."""
    times = 0
    if some[0] >= more[0]:
        times += some[1]
    if more[0] >= some[0]:
        times += more[1]
    return _larger(some[0], more[0]), times, some[2] + more[2]


@compile_loop()
def add_strip(image: np.ndarray, first: int, above: int, height: int, blocks: Blocks) -> Found:
    """Fill rows of blocks with `height` rows of pixels, from number `first` on.

    The image is float32 and has the rows beside them, too, `above` of them before.
    """
    factor, limit, mask = blocks.factor, blocks.limit, blocks.mask[first - above : first + height + 1]
    columns = image.shape[1]
    # A row and those beside it, with a margin, so that all pixels have neighbours; few enough for the first cache.
    clean, valid = np.zeros((3, columns + 2), np.float32), np.zeros((3, columns), np.uint8)
    sums, areas = np.empty(columns, np.float32), np.empty(columns, np.int32)
    for row in range(above + 1):
        _clean(image, mask, row, limit, clean[row - above], valid[row - above])
    highest, times, lit = np.float32(0), 0, 0
    for row in range(height):
        before, here, after = (row - 1) % 3, row % 3, (row + 1) % 3
        _clean(image, mask, above + row + 1, limit, clean[after], valid[after])
        top, spikes = _leave_spikes(clean[before], clean[here], clean[after], valid[here])
        if limit < TOO_MANY and row % 4 == 0:
            lit += _count_lit(image[above + row], limit)
        block, inside = (first + row) // factor, row % factor
        if inside == 0:
            sums[:], areas[:] = 0, 0
        _add_row(clean[here, 1:-1], valid[here], spikes, sums, areas)
        if top >= highest and top >= _LOWEST_LIMIT:
            times = _count(clean[here], valid[here], top) + (times if top == highest else 0)
        highest = _larger(highest, top)
        if inside == factor - 1 or row == height - 1:
            _add_across(sums, areas, factor, blocks.counts[block], blocks.pixels[block])
    return highest, times, lit


@compile_loop()
def _add_row(row: np.ndarray, valid: np.ndarray, spikes: bool, sums: np.ndarray, areas: np.ndarray) -> None:
    """Add a row of pixels to those above; only spikes that are not valid have not become 0."""
    if spikes:
        for column in range(len(row)):
            sums[column] += row[column] if valid[column] else np.float32(0)
    else:
        for column in range(len(row)):
            sums[column] += row[column]
    for column in range(len(row)):
        areas[column] += valid[column]


@compile_loop()
def _count_lit(row: np.ndarray, limit: np.float32) -> int:
    """Return how many pixels next to such as hold the limit are much brighter than the next, or nearly as bright."""
    bits, least = row.view(np.int32), _bits(limit)
    lit, half = np.int32(0), limit / np.float32(2)
    last = np.uint64(max(len(row) - 2, 2))
    for begin in range(_TWO, last, _LOOKED_AT):
        end = min(begin + _LOOKED_AT, last)
        highest = np.int32(0)
        for column in range(begin - _ONE, end + _ONE):
            highest = max(highest, bits[column])
        if highest < least:
            continue
        for column in range(begin, end):  # without branches, so that pixels are looked at by the dozen
            light = row[column]
            right = row[column + _ONE] >= limit
            edge = (light < limit) & (right != (row[column - _ONE] >= limit))
            beyond = row[column - _TWO] if right else row[column + _TWO]
            bright = (light > np.float32(4) * beyond + np.float32(100)) | (light > np.float32(3000)) | (light >= half)
            lit += np.int32(edge & bright)
    return int(lit)


@compile_loop()
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
        valid[column] = good
    if len(mask):
        for column in range(image.shape[1]):
            if mask[row, column]:
                clean[column + 1] = valid[column] = 0


@compile_loop()
def _leave_spikes(above: np.ndarray, row: np.ndarray, below: np.ndarray, valid: np.ndarray) -> tuple[np.float32, bool]:
    """Make single pixels that stand far above all their neighbours invalid, what they hold stays.

    Return the highest count of the pixels that are left, and whether there were any such.
    """
    bits = row.view(np.int32)
    highest, found = np.int32(0), False
    least = _bits(SPIKE_COUNTS)
    for begin in range(np.uint64(0), np.uint64(len(valid)), _LOOKED_AT):
        end = min(begin + _LOOKED_AT, np.uint64(len(valid)))
        top = np.int32(0)
        for column in range(begin, end):  # row[column + 1] is its pixel
            top = max(top, bits[column + _ONE])
        if top > least:
            spikes = np.int32(0)
            for column in range(begin, end):
                beside = _larger(_larger(above[column], above[column + _ONE]), above[column + _TWO])
                beside = _larger(beside, _larger(_larger(below[column], below[column + _ONE]), below[column + _TWO]))
                beside = _larger(beside, _larger(row[column], row[column + _TWO]))
                spike = row[column + _ONE] > SPIKE_RATIO * beside + SPIKE_COUNTS
                valid[column] = np.uint8(0) if spike else valid[column]
                spikes += np.int32(spike)
            if spikes:
                found, top = True, np.int32(0)
                for column in range(begin, end):
                    top = max(top, bits[column + _ONE] if valid[column] else np.int32(0))
        highest = max(highest, top)
    return _float(highest), found


@compile_loop()
def _highest(row: np.ndarray) -> np.float32:
    """Return the highest count; as floats from 0 on are in the order of their bits, it is found among integers."""
    bits = row.view(np.int32)
    highest = np.int32(0)
    for column in range(len(bits)):
        highest = max(highest, bits[column])
    return _float(highest)


@compile_loop()
def _float(bits: np.int32) -> np.float32:
    return np.full(1, bits).view(np.float32)[0]  # only arrays can be read as another type


@compile_loop()
def _bits(number: np.float32) -> np.int32:
    return np.full(1, number).view(np.int32)[0]


@compile_loop()
def _count(row: np.ndarray, valid: np.ndarray, count: np.float32) -> int:
    """Return how many valid pixels of a row hold a count."""
    times = 0
    for column in range(len(valid)):
        times += (row[column + 1] == count) & (valid[column] > 0)
    return times


@compile_loop()
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


@compile_loop()
def _larger(one: np.float32, other: np.float32) -> np.float32:
    """Return the larger number; quicker than `max`, which minds NaN."""
    return one if one > other else other
