"""Decides where the next frame is taken, from what a strategy suggests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...documents import TagRow
from ...errors import XTagError, XTagValueError
from .. import strategies
from ..strategies import Axis, Motion, Point, Strategy
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
    motions : mapping of str to Motion, optional
        How long motors take, by their names. The strategy then weighs a frame against the time of its move.
    known : sequence of Point
        Places that are known already, and what was seen there. Those outside of the limits are left out.
    exposures : int
        How many frames with tags each place gets; the strategy is told the median of each probability.
    region : mapping, optional
        Where frames may be taken within the limits, see `bluesky_xtag.plans.strategies.region`.

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
        motions: Mapping[str, Motion] | None = None,
        known: Sequence[Point] = (),
        exposures: int = 1,
        region: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(exposures, bool) or not isinstance(exposures, int) or exposures < 1:
            raise XTagValueError(f"exposures={exposures!r} must be a whole number of frames from 1 on")
        if isinstance(max_points, bool) or not isinstance(max_points, int) or max_points < 1:
            raise XTagValueError(f"max_points={max_points!r} must be a whole number from 1 on")
        known = [point for point in known if _is_within(point, axes)]
        if known and initial_points is None and isinstance(strategy, str):
            # What is known takes the place of the first places, which are spread evenly.
            initial_points = max(1, 8 * len(axes) - len(known))
        self._chooser = self._new_strategy(strategy, axes, tags, tag, initial_points, motions or {}, region)
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
            "exposures": exposures,
        }
        if known:
            self._chooser.ingest(known)
            self._settings["places"] = _packed(known, axes, [self.tag] if self.tag else tags)
        self._known = len(known)
        self._limits = axes
        self._motions = {axis.name: axis.motion for axis in getattr(self._chooser, "axes", ()) if axis.motion}
        self._most = max_points
        self._missing = Missing(on_missing)
        self._exposures = exposures
        self._seen_here: list[TagRow] = []  # with tags, at the present place
        self._point: Point = {}
        self._places = 0  # that are done with

    @staticmethod
    def _new_strategy(
        strategy: str | Strategy,
        axes: Mapping[str, Sequence[float]],
        tags: Sequence[str],
        tag: str | None,
        initial_points: int | None,
        motions: Mapping[str, Motion],
        region: Mapping[str, Any] | None,
    ) -> Strategy:
        if isinstance(strategy, str):
            options: dict[str, Any] = {} if initial_points is None else {"initial": initial_points}
            options |= {} if region is None else {"region": region}
            limits = {name: Axis(name, *map(float, pair), motion=motions.get(name)) for name, pair in axes.items()}
            return strategies.make(strategy, limits, tags=tags, tag=tag, **options)
        if motions:
            raise XTagValueError(
                "motion belongs to a strategy by name: give it to the axes of the strategy that you made"
            )
        if region is not None:
            raise XTagValueError("region belongs to a strategy by name: give it to the strategy that you made")
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
        """Return the decider as it was when it was new, from its `settings`.

        Raises
        ------
        XTagError
            The strategy of this version decides in another way than the one that the settings are of.
        """
        recipe = settings["recipe"]
        # Random places and grids are the same in every revision.
        if recipe["name"] not in ("grid", "random") and recipe.get("revision", 1) != strategies.REVISION:
            raise XTagError(
                f"these decisions are of revision {recipe.get('revision', 1)} of the strategies, and here is revision "
                f"{strategies.REVISION}: install the version of bluesky_xtag that decision_package_version names"
            )
        chooser = strategies.make(
            recipe["name"],
            {name: tuple(limits) for name, limits in recipe["axes"].items()},
            tags=recipe["tags"],
            tag=recipe["tag"],
            seed=recipe["seed"],
            **recipe["options"],
        )
        kept = {key: settings[key] for key in ("tag", "max_points", "on_missing")}
        return cls(
            chooser,
            settings["axes"],
            settings["tags"],
            known=_unpacked(settings.get("places")),
            exposures=settings.get("exposures", 1),
            **kept,
        )

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
        begin = f"{self._known} places are known; the first new one" if self._known else "the first place"
        decision = self._onward(TagRow(), "move", begin)
        self._settings["known"] = self._settings["known"] and self._point.get("_id") == 0
        return decision

    def decide(self, seen: TagRow) -> Decision:
        """See `Decider`."""
        if seen.missing or (self.tag and not math.isfinite(seen.scores[self.tag])):
            decision = self._missing.decide(self._places + 1, seen, self._values)
            if decision.action != "skip":
                return decision
            if self._seen_here:
                return self._tell(seen, decision.reason)
            self._chooser.skip([self._point])
            self._places += 1
            return self._onward(seen, "skip", decision.reason)
        self._missing.over()
        self._seen_here.append(seen)
        said = f"{self.tag} {seen.scores[self.tag]:.2f}" if self.tag else " ".join(seen.tags) or "no tag accepted"
        if len(self._seen_here) < self._exposures:
            said += f", {len(self._seen_here)} of {self._exposures} frames"
            return Decision(self._places + 1, seen, "repeat", said, self._values)
        return self._tell(seen, said)

    def _tell(self, seen: TagRow, said: str) -> Decision:
        """Tell the strategy what was seen at a place, and go on."""
        frames, self._seen_here = self._seen_here, []
        found = {tag: float(np.median([frame.scores[tag] for frame in frames])) for tag in frames[0].scores}
        self._chooser.ingest([self._point | self._values | found])
        self._places += 1
        if self._exposures > 1:
            said += f"; median of {len(frames)}"
            said += f": {self.tag} {found[self.tag]:.2f}" if self.tag else ""
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
        before = self._values if self._point else {}
        (self._point,) = suggested
        if not all(math.isfinite(value) for value in self._values.values()):
            raise XTagValueError(f"the strategy suggests {self._point}: no motor can go there")
        if self._motions and before:
            reason += f"; {self._seconds(before, self._values):.3g} s of travel"
        return Decision(self._places, seen, action, reason, self._values)

    def _seconds(self, before: Mapping[str, float], after: Mapping[str, float]) -> float:
        """Return how long a move takes: motors move at the same time."""
        times = (motion.seconds(np.abs(after[name] - before[name])) for name, motion in self._motions.items())
        return float(max(times))

    @property
    def _values(self) -> dict[str, float]:
        """Return the place as the motors take it, within the limits that the plan was given."""
        return {name: float(np.clip(self._point[name], low, high)) for name, (low, high, *_) in self._limits.items()}


def _is_within(point: Point, axes: Mapping[str, Sequence[float]]) -> bool:
    return all(low <= point[name] <= high for name, (low, high, *_) in axes.items())


def _packed(points: Sequence[Point], axes: Mapping[str, Sequence[float]], tags: Sequence[str]) -> dict[str, Any]:
    """Return places and what was seen there, ready for JSON: the names once, and a row for each place."""
    names = [*axes, *tags]
    return {"names": names, "rows": [[point[name] for name in names] for point in points]}


def _unpacked(packed: Mapping[str, Any] | None) -> list[Point]:
    return [] if packed is None else [dict(zip(packed["names"], row, strict=True)) for row in packed["rows"]]
