"""The motors that a strategy moves: their limits, and what their travel costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...errors import XTagValueError
from .motion import Motion

__all__ = ["Axes", "Axis"]

Axes = Mapping[str, "tuple[float, float] | tuple[float, float, float] | Axis"]
"""By motor's name: (low, high), (low, high, cost) or an `Axis`."""


@dataclass(frozen=True)
class Axis:
    """A motor with its limits.

    Parameters
    ----------
    name : str
        The motor's name.
    low, high : float
        Limits, in the motor's unit; low < high.
    cost : float
        Cost of a travel by one unit, in frames: with 0.5, a move by two units costs as much as one more frame.
    motion : Motion, optional
        How long the motor takes for a move, which costs as many frames as could be taken meanwhile.

    Raises
    ------
    XTagValueError
        The limits are not finite or not in order, or the cost is negative.
    """

    name: str
    low: float
    high: float
    cost: float = 0.0
    motion: Motion | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise XTagValueError(
                f"the limits of {self.name} are {self.low} and {self.high}: give finite numbers, the lower first"
            )
        if not (math.isfinite(self.cost) and self.cost >= 0):
            raise XTagValueError(f"the cost of travel of {self.name} is {self.cost}: give a finite number from 0 on")

    def frames(self, distance: np.ndarray) -> np.ndarray:
        """Return what moves cost, in frames, any shape; `distance` in the motor's unit, from 0 on."""
        cost = self.cost * distance
        return cost if self.motion is None else cost + self.motion.seconds(distance) / self.motion.frame

    def stored(self) -> list[Any]:
        """Return the limits, the cost and the motion, plain and ready for JSON; `axes_of` takes them."""
        motion = [] if self.motion is None else [asdict(self.motion)]
        return [self.low, self.high, self.cost, *motion]


def axes_of(axes: Axes | Sequence[Axis]) -> tuple[Axis, ...]:
    """Return the axes that a user gave; XTagValueError if there is none, or if one of them is not a pair of limits."""
    if not isinstance(axes, Mapping):
        if not all(isinstance(axis, Axis) for axis in axes):
            raise XTagValueError(f"{axes!r} are not axes: give them by name, such as {{'x': (0, 10)}}")
        axes = {axis.name: axis for axis in axes}
    if not axes:
        raise XTagValueError("a strategy needs at least one motor: give axes such as {'x': (0, 10)}")
    return tuple(_axis(name, limits) for name, limits in axes.items())


def _axis(name: str, limits: object) -> Axis:
    if isinstance(limits, Axis):
        return limits
    try:
        given = list(limits)  # pyright: ignore[reportArgumentType, reportCallIssue]
        motion = Motion(**given.pop()) if given and isinstance(given[-1], Mapping) else None
        return Axis(name, *(float(number) for number in given), motion=motion)
    except XTagValueError:
        raise
    except (TypeError, ValueError) as error:
        raise XTagValueError(f"the axis {name} is {limits!r}: give (low, high) or (low, high, cost)") from error


def to_unit(axes: Sequence[Axis], places: np.ndarray) -> np.ndarray:
    """Return places (n, axes) in units of the axes' ranges, 0 at the lower limits and 1 at the upper ones."""
    low, high = _limits(axes)
    return (np.asarray(places, float).reshape(-1, len(axes)) - low) / (high - low)


def from_unit(axes: Sequence[Axis], unit: np.ndarray) -> np.ndarray:
    """Return places (n, axes) in the motors' units, within the limits."""
    low, high = _limits(axes)
    return np.clip(low + unit * (high - low), low, high)


def travel(axes: Sequence[Axis], start: np.ndarray | None, unit: np.ndarray) -> np.ndarray:
    """Return the cost of a frame at each place: 1 frame, plus the travel of the slowest motor from `start`.

    Parameters
    ----------
    axes : sequence of Axis
    start : numpy.ndarray or None
        (axes,) in units of the ranges. If it is not known (None), travel costs nothing.
    unit : numpy.ndarray
        (n, axes) in units of the ranges.

    Returns
    -------
    numpy.ndarray
        (n,) float64, in frames. Motors move at the same time, so only the motor with the highest cost counts.
    """
    if start is None:
        return np.ones(len(unit))
    moved = np.abs(unit - start)
    costs = [axis.frames(moved[:, i] * (axis.high - axis.low)) for i, axis in enumerate(axes)]
    return 1 + np.max(costs, axis=0)


def in_short_order(axes: Sequence[Axis], unit: np.ndarray) -> np.ndarray:
    """Return places (n, axes) in an order in which motors travel for a short time; as they are if no time is known."""
    if not any(axis.motion for axis in axes):
        return unit
    left, order = list(range(1, len(unit))), [0]
    while left:  # to the nearest that is left
        costs = travel(axes, unit[order[-1]], unit[left])
        order.append(left.pop(int(np.argmin(costs))))
    return unit[order]


def _limits(axes: Sequence[Axis]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([axis.low for axis in axes]), np.array([axis.high for axis in axes])
