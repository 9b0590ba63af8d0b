"""Estimates where the beam is."""

from __future__ import annotations

import numpy as np

from .binning import Binned
from .grid import coarse
from .slopes import slopes
from .symmetry import symmetry

__all__ = ["estimate_centre"]

_CELLS = 64  # along the longer side
# What the slopes say against the symmetry; chosen by how many centres are found on simulated frames.
_SLOPES_WEIGHT = 8.0


def estimate_centre(binned: Binned, log_scale: float = 16.0) -> tuple[float, float, float]:
    """Estimate the beam centre: the frame is symmetric about it, and the slopes of its brightness point to it.

    Symmetry finds the centre if the whole pattern is visible, whatever the pattern is. Slopes find it if only a part is
    visible, next to the beam or above a horizon. Both give candidates; the candidate that agrees best with both is the
    result.

    Parameters
    ----------
    binned : Binned
        The frame.
    log_scale : float
        As in `Preparation`.

    Returns
    -------
    x, y : float
        Centre in bins of the working grid; it may lie outside the frame, by up to 0.7 of the longer side from a square
        about it. A frame without slopes and symmetry gives its middle.
    symmetry : float
        Correlation of the frame with itself turned by 180 degrees about that centre, -1..1; -1 also if too little of
        the frame overlaps, 0 outside.
    """
    rows, columns = binned.counts.shape
    (counts, step), (valid, _) = (coarse(layer, _CELLS) for layer in (binned.counts, binned.valid))
    turned, sloping = symmetry(counts, valid, step, log_scale), slopes(counts, valid, step)
    centres = np.concatenate([turned.centres(), sloping.centres()])
    if not len(centres):
        return (columns - 1) / 2, (rows - 1) / 2, 0.0
    best = centres[np.argmax(turned.merit(centres) + _SLOPES_WEIGHT * sloping.agreement(centres))]
    return float(best[0]), float(best[1]), turned.correlation(best)
