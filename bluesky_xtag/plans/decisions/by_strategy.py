"""Decides where the next frame is taken, from what a strategy suggests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...documents import TagRow
from ...errors import XTagValueError
from .. import strategies
from ..strategies import Point, Strategy
from .decision import Decision, Missing

__all__ = ["ByStrategy"]


class ByStrategy:
    """Asks a strategy for places, and reports to it what was seen there.

    Parameters
    ----------
    strategy : str or Strategy
        A name that `strategies.make` knows, or a new object that has not been used yet.
    axes : mapping of str to (float, float)
        The limits of each motor, by its name.
    tags : sequence of str
        The names of the model's tags.
    tag : str, optional
        The tag to look for.
    max_points : int
        The largest number of places.
    initial_points : int, optional
        The number of places that the strategy spreads evenly before it begins to choose. If None, its own default.
    on_missing : str
        See `Missing`.

    Raises
    ------
    XTagValueError
        An argument does not fit.
    """

    def __init__(
        self,
        strategy: str | Strategy,
        axes: Mapping[str, Sequence[float]],
        tags: Sequence[str],
        *,
        tag: str | None = None,
        max_points: int = 100,
        initial_points: int | None = None,
        on_missing: str = "repeat",
    ) -> None:
        if isinstance(max_points, bool) or not isinstance(max_points, int) or max_points < 1:
            raise XTagValueError(f"max_points={max_points!r} must be a whole number from 1 on")
        self._chooser = self._new_strategy(strategy, axes, tags, tag, initial_points)
        recipe = strategies.recipe(self._chooser)
        self.strategy = recipe["name"] if recipe else type(self._chooser).__name__
        self.tag = tag or getattr(self._chooser, "tag", None) or ""
        self.names = tuple(axes)
        self._settings = {
            "decider": "by_strategy",
            "recipe": recipe,
            "known": recipe is not None and not self._chooser.get_best_points(),
            "axes": {name: list(limits) for name, limits in axes.items()},
            "tags": list(tags),
            "tag": tag,
            "max_points": max_points,
            "on_missing": on_missing,
        }
        self._limits = axes
        self._most = max_points
        self._missing = Missing(on_missing)
        self._point: Point = {}
        self._places = 0  # that are done with

    @staticmethod
    def _new_strategy(
        strategy: str | Strategy,
        axes: Mapping[str, Sequence[float]],
        tags: Sequence[str],
        tag: str | None,
        initial_points: int | None,
    ) -> Strategy:
        if isinstance(strategy, str):
            options = {} if initial_points is None else {"initial": initial_points}
            limits = {name: tuple(map(float, pair)) for name, pair in axes.items()}
            return strategies.make(strategy, limits, tags=tags, tag=tag, **options)  # pyright: ignore[reportArgumentType]
        if isinstance(strategy, type) or not isinstance(strategy, Strategy):
            raise XTagValueError(
                f"{strategy!r} is not a strategy: name one of {', '.join(strategies.NAMES)}, or give one"
            )
        if initial_points is not None:
            raise XTagValueError("initial_points belongs to a strategy by name: give it to the strategy that you made")
        own = getattr(strategy, "axes", None)
        if own is not None and {axis.name for axis in own} != set(axes):
            raise XTagValueError(
                f"the strategy moves {', '.join(axis.name for axis in own)}, the plan {', '.join(axes)}: give the same"
            )
        for axis in own or ():
            if (axis.low, axis.high) != tuple(axes[axis.name][:2]):
                raise XTagValueError(
                    f"the strategy moves {axis.name} from {axis.low:g} to {axis.high:g}, the plan from "
                    f"{axes[axis.name][0]:g} to {axes[axis.name][1]:g}: give the same limits"
                )
        looks_for = getattr(strategy, "tag", None)
        if None not in (tag, looks_for) and tag != looks_for:
            raise XTagValueError(f"the strategy looks for {looks_for!r}, the plan for {tag!r}: leave tag out")
        if tag is not None and tag not in tags:
            raise XTagValueError(f"no tag {tag!r}; known tags: {', '.join(tags)}")
        return strategy

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> ByStrategy:
        """Return the decider as it was when it was new, from its `settings`."""
        recipe = settings["recipe"]
        chooser = strategies.make(
            recipe["name"],
            {name: tuple(limits) for name, limits in recipe["axes"].items()},
            tags=recipe["tags"],
            tag=recipe["tag"],
            seed=recipe["seed"],
            **recipe["options"],
        )
        kept = {key: settings[key] for key in ("tag", "max_points", "on_missing")}
        return cls(chooser, settings["axes"], settings["tags"], **kept)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        return self._settings

    @property
    def chooser(self) -> Strategy:
        """The strategy, for callers that want its result."""
        return self._chooser

    def first(self) -> Decision:
        """See `Decider`."""
        decision = self._onward(TagRow(), "move", "the first place")
        self._settings["known"] = self._settings["known"] and self._point.get("_id") == 0
        return decision

    def decide(self, seen: TagRow) -> Decision:
        """See `Decider`."""
        if seen.missing or (self.tag and not math.isfinite(seen.scores[self.tag])):
            decision = self._missing.decide(self._places + 1, seen, self._values)
            if decision.action != "skip":
                return decision
            self._chooser.skip([self._point])
            self._places += 1
            return self._onward(seen, "skip", decision.reason)
        self._missing.over()
        self._chooser.ingest([self._point | self._values | dict(seen.scores)])
        self._places += 1
        said = f"{self.tag} {seen.scores[self.tag]:.2f}" if self.tag else " ".join(seen.tags) or "no tag accepted"
        return self._onward(seen, "move", said)

    def _onward(self, seen: TagRow, action: Any, reason: str) -> Decision:
        """Return the decision to go to the next place, or to stop if there is none."""
        stop = self._chooser.should_stop()
        if stop:
            why = getattr(stop, "reason", None) or "the strategy's stopping rule holds"
            return Decision(self._places, seen, "stop", f"{reason}; {why}")
        if self._places >= self._most:
            return Decision(self._places, seen, "stop", f"{reason}; {self._most} places are done, as many as asked for")
        suggested = self._chooser.suggest(1)
        if not suggested:
            return Decision(self._places, seen, "stop", f"{reason}; nothing is left to look at")
        (self._point,) = suggested
        if not all(math.isfinite(value) for value in self._values.values()):
            raise XTagValueError(f"the strategy suggests {self._point}: no motor can go there")
        return Decision(self._places, seen, action, reason, self._values)

    @property
    def _values(self) -> dict[str, float]:
        """Return the place as the motors take it, within the limits that the plan was given."""
        return {name: float(np.clip(self._point[name], low, high)) for name, (low, high, *_) in self._limits.items()}
