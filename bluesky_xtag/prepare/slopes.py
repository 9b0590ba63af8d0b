"""Where the slopes of a frame point: most scattering rises and falls along radii, so to the beam, or away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .compiled import compiled

__all__ = ["Slopes", "slopes"]

# Chosen by how many centres they find on simulated frames: see the page on preparation.
_SIGMA = 1.0  # of the smoothing, cells
_CLEAR = 0.3  # least slope, in units of the counting noise a cell
_MOST = 600  # places that are looked at
_TOLERANCE = np.float32(0.12)  # sine of the angle by which a slope may miss the centre
_REACH = np.linspace(-0.7, 1.7, 13, dtype=np.float32)  # of centres, in units of the longer side
_STARTS, _ROUNDS = 4, 8
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
        return self._agreeing((np.asarray(centres, np.float32) + 0.5) / self.step - 0.5)

    def centres(self) -> np.ndarray:
        """Return where most slopes meet, (n, 2) as x, y in bins of the working grid; none without slopes.

        The best places of a coarse grid that reaches far beyond the frame are improved by least squares, in which what
        points past a place counts ever less.
        """
        if not len(self.weights):
            return np.empty((0, 2))
        grid = self._reach(np.stack(np.meshgrid(_REACH, _REACH), axis=-1).reshape(-1, 2))
        agreement = self._agreeing(grid).reshape(len(_REACH), len(_REACH))
        peaks = np.flatnonzero(agreement >= cv2.dilate(agreement, np.ones((3, 3), np.uint8)))
        starts = grid[peaks[np.argsort(-agreement.ravel()[peaks], kind="stable")[:_STARTS]]].tolist()
        found = np.array([_meeting(self.places, self.directions, self.weights, *start) for start in starts])
        lowest, highest = (self._reach(edge) for edge in (_REACH[0], _REACH[-1]))
        within = found[((found > lowest) & (found < highest)).all(axis=1)]
        return (within + 0.5) * self.step - 0.5

    def _agreeing(self, centres: np.ndarray) -> np.ndarray:
        """Agreement about centres in cells."""
        return _agreement(self.places, self.directions, self.weights, np.ascontiguousarray(centres, np.float32))

    def _reach(self, share: np.ndarray | np.float32) -> np.ndarray:
        """Return places in cells, (..., 2), from 0 to 1 along the sides of a square about the frame."""
        longer = np.float32(max(self.shape))
        return share * longer - (longer - np.array(self.shape[::-1], np.float32)) / 2


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
    root = 2 * np.sqrt(step**2 * smooth / np.maximum(area, 1e-3) + 0.375)
    along, down = cv2.Sobel(root, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(root, cv2.CV_32F, 0, 1, scale=1 / 8)
    steepness = np.hypot(along, down)
    seen = cv2.erode(
        (valid > 0.3).astype(np.uint8), np.ones((3, 3), np.uint8), None, (-1, -1), 1, cv2.BORDER_CONSTANT, 0
    )
    clear = np.flatnonzero((seen > 0) & (steepness > _CLEAR))
    if len(clear) > _MOST:
        clear = clear[np.linspace(0, len(clear) - 1, _MOST).astype(int)]
    y, x = np.unravel_index(clear, counts.shape)
    steep = steepness.ravel()[clear]
    weights = np.sqrt(np.minimum(steep, 2))
    return Slopes(
        np.stack([x, y]).astype(np.float32),
        np.stack([along.ravel()[clear], down.ravel()[clear]]) / steep,
        weights / max(float(weights.sum()), 1e-6),
        (counts.shape[0], counts.shape[1]),
        step,
    )


@compiled("reassoc", "nsz", "contract")  # sums in any order are quick
def _agreement(places: np.ndarray, directions: np.ndarray, weights: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the share, by weight, of the slopes that point to or from each of the centres (n, 2), in cells."""
    found = np.empty(len(centres), np.float32)
    for number in range(len(centres)):
        x, y = centres[number]
        total = np.float32(0)
        for slope in range(len(weights)):
            across, up = places[0, slope] - x, places[1, slope] - y
            total += weights[slope] * _pointing(across, up, directions[0, slope], directions[1, slope])[0]
        found[number] = total
    return found


@compiled("reassoc", "nsz", "contract")
def _meeting(
    places: np.ndarray, directions: np.ndarray, weights: np.ndarray, x: float, y: float
) -> tuple[float, float]:
    """Return the place near (x, y), in cells, where the lines along the slopes meet best."""
    for _ in range(_ROUNDS):
        aa = ab = bb = ao = bo = all_weights = 0.0
        for slope in range(len(weights)):
            across, up = places[0, slope] - x, places[1, slope] - y
            along, down = directions[0, slope], directions[1, slope]
            pointing, distance2 = _pointing(across, up, along, down)
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


@compiled("reassoc", "nsz", "contract")
def _pointing(across: Any, up: Any, along: Any, down: Any) -> tuple[Any, Any]:
    """Return how well a slope points to a centre, 1 to 0, and its squared distance, from where it lies and rises."""
    distance2 = across * across + up * up + np.float32(4)
    miss = across * down - up * along
    allowed = distance2 * (_TOLERANCE * _TOLERANCE)
    return allowed / (allowed + miss * miss), distance2
