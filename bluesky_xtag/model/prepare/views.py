"""The views of a binned frame: the detector image, the polar image, the profile and the scalars."""

from __future__ import annotations

import cv2
import numpy as np

from .binning import Binned
from .centre import estimate_centre
from .compiled import compile_loop
from .grid import QUICK, coarse, log1p, ratio, residual
from .inputs import PLAIN_CHANNELS, Inputs
from .polar import polar_views

__all__ = ["make_views"]

_FARTHEST = 1e6  # pixels; a beam centre beyond is none


def make_views(
    binned: Binned,
    beam_centre: tuple[float, float] | None,
    *,
    side: int,
    radii: int,
    azimuths: int,
    log_scale: float,
) -> Inputs:
    """Make the network's inputs from a binned frame.

    Parameters
    ----------
    binned : Binned
    beam_centre : tuple of float, optional
        (x, y), pixels of the frame. If None, or not finite, estimated.
    side, radii, azimuths, log_scale
        As of `Preparation`.
    """
    symmetry = 0.0
    if beam_centre is None or not np.all(np.abs(beam_centre) < _FARTHEST):  # nor if it is NaN
        known, (x, y, symmetry) = 0.0, estimate_centre(binned, log_scale)
    else:
        known, (x, y) = 1.0, ((float(c) + 0.5) / binned.factor - 0.5 for c in beam_centre)
    rows, columns = binned.counts.shape
    polar, profile, nearest = polar_views(binned, (x, y), (radii, azimuths), log_scale)
    total, area = float(binned.counts.sum()), float(binned.valid.sum())
    scalars = (
        np.log1p(total) / 20,
        np.log1p(log_scale * total / area) / 10,
        1 - area / binned.valid.size,
        np.log10(1 + binned.at_limit) / 4,
        np.log1p(binned.maximum) / 15,
        known,
        np.clip((x + 0.5) / columns, -1, 2),
        np.clip((y + 0.5) / rows, -1, 2),
        nearest,
        symmetry,
        np.log2(binned.factor) / 4,
        np.log(columns / rows),
    )
    return Inputs(_plain_view(binned, side, log_scale), polar, profile, np.array(scalars, np.float32))


def _plain_view(binned: Binned, side: int, log_scale: float) -> np.ndarray:
    (counts, step), (valid, _) = (coarse(layer, side) for layer in (binned.counts, binned.valid))
    around = [cv2.blur(layer, (9, 9)) for layer in (counts, valid)]
    return _plain(counts, valid, *around, np.float32(step**2), side, np.float32(log_scale))


@compile_loop(*QUICK)
def _plain(
    counts: np.ndarray,
    valid: np.ndarray,
    around_counts: np.ndarray,
    around_valid: np.ndarray,
    bins: np.float32,
    side: int,
    log_scale: np.float32,
) -> np.ndarray:
    """Return the plain view, (side, side, channels of `PLAIN_CHANNELS`), of means over so many bins."""
    rows, columns = counts.shape
    view = np.zeros((side, side, len(PLAIN_CHANNELS)), np.float32)
    top, left = (side - rows) // 2, (side - columns) // 2
    for row in range(rows):
        for column in range(columns):
            photons, area, cell = bins * counts[row, column], bins * valid[row, column], view[top + row, left + column]
            around = ratio(bins * around_counts[row, column], bins * around_valid[row, column])
            cell[0] = log1p(log_scale * ratio(photons, area)) / np.float32(10)  # in the order of PLAIN_CHANNELS
            cell[1] = valid[row, column]
            cell[2] = residual(photons, around * area)
    return view
