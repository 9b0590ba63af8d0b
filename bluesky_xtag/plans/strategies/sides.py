"""Processes of which only the sign is seen, or the highest of several: for borders between tags."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from .growing_table import GrowingTable
from .surrogate import EXACT, Process

__all__ = ["STEEP", "Sides"]

STEEP = 1000.0
"""Variance of heights, in log odds, for borders as sharp as those of tags."""

_WRONG = 0.02
"""Share of the frames that may be on the wrong side, before it is known where they lie."""
_ROUNDS = 6
"""Rounds in which steadiness and doubt of the values find to each other."""
_LEFT_OUT = 1e6
"""Noise of what does not count."""
_ALSO = 8
"""Beyond `EXACT` values, so many of the nearest are judged anew next to a new one."""


class Sides:
    """Makes a process of which only the side is seen, such as whether a tag holds, and sometimes seen wrongly.

    A frame says on which side of a border it lies, but not how far from it. A process that takes sides for heights (-1
    and 1) bends at each border, and is pulled to and fro by frames that are near to it. Here, heights are found that
    explain the sides (logistic likelihood, with the variational bound of Jaakkola & Jordan, Statistics and Computing
    10, 2000): each frame counts as a value with a noise, both of which depend on how far from the border the others
    place it. A frame that the others contradict counts as seen wrongly, as far as that is probable.

    Parameters
    ----------
    length : float
        Distance over which a border changes its direction, in units of the ranges.
    steep : float
        Variance of the heights, in log odds; the more, the sharper are the borders.
    """

    def __init__(self, length: float, steep: float) -> None:
        self._length, self._steep = length, steep
        self._judged = GrowingTable(2)  # see `_judge`; beyond EXACT values
        self._last: Process | None = None
        self._sides = np.empty(0)

    def process(self, places: np.ndarray, sides: np.ndarray) -> Process:
        """Return the process, with one function for each side, in units of the standard deviation of the heights.

        Parameters
        ----------
        places : numpy.ndarray
            (n, motors) in units of the ranges.
        sides : numpy.ndarray
            (n,) from -1 to 1, or (n, groups) of 1 in the group and -1 else; what is in no group does not count.
        """
        if len(places) <= EXACT:
            return self._of_all(places, sides)[0]
        if not len(self._judged):
            _, judged = self._of_all(places[:EXACT], sides[:EXACT])
            for each in judged:
                self._judged.append(each)
        for count in range(len(self._judged), len(places)):
            self._judge_next(places[: count + 1], sides[: count + 1])
        if self._last is None or len(self._last.places) != len(places) or not np.array_equal(self._sides, sides):
            self._take(Process(places, *self._values(sides, self._judged.all), self._length), sides)
        return self._last  # pyright: ignore[reportReturnType]

    def _of_all(self, places: np.ndarray, sides: np.ndarray) -> tuple[Process, np.ndarray]:
        # At first each counts as little as what is far from all others, so that the wrong ones can be outvoted.
        judged = np.tile([0.5 / np.sqrt(self._steep), 1.0], (len(places), 1))
        process = Process(places, *self._values(sides, judged), self._length)
        for _ in range(_ROUNDS if len(places) else 0):
            judged = self._judge(sides, *process.at_values())
            process = process.again(*self._values(sides, judged))
        return process, judged

    def _judge_next(self, places: np.ndarray, sides: np.ndarray) -> None:
        """Judge the last value by those before it, and those around it anew."""
        before = self._last
        if before is None or len(before.places) != len(places) - 1 or not np.array_equal(self._sides, sides[:-1]):
            before = Process(places[:-1], *self._values(sides[:-1], self._judged.all), self._length)
        self._judged.append(self._judge(sides[-1:], *before.predict(places[-1:]))[0])
        process = Process(places, *self._values(sides, self._judged.all), self._length)
        around = process.nearest(places[-1], _ALSO)
        self._judged.replace(around, self._judge(sides[around], *process.predict(places[around])))
        self._take(process.again(*self._values(sides, self._judged.all)), sides)

    def _take(self, process: Process, sides: np.ndarray) -> None:
        self._last, self._sides = process, sides

    def _judge(self, sides: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Return how much each value weighs, and how surely it is right (-1 to 1), by what is expected: (n, 2)."""
        if sides.ndim == 1:
            margin = np.sign(sides) * mean
        else:
            inside = sides > 0
            own = np.where(inside, mean, 0).sum(axis=1)
            margin = (own - np.where(inside, -np.inf, mean).max(axis=1)) / 2 if mean.shape[1] > 1 else own
            margin = np.where(inside.any(axis=1), margin, 0)
        margin = margin * np.sqrt(self._steep)
        height = np.sqrt(margin**2 + self._steep * deviation**2)
        right = expit(margin)
        right = (1 - _WRONG) * right / ((1 - _WRONG) * right + _WRONG * (1 - right))
        return np.column_stack([np.tanh(height / 2) / (2 * height), 2 * right - 1])

    def _values(self, sides: np.ndarray, judged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the values that stand for the sides, and their noise."""
        weight, right = judged.T
        height = right / (2 * weight * np.sqrt(self._steep))
        noise = 1 / (weight * self._steep)
        if sides.ndim == 1:
            return sides * height, noise
        return sides * height[:, None], np.where((sides > 0).any(axis=1), noise, _LEFT_OUT)
