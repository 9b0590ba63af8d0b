"""What a person wants of a plan while it runs: a place that is measured next, or one that is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import XTagValueError, printable
from ..strategies import Axis, Region

__all__ = ["Terms", "Wish", "read_wish"]

_AROUND = 0.02
"""A veto of a position holds so far around it, in units of the motor's range."""
_LONGEST = 64  # characters of a person's name


@dataclass(frozen=True)
class Wish:
    """A pin or a veto.

    Parameters
    ----------
    kind : str
        "pin" for a place to measure next, "veto" for a place or a box to leave out.
    place : mapping of str to float or (float, float)
        By motor's name: a position, or, of a veto, the two ends of a box.
    by : str
        Who says it.
    """

    kind: str
    place: Mapping[str, float | tuple[float, float]]
    by: str

    @property
    def words(self) -> str:
        """What the person said, such as "anna pins x=3, y=2"."""
        said = (
            f"{name}={value[0]:.6g} to {value[1]:.6g}" if isinstance(value, tuple) else f"{name}={value:.6g}"
            for name, value in self.place.items()
        )
        return f"{self.by} {self.kind}{'s' if self.kind == 'pin' else 'es'} {', '.join(said)}"


def read_wish(data: Any) -> Wish:
    """Return a wish from what was sent or stored of it: ``{"pin": {"x": 3.0}, "by": "anna"}``.

    Raises
    ------
    XTagValueError
        It is not a wish.
    """
    kinds = [kind for kind in ("pin", "veto") if isinstance(data, Mapping) and kind in data]
    if len(kinds) != 1 or not isinstance(data[kinds[0]], Mapping) or not data[kinds[0]]:
        raise XTagValueError("this is neither a pin nor a veto: give positions by motor's name, such as x=3")
    (kind,) = kinds
    by = printable(str(data.get("by") or "somebody"))[:_LONGEST]
    place = {printable(str(name)): _position(kind, name, value) for name, value in data[kind].items()}
    return Wish(kind, place, by)


def _position(kind: str, name: Any, value: Any) -> float | tuple[float, float]:
    if kind == "veto" and isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        low, high = (_number(name, each) for each in value)
        if low < high:
            return low, high
        raise XTagValueError(f"the veto goes from {low:g} to {high:g} along {name}: give the lower end first")
    return _number(name, value)


def _number(name: Any, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise XTagValueError(f"{printable(str(name))} is {value!r}: give a finite number")
    return float(value)


class Terms:
    """What can be wished of a plan: its motors, their limits, and where frames may be taken.

    Parameters
    ----------
    axes : sequence of Axis
        The motors, in the strategy's order.
    region : mapping, optional
        See `Region`.
    vetoes : bool
        Whether the strategy can leave places out.
    """

    def __init__(self, axes: Sequence[Axis], region: Any = None, vetoes: bool = True) -> None:
        self._axes = {axis.name: axis for axis in axes}
        self._given, self._vetoes = region, vetoes
        self._region = Region(region, axes)

    @classmethod
    def from_offer(cls, offer: Mapping[str, Any]) -> Terms:
        """Return the terms that `offer` describes."""
        axes = [Axis(name, *limits) for name, limits in offer["axes"].items()]
        return cls(axes, offer["region"], offer["vetoes"])

    @property
    def offer(self) -> dict[str, Any]:
        """The terms, plain and ready for JSON."""
        axes = {name: [axis.low, axis.high] for name, axis in self._axes.items()}
        return {"axes": axes, "region": self._given, "vetoes": self._vetoes}

    def take(self, wish: Wish) -> dict[str, tuple[float, float]]:
        """Take a wish; a veto holds for the wishes after it.

        Returns
        -------
        dict
            The box that a veto forbids, by motor's name; empty for a pin.

        Raises
        ------
        XTagValueError
            It cannot be fulfilled; the message names the remedy.
        """
        if unknown := [name for name in wish.place if name not in self._axes]:
            raise XTagValueError(f"the plan does not move {', '.join(unknown)}: it moves {', '.join(self._axes)}")
        if wish.kind == "pin":
            self._take_pin(wish)
            return {}
        if not self._vetoes:
            raise XTagValueError(
                "the strategy of this plan is not one of bluesky_xtag and cannot leave places out: pin places, or "
                "stop the plan and begin again with a region"
            )
        box = {}
        for name, value in wish.place.items():
            axis = self._axes[name]
            around = _AROUND * (axis.high - axis.low)
            low, high = value if isinstance(value, tuple) else (value - around, value + around)
            if high < axis.low or low > axis.high:
                raise XTagValueError(f"{name} goes from {axis.low:g} to {axis.high:g}: the veto is outside of that")
            box[name] = low, high
        self._region.forbid(box)
        return box

    def allows(self, pin: Wish) -> bool:
        """Return whether a frame may be taken at a pinned place."""
        return self._region.allows_place(pin.place)

    def _take_pin(self, wish: Wish) -> None:
        if lacking := [name for name in self._axes if name not in wish.place]:
            raise XTagValueError(
                f"a pin is a place of all motors: give {', '.join(f'{name}=...' for name in lacking)} too"
            )
        for name, axis in self._axes.items():
            value = wish.place[name]
            if isinstance(value, tuple) or not axis.low <= value <= axis.high:
                raise XTagValueError(
                    f"{name}={value} is outside of the limits of the plan: pin a place from {axis.low:g} to "
                    f"{axis.high:g}"
                )
        if not self.allows(wish):
            raise XTagValueError(
                "no frame may be taken there, because of the plan's region or an earlier veto: pin another place"
            )
