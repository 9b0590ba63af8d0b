"""The baselines: a regular grid, and places at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import XTagValueError
from .axes import Axes, Axis
from .base import BaseStrategy
from .strategy import Stop

__all__ = ["Grid", "Random"]


class Grid(BaseStrategy):
    """A regular grid, row by row, each row in the direction opposite to the last.

    Stops when every place of the grid was ingested or skipped.

    Parameters
    ----------
    axes, tags, tag, seed
        As of every strategy; the tag may be left out.
    shape : int or sequence of int
        Number of places along each axis, the slowest motor first. A single number holds for each axis.

    Raises
    ------
    XTagValueError
        The shape does not fit the axes.
    """

    looks_for_one = False

    def __init__(self, axes: Axes | Sequence[Axis], *, shape: int | Sequence[int] = 11, **common: Any) -> None:
        super().__init__(axes, **common)
        sides = (shape,) * len(self.axes) if isinstance(shape, int) else tuple(shape)
        if len(sides) != len(self.axes) or min(sides) < 1:
            raise XTagValueError(
                f"the shape is {shape}, but there are {len(self.axes)} motors: give a whole number from 1 on for each"
            )
        places = _snake(sides)
        self._all = places[self._region.allows(places)]

    def _next(self, rng: np.random.Generator) -> np.ndarray | None:
        number = len(self._suggested)
        return self._all[number] if number < len(self._all) else None

    def _leave_out(self) -> None:
        self._all = self._still_allowed(self._all)

    def should_stop(self) -> Stop:
        """Return whether every place was ingested or skipped."""
        if len(self._suggested) == len(self._all) and not self._open:
            return Stop(True, f"all {len(self._all)} places of the grid are done")
        return Stop(False)


class Random(BaseStrategy):
    """Places at random, all equally likely.

    Stops when `points` places were ingested or skipped.

    Parameters
    ----------
    axes, tags, tag, seed
        As of every strategy; the tag may be left out.
    points : int, optional
        How many places. If not given, there is no end.
    """

    looks_for_one = False

    def __init__(self, axes: Axes | Sequence[Axis], *, points: int | None = None, **common: Any) -> None:
        super().__init__(axes, **common)
        if points is not None and (not isinstance(points, int) or points < 1):
            raise XTagValueError(f"points={points!r} must be a whole number from 1 on")
        self._points = points

    def _next(self, rng: np.random.Generator) -> np.ndarray | None:
        if self._points is not None and len(self._suggested) >= self._points:
            return None
        while True:
            place = rng.random(len(self.axes))
            if self._region.allows(place[None])[0]:
                return place

    def should_stop(self) -> Stop:
        """Return whether the wanted number of places was ingested or skipped."""
        if self._points is not None and len(self._suggested) >= self._points and not self._open:
            return Stop(True, f"all {self._points} places are done")
        return Stop(False)


def _snake(sides: Sequence[int]) -> np.ndarray:
    """Return all places of a grid, (n, axes) in units of the ranges; the middle where a side has one place."""
    order = [()]
    for side in sides:  # every other pass along an axis goes back
        order = [(*done, at if i % 2 == 0 else side - 1 - at) for i, done in enumerate(order) for at in range(side)]
    places = np.array(order, float)
    return np.where(np.array(sides) > 1, places / np.maximum(np.array(sides) - 1, 1), 0.5)
