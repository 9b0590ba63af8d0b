"""Go where the frames are least like the frames seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import XTagValueError
from .axes import Axes, Axis
from .growing_table import GrowingTable
from .model_based import ModelBasedStrategy
from .strategy import Point, Stop
from .surrogate import Process

__all__ = ["Novelty"]

_NOISE = 0.1


class Novelty(ModelBasedStrategy):
    """Goes where frames are likely to be unlike all others.

    The novelty of a frame is the Euclidean distance between its tags' probabilities and those of the most similar other
    frame. A Gaussian process is fitted to the novelty, in units of `differ`. The next frame goes where mean and
    standard deviation together, divided by the cost of the frame and its travel, are highest.

    Stops when the last `patience` frames after the first places showed nothing new: each was within `differ` of an
    earlier frame.

    Parameters
    ----------
    axes, tags, seed
        As of every strategy.
    patience : int
        Number of frames that show nothing new.
    differ : float
        Distance from which on a frame is new; above 0.
    length : float
        Distance over which the tags change, in units of the ranges.
    initial : int, optional
        Number of first places, which are spread evenly. If not given, 8 for each motor.

    Raises
    ------
    XTagValueError
        An argument does not fit.
    """

    looks_for_one = False

    def __init__(
        self,
        axes: Axes | Sequence[Axis],
        *,
        patience: int = 15,
        differ: float = 0.6,
        length: float = 0.15,
        initial: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(axes, length=length, initial=initial, **common)
        if self.tag is not None:
            raise XTagValueError(f"novelty looks at all tags: leave out tag={self.tag!r}")
        if patience < 1 or not differ > 0:
            raise XTagValueError(f"patience={patience}, differ={differ}: give patience from 1 on, and differ above 0")
        self._patience, self._differ = patience, differ
        self._nearest, self._earlier = GrowingTable(1), GrowingTable(1)

    def novelty(self) -> np.ndarray:
        """Return the distance of each frame seen from the most similar other one, (n,) float64; 0 if there is none."""
        seen = self._scores.all
        for i in range(len(self._nearest), len(seen)):  # each frame is compared with those before it, once
            distances = np.linalg.norm(seen[:i] - seen[i], axis=1)
            self._nearest.shrink(distances)
            nearest = distances.min(initial=np.inf)
            self._nearest.append(nearest)
            self._earlier.append(nearest)
        return self._nearest.all[:, 0].copy() if len(seen) > 1 else np.zeros(len(seen))

    def get_best_points(self) -> list[tuple[int | None, Point, Point]]:
        """Return the ten places whose frames are least like all others, the most unlike first."""
        return [self._best(int(i)) for i in np.argsort(-self.novelty(), kind="stable")[:10]]

    def _fit(self) -> Process:
        values = self.novelty() / self._differ
        return Process(self._places.all, values, np.full(len(values), _NOISE), self._length)

    def _use(self, places: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        return np.maximum(mean, 0) + deviation

    def _enough(self) -> Stop:
        later = len(self._places) - len(self._first)
        self.novelty()
        if later < self._patience or (self._earlier.all[-self._patience :] > self._differ).any():
            return Stop(False)
        return Stop(True, f"the last {self._patience} frames showed nothing new")
