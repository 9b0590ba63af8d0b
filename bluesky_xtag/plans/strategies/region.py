"""Where frames may be taken: the outline of a sample, and regions that are forbidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from ...errors import XTagValueError
from .axes import Axis, from_unit, to_unit
from .surrogate import spread

__all__ = ["Region"]

_LEAST = 0.02  # part of the motors' ranges that must be allowed
_LOOKED_AT = 4096
_KEYS = ("outline", "forbidden")


class Region:
    """The places within the motors' limits where frames may be taken.

    It says where frames are taken, not how motors travel there: a move may cross what is forbidden.

    Parameters
    ----------
    given : mapping, optional
        `outline`: the corners of a polygon around the sample, [[x, y], ...], in the units of the two motors and in
        their order. `forbidden`: a list of polygons, and of boxes by motor's name, {"x": [2, 3], "y": [0, 1]}; a motor
        that a box does not name is forbidden in its whole range. Everything is allowed if None.
    axes : sequence of Axis
        The motors.

    Raises
    ------
    XTagValueError
        What is given is not understood, or leaves less than 2 % of the motors' ranges.
    """

    def __init__(self, given: Any, axes: Sequence[Axis]) -> None:
        self._axes = axes
        self._inside: list[np.ndarray] = []
        self._outside: list[np.ndarray] = []
        self._boxes: list[dict[int, tuple[float, float]]] = []
        if given is None:
            return
        if not isinstance(given, Mapping) or not given or not set(given) <= set(_KEYS):
            raise XTagValueError(
                f"region={given!r}: give an outline, a list of forbidden regions, or both, for example "
                "{'outline': [[0, 0], [5, 0], [0, 5]], 'forbidden': [{'x': [2, 3]}]}"
            )
        if "outline" in given:
            self._inside.append(self._polygon(given["outline"], "the outline"))
        for number, each in enumerate(given.get("forbidden", ()), 1):
            what = f"the forbidden region {number}"
            if isinstance(each, Mapping):
                self._boxes.append(self._box(each, what))
            else:
                self._outside.append(self._polygon(each, what))
        self._check()

    def _check(self) -> None:
        share = self.allows(spread(_LOOKED_AT, len(self._axes), 0)).mean()
        if share < _LEAST:
            raise XTagValueError(
                f"the region leaves {share:.1%} of the motors' ranges, which is too little to choose from: give limits "
                "that are nearer to the sample"
            )

    @property
    def is_everything(self) -> bool:
        """Whether all places are allowed."""
        return not (self._inside or self._outside or self._boxes)

    def allows(self, unit: np.ndarray) -> np.ndarray:
        """Return where frames may be taken, (n,) bool; `unit` (n, axes) in units of the ranges."""
        allowed = np.ones(len(unit), bool)
        for polygon in self._inside:
            allowed &= _contains(polygon, unit)
        for polygon in self._outside:
            allowed &= ~_contains(polygon, unit)
        places = from_unit(self._axes, unit)
        for box in self._boxes:
            within = [(places[:, i] >= low) & (places[:, i] <= high) for i, (low, high) in box.items()]
            allowed &= ~np.all(within, axis=0)
        return allowed

    def allows_place(self, place: Mapping[str, Any]) -> bool:
        """Return whether a frame may be taken at a place, which has a position by motor's name."""
        return bool(self.allows(to_unit(self._axes, np.array([[place[axis.name] for axis in self._axes]])))[0])

    def forbid(self, box: Mapping[str, Sequence[float]]) -> None:
        """Forbid a box from now on: [low, high] by motor's name.

        Raises
        ------
        XTagValueError
            The box is not understood, or leaves less than 2 % of the motors' ranges; it is not forbidden then.
        """
        self._boxes.append(self._box(box, "the box"))
        try:
            self._check()
        except XTagValueError:
            self._boxes.pop()
            raise
        self.__dict__.pop("_everywhere", None)

    def spread(self, count: int, seed: int) -> np.ndarray:
        """Return places that fill what is allowed evenly, (count, axes) in units of the ranges."""
        drawn = count
        while True:
            places = spread(drawn, len(self._axes), seed)
            allowed = places[self.allows(places)]
            if len(allowed) >= count:
                return allowed[:count]
            drawn *= 2

    def nearest(self, unit: np.ndarray) -> np.ndarray:
        """Return a place, (axes,), if it is allowed; else an allowed place near it."""
        if self.is_everything or self.allows(unit[None])[0]:
            return unit
        return self._everywhere[int(np.argmin(((self._everywhere - unit) ** 2).sum(axis=1)))]

    @cached_property
    def _everywhere(self) -> np.ndarray:
        return self.spread(1024, 0)

    def _polygon(self, corners: Any, what: str) -> np.ndarray:
        if len(self._axes) != 2:
            raise XTagValueError(f"{what} is a polygon, which needs two motors, not {len(self._axes)}: give boxes")
        try:
            found: np.ndarray = np.array(corners, float)
        except (TypeError, ValueError):
            found = np.array([])
        if found.ndim != 2 or found.shape[1] != 2 or len(found) < 3 or not np.isfinite(found).all():
            raise XTagValueError(f"{what} is {corners!r}: give three corners or more, [[x, y], [x, y], [x, y]]")
        return to_unit(self._axes, found).astype(np.float32)

    def _box(self, given: Mapping[str, Any], what: str) -> dict[int, tuple[float, float]]:
        names = [axis.name for axis in self._axes]
        if unknown := [name for name in given if name not in names] or (not given and ["no motor"]):
            raise XTagValueError(f"{what} names {', '.join(unknown)}; the motors are {', '.join(names)}")
        box = {}
        for name, limits in given.items():
            try:
                low, high = (float(each) for each in limits)
            except (TypeError, ValueError):
                low = high = np.nan
            if not low < high:
                raise XTagValueError(f"{what} is {limits!r} along {name}: give [low, high]")
            box[names.index(name)] = low, high
        return box


def _contains(polygon: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return which places lie in a polygon or on its edge, (n,) bool."""
    return np.array([cv2.pointPolygonTest(polygon, (float(x), float(y)), False) >= 0 for x, y in unit], bool)
