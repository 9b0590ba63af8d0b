"""Where the beam is, if nobody tells."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import fft

from .binning import Binned
from .grid import block_mean, padded, ratio

__all__ = ["estimate_centre"]


def estimate_centre(binned: Binned, log_scale: float = 16.0) -> tuple[float, float, float]:
    """Estimate the beam centre as the centre of symmetry (Friedel's law: I(q) = I(-q)).

    The local contrast of the logarithm is convolved with itself: the peak lies at twice the centre. Each
    lag is normalised by the energy of the overlapping valid bins, and lags with little overlap count
    less. The contrast is local and bounded, so that edges of the lit area and single bright spots do not
    decide.

    Parameters
    ----------
    binned : Binned
        The frame.
    log_scale : float
        As in `Preparation`.

    Returns
    -------
    x, y : float
        Centre in bins of the working grid, always inside the frame.
    symmetry : float
        Correlation of the frame with itself turned by 180 degrees about that centre, -1..1.
    """
    rows, columns = binned.counts.shape
    step = max(1, -(-max(rows, columns) // 128))
    shape = (-(-rows // step), -(-columns // step))
    counts = block_mean(padded(binned.counts, step), shape)
    weights = block_mean(padded(binned.valid, step), shape)
    valid = (weights > 0.25).astype(np.float32)
    log = np.log1p(log_scale * ratio(counts, weights)) * valid
    log = (log - ratio(cv2.blur(log, (15, 15)), cv2.blur(valid, (15, 15)))) * valid
    bound = 2 * np.sqrt((log**2).sum() / max(valid.sum(), 1))
    log = np.clip(log, -bound, bound)
    size = [fft.next_fast_len(2 * side, real=True) for side in shape]
    image, energy, where = (np.asarray(fft.rfft2(layer, size)) for layer in (log, log**2, valid))
    product, power, overlap = (
        np.asarray(fft.irfft2(pair, size)) for pair in (image * image, energy * where, where * where)
    )
    share = np.clip(overlap / max(valid.sum(), 1), 0, 1)
    correlation = np.where((share > 0.1) & (power > 1e-3), product / np.maximum(power, 1e-3), -1)
    merit = correlation * share**0.25
    peak = np.unravel_index(np.argmax(merit), merit.shape)
    if merit[peak] <= 0:
        return (columns - 1) / 2, (rows - 1) / 2, 0.0
    y, x = ((lag / 2 + 0.5) * step - 0.5 for lag in peak)
    return float(x), float(y), float(np.clip(correlation[peak], -1, 1))
