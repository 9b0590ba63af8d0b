"""Where a frame is symmetric: I(q) = I(-q) (Friedel's law), so it is the same turned by 180 degrees about the beam."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import fft

from .grid import log1p, ratio

__all__ = ["Symmetry", "symmetry"]

_LOCAL = 11  # side of the neighbourhood that contrast is told from, cells
_PEAKS = 5


class Symmetry:
    """How well a frame agrees with itself turned by 180 degrees, by the centre of the turn.

    Parameters
    ----------
    correlation : numpy.ndarray
        By the sum of the two places that are compared, (row, column): twice the centre; -1..1.
    merit : numpy.ndarray
        The same, less where less of the frame overlaps.
    step : int
        Bins of the working grid along a cell.
    """

    def __init__(self, correlation: np.ndarray, merit: np.ndarray, step: int) -> None:
        self._correlation, self._merit, self._step = correlation, merit.astype(np.float32), step

    def centres(self) -> np.ndarray:
        """Return the best centres, (n, 2) as x, y in bins of the working grid, best first."""
        merit = self._merit
        peaks = np.flatnonzero((merit > 0) & (merit >= cv2.dilate(merit, np.ones((7, 7), np.uint8))))
        highest = peaks[np.argsort(-merit.ravel()[peaks], kind="stable")[:_PEAKS]]
        lags = np.stack(np.unravel_index(highest, merit.shape), axis=-1)
        return ((lags + _vertices(merit, lags))[:, ::-1] / 2 + 0.5) * self._step - 0.5

    def merit(self, centres: np.ndarray) -> np.ndarray:
        """Return how well the frame is symmetric about centres (n, 2): 1 at the best, 0 at the least and outside."""
        return np.maximum(self._at(self._merit, centres), 0) / max(float(self._merit.max()), 1e-6)

    def correlation(self, centre: np.ndarray) -> float:
        """Return the correlation of the frame with itself turned about a centre (x, y), -1..1.

        It is -1 where too little of the frame overlaps to tell, and 0 outside the frame.
        """
        return float(np.clip(self._at(self._correlation, centre[None])[0], -1, 1))

    def _at(self, layer: np.ndarray, centres: np.ndarray) -> np.ndarray:
        lags = np.rint(2 * ((centres[:, ::-1] + 0.5) / self._step - 0.5)).astype(int)
        inside = ((lags >= 0) & (lags < layer.shape)).all(axis=1)
        found = np.zeros(len(centres))
        found[inside] = layer[tuple(lags[inside].T)]
        return found


def symmetry(counts: np.ndarray, weights: np.ndarray, step: int, log_scale: float) -> Symmetry:
    """Compare a frame with itself turned about every half cell.

    Parameters as of `slopes`, and `log_scale` as in `Preparation`.

    The local contrast of the logarithm is convolved with itself: peaks lie at twice the centres of symmetry. Each lag
    is normalised by the energy of the overlapping valid cells, and lags with little overlap count less. The contrast is
    local and bounded, so that edges of the lit area and single bright spots do not decide.
    """
    valid = (weights > 0.25).astype(np.float32)
    log = log1p(log_scale * ratio(counts, weights)) * valid
    correlation, share = _correlated(_contrast(log, valid), valid)
    root = np.sqrt(share)
    merit = correlation * root * np.sqrt(root)  # share ** (3 / 4), in a sixth of the time
    lags = tuple(slice(2 * side - 1) for side in counts.shape)
    return Symmetry(correlation[lags], merit[lags], step)


def _vertices(layer: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Return where the tops of parabolas through each peak and its neighbours lie, (n, 2), from the peak."""
    padded_layer = np.pad(layer, 1, mode="edge")
    middle = layer[tuple(peaks.T)]
    tops = []
    for down, right in ((1, 0), (0, 1)):
        before, after = (padded_layer[tuple((peaks + 1 + [side * down, side * right]).T)] for side in (-1, 1))
        tops.append((after - before) / np.maximum(2 * (2 * middle - before - after), 1e-9))
    return np.clip(np.stack(tops, axis=-1), -0.5, 0.5)


def _contrast(log: np.ndarray, valid: np.ndarray) -> np.ndarray:
    contrast = (log - ratio(*(cv2.blur(layer, (_LOCAL, _LOCAL)) for layer in (log, valid)))) * valid
    bound = 2 * np.sqrt((contrast**2).sum() / max(valid.sum(), 1))
    return np.clip(contrast, -bound, bound)


def _correlated(contrast: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlation at each lag, and the share of the valid cells that overlap there."""
    size = [fft.next_fast_len(2 * side, real=True) for side in valid.shape]
    image, energy, where = (np.asarray(fft.rfft2(layer, size)) for layer in (contrast, contrast**2, valid))
    product, power, overlap = (
        np.asarray(fft.irfft2(pair, size)) for pair in (image * image, energy * where, where * where)
    )
    share = np.clip(overlap / max(valid.sum(), 1), 0, 1)
    return np.where((share > 0.05) & (power > 1e-3), product / np.maximum(power, 1e-3), -1), share
