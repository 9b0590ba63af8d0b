"""Where the beam is, if nobody tells."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import fft

from .binning import Binned
from .grid import block_mean, padded, ratio

__all__ = ["estimate_centre"]

# Chosen by how many centres they find on simulated frames: see the page on preparation.
_LOCAL = 21  # side of the neighbourhood that contrast is told from, cells
_CANDIDATES = 10
_RADIAL_WEIGHT = 3.0  # of what radii explain, beside the symmetry


def estimate_centre(binned: Binned, log_scale: float = 16.0) -> tuple[float, float, float]:
    """Estimate the beam centre: there the frame is symmetric, and the radius explains its brightness.

    The local contrast of the logarithm is convolved with itself (Friedel's law: I(q) = I(-q)): peaks lie at twice
    the centres of symmetry. Each lag is normalised by the energy of the overlapping valid cells, and lags with
    little overlap count less. The contrast is local and bounded, so that edges of the lit area and single bright
    spots do not decide. Among the highest peaks that one is taken about which the radius alone explains the most of
    the logarithm's variance, weighed against the symmetry.

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
    correlation, merit = _symmetry(log, valid)
    lags = _highest(merit)
    if not len(lags):
        return (columns - 1) / 2, (rows - 1) / 2, 0.0
    merits = merit[tuple(lags.T)]
    explained = _explained(log, valid, lags / 2)
    best = lags[np.argmax(merits / merits.max() + _RADIAL_WEIGHT * explained)]
    y, x = (best / 2 + 0.5) * step - 0.5
    return float(x), float(y), float(np.clip(correlation[tuple(best)], -1, 1))


def _symmetry(log: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlation of a frame with itself turned about half of each lag, and what it counts."""
    contrast = (log - ratio(*(cv2.blur(layer, (_LOCAL, _LOCAL)) for layer in (log, valid)))) * valid
    bound = 2 * np.sqrt((contrast**2).sum() / max(valid.sum(), 1))
    contrast = np.clip(contrast, -bound, bound)
    size = [fft.next_fast_len(2 * side, real=True) for side in valid.shape]
    image, energy, where = (np.asarray(fft.rfft2(layer, size)) for layer in (contrast, contrast**2, valid))
    product, power, overlap = (
        np.asarray(fft.irfft2(pair, size)) for pair in (image * image, energy * where, where * where)
    )
    share = np.clip(overlap / max(valid.sum(), 1), 0, 1)
    correlation = np.where((share > 0.05) & (power > 1e-3), product / np.maximum(power, 1e-3), -1)
    root = np.sqrt(share)
    return correlation, correlation * root * np.sqrt(root)  # share ** (3 / 4), in a sixth of the time


def _highest(merit: np.ndarray) -> np.ndarray:
    """Return the places (row, column) of the highest peaks above 0, (n, 2), highest first."""
    merit = merit.astype(np.float32)
    peaks = np.flatnonzero((merit > 0) & (merit >= cv2.dilate(merit, np.ones((7, 7), np.uint8))))
    highest = peaks[np.argsort(-merit.ravel()[peaks], kind="stable")[:_CANDIDATES]]
    return np.stack(np.unravel_index(highest, merit.shape), axis=-1)


def _explained(log: np.ndarray, valid: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the share of the variance that the radius about each centre (row, column) explains, beyond chance."""
    shape = tuple(-(-side // 2) for side in log.shape)
    weights = block_mean(padded(valid, 2), shape)
    seen = weights > 0
    values = ratio(block_mean(padded(log, 2), shape), weights)[seen]
    values = values - values.mean()
    rows, columns = np.nonzero(seen)
    y, x = ((centres - 0.5) / 2).astype(np.float32).T[..., None]
    radius = np.hypot(rows.astype(np.float32) - y, columns.astype(np.float32) - x)
    ring = (radius - radius.min(axis=1, keepdims=True)).astype(np.intp)
    rings = int(ring.max()) + 1
    ring += np.arange(len(centres))[:, None] * rings
    number, total = (
        np.bincount(ring.ravel(), layer, rings * len(centres)).reshape(-1, rings)
        for layer in (None, np.tile(values, len(centres)))
    )
    between = (total**2 / np.maximum(number, 1)).sum(axis=1)
    by_chance = np.count_nonzero(number, axis=1) / max(values.size, 1)
    variance = max(float((values**2).sum()), 1e-9)
    return (between / variance - by_chance) / np.maximum(1 - by_chance, 0.1)
