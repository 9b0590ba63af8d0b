"""What the learning strategies share: evenly spread first places, then the place with the best use for its cost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import XTagValueError
from .axes import Axes, Axis, to_unit, travel
from .base import BaseStrategy
from .strategy import Stop
from .surrogate import Process, one_thread, spread

__all__ = ["ModelBasedStrategy"]

_NEAR = 0.03
"""Distance within which a place without tags lowers the use of other places, in units of the ranges."""

_IN_VAIN = 20
"""A strategy gives up after this many places without tags in succession."""


class ModelBasedStrategy(BaseStrategy):
    """A strategy that begins with evenly spread places, and then goes where a frame has the best use for its cost.

    Parameters
    ----------
    axes, tags, tag, seed
        As of every strategy.
    length : float
        Distance over which the tags change, in units of the ranges.
    initial : int, optional
        Number of first places. If not given, 8 for each motor.
    """

    _candidates = 500

    def __init__(
        self, axes: Axes | Sequence[Axis], *, length: float, initial: int | None = None, **common: Any
    ) -> None:
        super().__init__(axes, **common)
        count = 8 * len(self.axes) if initial is None else int(initial)
        if count < 1:
            raise XTagValueError(f"initial is {initial}, but a strategy needs a first place: give a number from 1 on")
        if not 0 < length <= 10:
            raise XTagValueError(f"the length is {length}: give a part of the motors' ranges, for example 0.3")
        self._length = float(length)
        self._first = spread(count, len(self.axes), self._seed)

    @abstractmethod
    def _use(self, candidates: np.ndarray) -> np.ndarray:
        """Return how useful a frame at each candidate is, (n,) from 0 on."""

    @abstractmethod
    def _enough(self) -> Stop:
        """Return whether the strategy's own stopping rule holds, once the first places were ingested."""

    def _next(self, rng: np.random.Generator) -> np.ndarray:
        number = len(self._suggested)
        if number < len(self._first):
            return self._first[number]
        with one_thread():
            rough = self._pool(rng)
            order = np.argsort(-self._worth(rough), kind="stable")
            fine = np.clip(rough[order[:20], None] + rng.normal(0, 0.015, (20, 5, len(self.axes))), 0, 1)
            candidates = np.concatenate([rough[order[:20]], fine.reshape(-1, len(self.axes))])
            return candidates[int(np.argmax(self._worth(candidates)))]

    def _pool(self, rng: np.random.Generator) -> np.ndarray:
        """Return the candidates, (n, axes) in units of the ranges."""
        return rng.random((self._candidates, len(self.axes)))

    def _with_open_places(self, process: Process, places: np.ndarray, values: np.ndarray) -> Process:
        """Return the process as it will be if the places that are still open turn out as expected."""
        coming = list(self._open.values())
        if not coming:
            return process
        expected = np.zeros((len(coming), *values.shape[1:]))
        if len(places):
            expected = process.predict(np.array(coming)).reshape(expected.shape)
        noise = np.concatenate([process.noise, np.full(len(coming), process.noise.min(initial=1.0))])
        return Process(np.concatenate([places, coming]), np.concatenate([values, expected]), process.length, noise)

    def _worth(self, candidates: np.ndarray) -> np.ndarray:
        use = self._use(candidates) / travel(self.axes, self._last, candidates)
        for place in self._missing:
            squares = ((candidates - place) ** 2).sum(axis=1)
            use = use * (1 - np.exp(-squares / (2 * _NEAR**2)))
        return use

    def should_stop(self) -> Stop:
        """Return whether the stopping rule of the strategy holds, or many places in succession gave no tags."""
        if self._in_vain >= _IN_VAIN:
            return Stop(True, f"the last {self._in_vain} places gave no tags")
        if len(self._places) + len(self._missing) < len(self._first):
            return Stop(False)
        with one_thread():
            return self._enough()

    def _units(self, points: Any) -> np.ndarray:
        """Return places given in the motors' units, (n, axes), in units of the ranges."""
        places = np.asarray(points, float)
        if places.ndim != 2 or places.shape[1] != len(self.axes):
            names = ", ".join(axis.name for axis in self.axes)
            raise XTagValueError(f"places have shape (n, {len(self.axes)}), columns {names}, but got {places.shape}")
        return to_unit(self.axes, places)
