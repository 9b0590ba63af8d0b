"""What the learning strategies share: evenly spread first places, then the place with the best use for its cost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from ...errors import XTagValueError
from .axes import Axes, Axis, in_short_order, to_unit, travel
from .base import ID, BaseStrategy
from .flown_lines import Lines
from .strategy import Point, Stop
from .surrogate import EXACT, Process, Watch, one_thread

__all__ = ["ModelBasedStrategy"]

_NEAR = 0.03
"""Distance within which a place without tags, or one of the same batch, lowers the use of other places, in units of the
ranges."""

_FINER, _FEWER, _STEP = (20, 5), (4, 4), 0.015
"""Of how many of the best candidates the surroundings are looked at, at how many places each, and how far away, in
units of the ranges. Fewer suffice among many frames, which are nearer to each other."""

_NEW = 20
"""So many candidates are drawn anew for a suggestion where the others last."""

_EVERYWHERE = 1024
"""So many places, spread evenly, stand for the whole map in the stopping rules."""

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
        self._first = in_short_order(self.axes, self._region.spread(count, self._seed))
        self._everywhere = Watch(self._region.spread(_EVERYWHERE, 0))
        self._lasting: Watch | None = None
        self._fitted: tuple[int, Process] | None = None

    def _leave_out(self) -> None:
        self._first = self._still_allowed(self._first)
        self._everywhere = Watch(self._region.spread(_EVERYWHERE, 0))

    @abstractmethod
    def _fit(self) -> Process:
        """Return the process after all that was seen."""

    @abstractmethod
    def _use(self, places: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Return how useful a frame at each place is, (n,) from 0 on, where this is expected there."""

    @abstractmethod
    def _enough(self) -> Stop:
        """Return whether the strategy's own stopping rule holds, once the first places were ingested."""

    def _process(self) -> Process:
        """Return the process after all that was seen; it is fitted once."""
        if self._fitted is None or self._fitted[0] != len(self._places):
            self._fitted = len(self._places), self._fit()
        return self._fitted[1]

    def _next(self, rng: np.random.Generator) -> np.ndarray:
        number = len(self._suggested)
        if number < len(self._first):
            return self._first[number]
        with one_thread():
            process = self._with_open_places(self._process())
            if process.local:
                places, (mean, deviation) = self._lasting_pool(process, rng)
                tops, around = _FEWER
            else:
                places = self._pool(rng, self._candidates)
                mean, deviation = process.predict(places)
                tops, around = _FINER
            worth = self._worth(places, mean, deviation)
            best = np.argsort(-worth, kind="stable")[:tops]
            steps = rng.normal(0, _STEP, (len(best), around, len(self.axes)))
            fine = np.clip(places[best, None] + steps, 0, 1).reshape(-1, len(self.axes))
            candidates = np.concatenate([places[best], fine])
            worth = np.concatenate([worth[best], self._worth(fine, *process.predict(fine))])
            return candidates[int(np.argmax(worth))]

    def _pool(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return candidates, (count, axes) in units of the ranges."""
        return rng.random((count, len(self.axes)))

    def _lasting_pool(
        self, process: Process, rng: np.random.Generator
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Return candidates of which a few are drawn anew for each suggestion, and what is expected there."""
        if self._lasting is None:
            self._lasting = Watch(self._pool(rng, self._candidates // _NEW * _NEW))
        else:
            begin = _NEW * len(self._suggested) % len(self._lasting.places)
            self._lasting.move(slice(begin, begin + _NEW), self._pool(rng, _NEW))
        return self._lasting.places, self._lasting.predict(process)

    def _with_open_places(self, process: Process) -> Process:
        """Return the process as it will be if the places that are still open turn out as expected."""
        if not self._open:
            return process
        coming = np.array(list(self._open.values()))
        expected, _ = process.predict(coming)
        noise = np.concatenate([process.noise, np.full(len(coming), process.noise.min(initial=1.0))])
        places = np.concatenate([process.places, coming])
        return Process(places, np.concatenate([process.values, expected]), noise, process.length)

    def suggest_line(self, frames: int, length: float, first: int) -> tuple[Point, Point]:
        """Return where the line along the last motor begins and ends of which the frames are of most use for its time.

        What was seen on it is ingested as points without `_id`.

        Parameters
        ----------
        frames : int
            Frames of a line, evenly spread.
        length : float
            Of a line, in units of the last motor's range, up to 1.
        first : int
            So many lines are spread evenly before one is chosen by its use.

        Returns
        -------
        tuple of Point
            Where the motors begin and end, in their units, with the `_id` of the suggestion.

        Raises
        ------
        XTagValueError
            No line of this length lies in the region.
        """
        number, lines = len(self._suggested), Lines(self.axes, self._region, frames, length)
        if number < first:
            lower = lines.spread(first, self._seed)[number]
        else:
            with one_thread():
                lower = lines.best(np.random.default_rng([self._seed, number]), self._use_at, self._last)
        begin, end = lines.ends(lower, self._last)
        self._suggested[number] = self._last = end
        return {ID: number} | self._as_point(begin), {ID: number} | self._as_point(end)

    def _use_at(self, places: np.ndarray) -> np.ndarray:
        """Return how useful a frame at each place is, (n,) from 0 on, whatever the way there costs."""
        return self._reduced(places, self._use(places, *self._process().predict(places)))

    def _worth(self, places: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        return self._reduced(places, self._use(places, mean, deviation) / travel(self.axes, self._last, places))

    def _reduced(self, places: np.ndarray, use: np.ndarray) -> np.ndarray:
        """Return the use of places, (n,), without those that are forbidden or near to others that gave no tags."""
        if not self._region.is_everything:
            use = use * self._region.allows(places)
        if len(self._missing):
            use = use * self._apart(places, self._missing.all)
        if self._open:  # a batch is spread, also where a strategy would take frames of one place again
            use = use * self._apart(places, np.array(list(self._open.values())))
        return use

    def _apart(self, places: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return a factor for the use of each place, (n,): 0 at other places, 1 far from them."""
        # Among many frames the other places must not keep frames from the gaps between them.
        near = _NEAR * min(1.0, (EXACT / (len(self._places) + 1)) ** (1 / len(self.axes)))
        distances, _ = KDTree(others).query(places, min(8, len(others)))
        nearest = distances.reshape(len(places), -1)
        return (1 - np.exp(-(nearest**2) / (2 * near**2))).prod(axis=1)

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
