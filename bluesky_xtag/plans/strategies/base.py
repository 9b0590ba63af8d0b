"""What every strategy keeps: the places that it suggested, and what was seen there."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from ...errors import XTagValueError
from .axes import Axes, Axis, axes_of, from_unit, to_unit
from .growing_table import GrowingTable
from .region import Region
from .strategy import Point, Stop

__all__ = ["BaseStrategy"]

ID = "_id"


class BaseStrategy(ABC):
    """Keeps suggestions and answers. A subclass says in `_next` what to suggest next.

    Random numbers depend on the seed and the number of the suggestion only, so that it does not matter how often other
    methods are called.

    Parameters
    ----------
    axes : mapping or sequence of Axis
        (low, high) or (low, high, cost) by motor's name.
    tags : iterable of str
        Names of the tags whose probabilities it will receive.
    tag : str, optional
        The tag to look for.
    seed : int
        Decides all random numbers.
    region : mapping, optional
        Where frames may be taken within the limits, see `Region`.

    Attributes
    ----------
    axes : tuple of Axis
    tags : tuple of str
    tag : str or None

    Raises
    ------
    XTagValueError
        An argument does not fit; the message says which.
    """

    made_with: Mapping[str, Any]
    """The keyword arguments that the strategy was made with, so that it can be made again."""

    looks_for_one = True
    """Whether the strategy needs `tag`; otherwise it looks at all `tags`."""

    def __new__(cls, *_: Any, **arguments: Any) -> Self:
        """Keep what it is made with."""
        made = super().__new__(cls)
        made.made_with = arguments
        return made

    def __init__(
        self,
        axes: Axes | Sequence[Axis],
        *,
        tags: Iterable[str],
        tag: str | None = None,
        seed: int = 0,
        region: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(seed, int) or seed < 0:
            raise XTagValueError(f"seed={seed!r} must be a whole number from 0 on")
        self.axes, self.tags, self.tag, self._seed = axes_of(axes), tuple(tags), tag, seed
        if not self.tags:
            raise XTagValueError("a strategy needs tags: give the names of the model's tags, model.taxonomy.names")
        if twice := {axis.name for axis in self.axes} & {*self.tags, ID}:
            raise XTagValueError(f"{', '.join(sorted(twice))} names a motor and something else: rename the motor")
        if tag is not None and tag not in self.tags:
            raise XTagValueError(f"no tag {tag!r}; known tags: {', '.join(self.tags)}")
        if tag is None and self.looks_for_one:
            raise XTagValueError(f"{type(self).__name__.lower()} looks for one tag: name it, for example tag='ring'")
        self._region = Region(region, self.axes)
        self._suggested: dict[int, np.ndarray] = {}
        self._open: dict[int, np.ndarray] = {}
        self._places, self._scores = GrowingTable(len(self.axes)), GrowingTable(len(self.tags))
        self._numbers: list[int | None] = []
        self._missing = GrowingTable(len(self.axes))
        self._last: np.ndarray | None = None
        self._in_vain = 0

    @abstractmethod
    def _next(self, rng: np.random.Generator) -> np.ndarray | None:
        """Return the next place, (axes,) in units of the ranges; None if nothing is left to look at."""

    def suggest(self, num_points: int | None = None) -> list[Point]:
        """Return the places to look at next; see `Strategy`."""
        points = []
        for _ in range(1 if num_points is None else num_points):
            number = len(self._suggested)
            unit = self._next(np.random.default_rng([self._seed, number]))
            if unit is None:
                break
            unit = self._region.nearest(np.asarray(unit, float))
            self._suggested[number] = self._open[number] = self._last = unit
            points.append({ID: number} | self._as_point(unit))
        return points

    def ingest(self, points: list[Point]) -> None:
        """Take in what was seen; see `Strategy`.

        Raises
        ------
        XTagValueError
            A point is unknown, lacks tags, or has a probability outside 0..1.
        """
        # All are read before the first is kept, so that a wrong one does not leave half of them.
        read = [(point, self._place(point), self._values_of(point)) for point in points]
        for point, place, scores in read:
            self._close(point, place)
            if np.isfinite(scores).all():
                self._in_vain = 0
                self._places.append(place)
                self._scores.append(scores)
                self._numbers.append(point.get(ID))
            else:
                self._lose(place)

    def skip(self, points: list[Point]) -> None:
        """Take in that these places gave no tags; see `Strategy`.

        Raises
        ------
        XTagValueError
            A point is unknown.
        """
        for point, place in [(point, self._place(point)) for point in points]:
            self._close(point, place)
            self._lose(place)

    def forbid(self, box: Mapping[str, Sequence[float]]) -> None:
        """Take in that no frame may be taken within a box from now on.

        Parameters
        ----------
        box : mapping of str to (float, float)
            The lower and the upper end by motor's name, in the motors' units. A motor that is not named is forbidden in
            its whole range.

        Raises
        ------
        XTagValueError
            The box is not understood, or leaves less than 2 % of the motors' ranges.
        """
        self._region.forbid(box)
        self._leave_out()

    def _leave_out(self) -> None:  # noqa: B027 - random places are not planned
        """Leave out places that were planned and are now forbidden."""

    def _still_allowed(self, places: np.ndarray) -> np.ndarray:
        """Return planned places without those that are forbidden, but with those that were suggested already."""
        keep = self._region.allows(places)
        keep[: len(self._suggested)] = True
        return places[keep]

    register_failures = skip  # as bluesky-adaptive's TrialFaultAware calls it

    def get_best_points(self) -> list[tuple[int | None, Point, Point]]:
        """Return the place seen where the tag's probability is highest; all places seen, if there is no `tag`."""
        if self.tag is None or not len(self._scores):
            return [self._best(i) for i in range(len(self._scores))]
        return [self._best(int(np.argmax(self._seen_scores)))]

    @abstractmethod
    def should_stop(self) -> Stop:
        """Return whether the strategy's stopping rule holds, and why."""

    def _best(self, i: int) -> tuple[int | None, Point, Point]:
        scores = dict(zip(self.tags, self._scores.all[i].tolist(), strict=True))
        return self._numbers[i], self._as_point(self._places.all[i]), scores

    def seen_positions(self) -> np.ndarray:
        """Return the places that were seen with tags, (n, axes) in the motors' units, in their order."""
        return from_unit(self.axes, self._places.all)

    @property
    def _seen_scores(self) -> np.ndarray:
        """(n,) of the tag that is looked for, or (n, tags) if none is."""
        scores = self._scores.all
        return scores if self.tag is None else scores[:, self.tags.index(self.tag)]

    def _as_point(self, unit: np.ndarray) -> dict[str, float]:
        values = from_unit(self.axes, np.asarray(unit))
        return {axis.name: float(value) for axis, value in zip(self.axes, values, strict=True)}

    def _place(self, point: Point) -> np.ndarray:
        names = [axis.name for axis in self.axes]
        if all(name in point for name in names):
            place = np.array([_number(point, name) for name in names])
            if np.isfinite(place).all():
                return to_unit(self.axes, place)[0]
        elif point.get(ID) in self._suggested:
            return self._suggested[point[ID]]
        raise XTagValueError(f"where is {_short(point)}? give the _id of a suggestion or {', '.join(names)}")

    def _values_of(self, point: Point) -> np.ndarray:
        needed = self.tags if self.tag is None else (self.tag,)
        if lacking := [tag for tag in needed if tag not in point]:
            raise XTagValueError(
                f"{_short(point)} lacks {', '.join(lacking)}: give a probability for each, or skip the point"
            )
        found = {tag: _number(point, tag) for tag in needed}
        for tag, value in found.items():
            if value < 0 or value > 1:
                raise XTagValueError(f"{tag} is {value} in {_short(point)}: probabilities are from 0 to 1")
        # A strategy that looks for one tag need not be told the others.
        return np.array([found[tag] if tag in found else _other(point, tag) for tag in self.tags])

    def _lose(self, place: np.ndarray) -> None:
        self._missing.append(place)
        self._in_vain += 1

    def _close(self, point: Point, place: np.ndarray) -> None:
        self._open.pop(point.get(ID, -1), None)
        self._last = place


def _number(point: Point, name: str) -> float:
    value: Any = point[name]
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise XTagValueError(f"{name} is {value!r} in {_short(point)}: give a number") from error


def _other(point: Point, tag: str) -> float:
    value = point.get(tag)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _short(point: Point) -> str:
    text = repr(point)
    return text if len(text) <= 120 else f"{text[:117]}..."
