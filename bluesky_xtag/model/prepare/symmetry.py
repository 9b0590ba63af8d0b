"""Where a frame is symmetric. I(q) = I(-q) (Friedel's law), so a turn of 180 degrees about the beam changes nothing."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import fft

from .compiled import compile_loop
from .grid import LEAST, QUICK, log1p, peaks, ratio

__all__ = ["Symmetry", "symmetry"]

_LOCAL = 11  # side of the neighbourhood that contrast is told from, cells
_PEAKS, _REACH = np.int64(5), np.int64(3)


class Symmetry:
    """How well a frame agrees with itself turned by 180 degrees, by the centre of the turn.

    Parameters
    ----------
    correlation : numpy.ndarray
        (2 rows - 1, 2 columns - 1) float32, by the sum of the two places that are compared: twice the centre; -1..1.
    merit : numpy.ndarray
        The same, less where less of the frame overlaps.
    step : int
        Bins of the working grid along a cell.
    """

    def __init__(self, correlation: np.ndarray, merit: np.ndarray, step: int) -> None:
        self._correlation, self._merit, self._step = correlation, merit, step
        self._best = peaks(merit, _REACH, _PEAKS, 0.0)

    def centres(self) -> np.ndarray:
        """Return the best centres, (n, 2) as x, y in bins of the working grid, best first."""
        return (_vertices(self._merit, self._best) / 2 + 0.5) * self._step - 0.5

    def merit(self, centres: np.ndarray) -> np.ndarray:
        """Return how well the frame is symmetric about centres (n, 2): 1 at the best, 0 at the least and outside."""
        highest = self._merit[tuple(self._best[0])] if len(self._best) else 0.0
        return np.maximum(_at(self._merit, centres, self._step), 0) / max(float(highest), 1e-6)

    def correlation(self, centre: np.ndarray) -> float:
        """Return the correlation of the frame with itself turned about a centre (x, y), -1..1.

        It is -1 where too little of the frame overlaps to tell, and 0 outside the frame.
        """
        return float(np.clip(_at(self._correlation, centre[None], self._step)[0], -1, 1))


def symmetry(counts: np.ndarray, weights: np.ndarray, step: int, log_scale: float) -> Symmetry:
    """Compare a frame with itself turned about every half cell.

    Parameters as of `slopes`, and `log_scale` as in `Preparation`.

    The local contrast of the logarithm is convolved with itself: peaks lie at twice the centres of symmetry. Each lag
    is normalised by the energy of the overlapping valid cells, and lags with little overlap count less. The contrast is
    local and bounded, so that edges of the lit area and single bright spots do not decide.
    """
    logs = _logs(counts, weights, np.float32(log_scale))
    layers = _contrast(logs, cv2.blur(logs, (_LOCAL, _LOCAL)))
    size = [fft.next_fast_len(2 * side, real=True) for side in counts.shape]
    spectra = np.asarray(fft.rfft2(layers, size))
    products = np.asarray(fft.irfft2(spectra * spectra[[0, 2, 2]], size))
    correlation, merit = _correlate(products, counts.shape, layers[2].sum())
    return Symmetry(correlation, merit, step)


@compile_loop(*QUICK)
def _logs(counts: np.ndarray, weights: np.ndarray, log_scale: np.float32) -> np.ndarray:
    """Return logarithm and validity of each cell, (rows, columns, 2)."""
    logs = np.empty((*counts.shape, 2), np.float32)
    for row in range(counts.shape[0]):
        for column in range(counts.shape[1]):
            weight = weights[row, column]
            valid = np.float32(1) if weight > np.float32(0.25) else np.float32(0)
            logs[row, column, 0] = log1p(log_scale * ratio(counts[row, column], weight)) * valid
            logs[row, column, 1] = valid
    return logs


@compile_loop(*QUICK)
def _contrast(logs: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Return contrast to what lies around, its square, and validity, (3, rows, columns)."""
    rows, columns, _ = logs.shape
    layers = np.empty((3, rows, columns), np.float32)
    energy = area = np.float32(0)
    for row in range(rows):
        for column in range(columns):
            valid = logs[row, column, 1]
            contrast = (logs[row, column, 0] - ratio(around[row, column, 0], around[row, column, 1])) * valid
            layers[0, row, column], layers[2, row, column] = contrast, valid
            energy += contrast * contrast
            area += valid
    bound = np.float32(2) * np.sqrt(energy / max(area, np.float32(1)))
    for row in range(rows):
        for column in range(columns):
            contrast = min(max(layers[0, row, column], -bound), bound)
            layers[0, row, column], layers[1, row, column] = contrast, contrast * contrast
    return layers


@compile_loop(*QUICK)
def _correlate(products: np.ndarray, shape: tuple[int, int], area: np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Return correlation and merit of each lag, from the products at each: of contrast, of energy, of validity."""
    correlation = np.empty((2 * shape[0] - 1, 2 * shape[1] - 1), np.float32)
    merit = np.empty_like(correlation)
    area = max(area, np.float32(1))
    for row in range(correlation.shape[0]):
        for column in range(correlation.shape[1]):
            power = products[1, row, column]
            share = min(max(products[2, row, column] / area, np.float32(0)), np.float32(1))
            told = (share > np.float32(0.05)) & (power > LEAST)
            agreement = products[0, row, column] / max(power, LEAST) if told else np.float32(-1)
            correlation[row, column] = agreement
            root = np.sqrt(share)
            merit[row, column] = agreement * root * np.sqrt(root)  # share ** (3 / 4), in a sixth of the time
    return correlation, merit


@compile_loop()
def _vertices(layer: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return where parabolas through each place and its neighbours are highest, (n, 2) as column, row."""
    rows, columns = layer.shape
    found = np.empty((len(places), 2))
    for number in range(len(places)):
        row, column = places[number]
        height = layer[row, column]
        left, right = layer[row, max(column - 1, 0)], layer[row, min(column + 1, columns - 1)]
        above, below = layer[max(row - 1, 0), column], layer[min(row + 1, rows - 1), column]
        found[number, 0] = column + _vertex(left, height, right)
        found[number, 1] = row + _vertex(above, height, below)
    return found


@compile_loop()
def _vertex(before: float, height: float, after: float) -> float:
    return min(max((after - before) / max(2 * (2 * height - before - after), 1e-9), -0.5), 0.5)


@compile_loop()
def _at(layer: np.ndarray, centres: np.ndarray, step: int) -> np.ndarray:
    """Return what a layer holds for each of the centres (n, 2), x and y in bins; 0 outside."""
    found = np.zeros(len(centres))
    for number in range(len(centres)):
        x, y = centres[number]
        column, row = np.rint(2 * ((x + 0.5) / step - 0.5)), np.rint(2 * ((y + 0.5) / step - 0.5))
        if 0 <= row < layer.shape[0] and 0 <= column < layer.shape[1]:
            found[number] = layer[int(row), int(column)]
    return found
