"""Where the slopes of a frame point. Most scattering rises and falls along radii, so to the beam or away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .compiled import compile_loop
from .grid import LEAST, QUICK, peaks

__all__ = ["Slopes", "slopes"]

# Chosen by how many centres they find on simulated frames: see the page on preparation.
_SIGMA = 1.0  # of the smoothing, cells
_SEEN = np.float32(0.3)  # valid share of a cell
_CLEAR = np.float32(0.3)  # least slope, in units of the counting noise a cell
_MOST = 600  # places that are looked at
_TOLERANCE = np.float32(0.12)  # sine of the angle by which a slope may miss the centre
_REACH = np.linspace(-0.7, 1.7, 13, dtype=np.float32)  # of centres, in units of the longer side
_STARTS, _BESIDE, _ANY = np.int64(4), np.int64(1), -1.0  # peaks of the agreement that are improved
_ROUNDS = 8
_NEAR = 10.0  # cells from a centre, from where on the angle counts, and not by how much a line misses it


@dataclass(frozen=True, eq=False)
class Slopes:
    """Directions in which a frame rises, where it clearly does.

    Parameters
    ----------
    places : numpy.ndarray
        (2, n) float32, x and y in cells.
    directions : numpy.ndarray
        (2, n) float32, unit vectors.
    weights : numpy.ndarray
        (n,) float32, sum 1.
    shape : tuple of int
        Cells, (rows, columns).
    step : int
        Bins of the working grid along a cell.
    """

    places: np.ndarray
    directions: np.ndarray
    weights: np.ndarray
    shape: tuple[int, int]
    step: int

    def agreement(self, centres: np.ndarray) -> np.ndarray:
        """Return the share, by weight, of the slopes that point to or from each of the centres (n, 2), in bins."""
        cells = (centres + 0.5) / self.step - 0.5
        return _agreement(self.places, self.directions, self.weights, cells.astype(np.float32))

    def centres(self) -> np.ndarray:
        """Return where most slopes meet, (n, 2) as x, y in bins of the working grid; none without slopes."""
        if not len(self.weights):
            return np.empty((0, 2))
        return (_centres(self.places, self.directions, self.weights, self.shape) + 0.5) * self.step - 0.5


def slopes(counts: np.ndarray, valid: np.ndarray, step: int) -> Slopes:
    """Return the slopes of a frame, of the square root of its counts, whose noise is the same everywhere.

    Parameters
    ----------
    counts, valid : numpy.ndarray
        (rows, columns) float32, means over cells of `step` x `step` bins: photons, and the valid fraction, 0..1.
    step : int
        Bins of the working grid along a cell.
    """
    smooth, area = (cv2.GaussianBlur(layer, (5, 5), _SIGMA) for layer in (counts, valid))
    places, directions, weights = _steepest(smooth, area, valid, np.float32(step**2))
    rows, columns = counts.shape
    return Slopes(places, directions, weights, (rows, columns), step)


@compile_loop(*QUICK)
def _steepest(
    smooth: np.ndarray, area: np.ndarray, valid: np.ndarray, bins: np.float32
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places, directions and weights of where the root of the counts clearly rises; cells have so many bins."""
    rows, columns = smooth.shape
    root = np.empty((rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            mean = bins * smooth[row, column] / max(area[row, column], LEAST)
            root[row, column] = np.float32(2) * np.sqrt(mean + np.float32(0.375))
    clear, number = np.empty((rows * columns, 2), np.int64), 0
    for row in range(1, rows - 1):
        for column in range(1, columns - 1):
            if _enough_valid(valid, row, column) and _slope(root, row, column)[2] > _CLEAR:
                clear[number, 0], clear[number, 1] = row, column
                number += 1
    kept = min(number, _MOST)
    places, directions = np.empty((2, kept), np.float32), np.empty((2, kept), np.float32)
    weights = np.empty(kept, np.float32)
    for place in range(kept):
        chosen = place * (number - 1) // max(kept - 1, 1)  # evenly spread
        row, column = clear[chosen, 0], clear[chosen, 1]
        along, down, steep = _slope(root, row, column)
        places[0, place], places[1, place] = column, row
        directions[0, place], directions[1, place] = along / steep, down / steep
        weights[place] = np.sqrt(min(steep, np.float32(2)))
    return places, directions, weights / max(weights.sum(), np.float32(1e-6))


@compile_loop()
def _enough_valid(valid: np.ndarray, row: int, column: int) -> bool:
    """Return whether enough of a cell and of its eight neighbours is valid."""
    for down in range(row - 1, row + 2):
        for across in range(column - 1, column + 2):
            if not valid[down, across] > _SEEN:
                return False
    return True


@compile_loop(*QUICK)
def _slope(layer: np.ndarray, row: int, column: int) -> tuple[Any, Any, Any]:
    """Return how a layer rises a cell along x, along y, and at most, from the eight neighbours (Sobel)."""
    along = down = np.float32(0)
    for beside, weight in ((-1, np.float32(1 / 8)), (0, np.float32(2 / 8)), (1, np.float32(1 / 8))):
        along += weight * (layer[row + beside, column + 1] - layer[row + beside, column - 1])
        down += weight * (layer[row + 1, column + beside] - layer[row - 1, column + beside])
    return along, down, np.sqrt(along * along + down * down)


@compile_loop()
def _centres(places: np.ndarray, directions: np.ndarray, weights: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return where slopes meet, (n, 2) in cells.

    The best places of a coarse grid that reaches far beyond the frame are improved by least squares, in which what
    points past a place counts ever less.
    """
    longer = np.float32(max(shape))
    x = _REACH * longer - np.float32((longer - shape[1]) / 2)  # 0 to 1 are the sides of a square about the frame
    y = _REACH * longer - np.float32((longer - shape[0]) / 2)
    grid = np.empty((len(y) * len(x), 2), np.float32)
    for place in range(len(grid)):
        grid[place, 0], grid[place, 1] = x[place % len(x)], y[place // len(x)]
    agreement = _agreement(places, directions, weights, grid).reshape((len(y), len(x)))
    starts = peaks(agreement, _BESIDE, _STARTS, _ANY)
    found, number = np.empty((len(starts), 2)), 0
    for start in range(len(starts)):
        column, row = _meeting_place(places, directions, weights, x[starts[start, 1]], y[starts[start, 0]])
        if x[0] < column < x[-1] and y[0] < row < y[-1]:
            found[number, 0], found[number, 1] = column, row
            number += 1
    return found[:number]


@compile_loop(*QUICK)
def _agreement(places: np.ndarray, directions: np.ndarray, weights: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the share, by weight, of the slopes that point to or from each of the centres (n, 2), in cells."""
    found = np.empty(len(centres), np.float32)
    for number in range(len(centres)):
        x, y = centres[number]
        total = np.float32(0)
        for slope in range(len(weights)):
            across, up = places[0, slope] - x, places[1, slope] - y
            total += weights[slope] * _pointedness(across, up, directions[0, slope], directions[1, slope])[0]
        found[number] = total
    return found


@compile_loop(*QUICK)
def _meeting_place(
    places: np.ndarray, directions: np.ndarray, weights: np.ndarray, x: float, y: float
) -> tuple[float, float]:
    """Return the place near (x, y), in cells, where the lines along the slopes meet best."""
    for _ in range(_ROUNDS):
        aa = ab = bb = ao = bo = all_weights = 0.0
        for slope in range(len(weights)):
            across, up = places[0, slope] - x, places[1, slope] - y
            along, down = directions[0, slope], directions[1, slope]
            pointing, distance2 = _pointedness(across, up, along, down)
            weight = weights[slope] * pointing * pointing / (distance2 + _NEAR * _NEAR)
            miss = across * down - up * along  # of the line along the slope, seen from (x, y)
            aa += weight * down * down
            ab -= weight * down * along
            bb += weight * along * along
            ao += weight * down * miss
            bo -= weight * along * miss
            all_weights += weight
        little = 1e-3 * all_weights  # holds a centre where all slopes are parallel
        aa, bb = aa + little, bb + little
        determinant = max(aa * bb - ab * ab, 1e-15)
        x, y = x + (bb * ao - ab * bo) / determinant, y + (aa * bo - ab * ao) / determinant
    return x, y


@compile_loop(*QUICK)
def _pointedness(across: Any, up: Any, along: Any, down: Any) -> tuple[Any, Any]:
    """Return how well a slope points to a centre, 1 to 0, and its squared distance, from where it lies and rises."""
    distance2 = across * across + up * up + np.float32(4)
    miss = across * down - up * along
    allowed = distance2 * (_TOLERANCE * _TOLERANCE)
    return allowed / (allowed + miss * miss), distance2
