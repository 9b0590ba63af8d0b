"""Decides where the next frame is taken, from what a strategy suggests."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...documents import TagRow
from ...errors import XTagValueError, printable
from .. import strategies
from ..strategies import Axis, Motion, Point, Strategy
from .choosing import check_revision, choose_strategy
from .decision import Action, Decision, Missing
from .wishes import Terms, Wish, read_wish

__all__ = ["ByStrategy"]

_LARGEST = 256
"""The largest batch."""


@dataclass
class _Place:
    """A place whose frames are still to come.

    Parameters
    ----------
    number : int
        From 1, in the order in which places are chosen.
    point : Point
        As the strategy suggested it.
    values : dict of str to float
        As the motors take it, within the limits that the plan was given.
    missing : Missing
        What happens when a frame has no tags.
    """

    number: int
    point: Point
    values: dict[str, float]
    missing: Missing
    by: str = ""  # who pinned it
    seen: list[TagRow] = field(default_factory=list)  # that had tags


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
    batch : int
        How many places are chosen at once. Their frames are decided on one after the other; once all are, the next
        batch is chosen.
    takes_wishes : bool
        Whether people may pin and veto places meanwhile, see `hear`.

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
        batch: int = 1,
        takes_wishes: bool = False,
    ) -> None:
        if isinstance(exposures, bool) or not isinstance(exposures, int) or exposures < 1:
            raise XTagValueError(f"exposures={exposures!r} must be a whole number of frames from 1 on")
        if isinstance(max_points, bool) or not isinstance(max_points, int) or max_points < 1:
            raise XTagValueError(f"max_points={max_points!r} must be a whole number from 1 on")
        if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= _LARGEST:
            raise XTagValueError(f"batch={batch!r} must be a whole number of places from 1 to {_LARGEST}")
        Missing(on_missing)  # is known
        known = [point for point in known if _is_within(point, axes)]
        if known and initial_points is None and isinstance(strategy, str):
            # What is known takes the place of the first places, which are spread evenly.
            initial_points = max(1, 8 * len(axes) - len(known))
        self._chooser = choose_strategy(strategy, axes, tags, tag, initial_points, motions or {}, region)
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
            "batch": batch,
            "takes_wishes": takes_wishes,
        }
        if known:
            self._chooser.ingest(known)
            self._settings["places"] = _packed(known, axes, [self.tag] if self.tag else tags)
        self._known = len(known)
        self._limits = axes
        self._motions = {axis.name: axis.motion for axis in getattr(self._chooser, "axes", ()) if axis.motion}
        self._most = max_points
        self._on_missing = on_missing
        self._exposures = exposures
        self._batch = batch
        self._batches = 0
        self._places = 0  # that were chosen
        self._going: list[_Place] = []  # whose next frames are under way, in their order
        self._again: list[_Place] = []  # of which another frame is taken next
        self._further: list[Decision] = []
        self.takes_wishes = takes_wishes
        self._terms = _terms(self._chooser, recipe, axes)
        self._pins: list[Wish] = []
        self._heard: tuple[list[Any], str] = [], ""  # before the next decision: what people want, and that in words
        self._at: dict[str, float] = {}  # the place of the newest frame

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> ByStrategy:
        """Return the decider as it was when it was new, from its `settings`.

        Raises
        ------
        XTagError
            The strategy of this version decides in another way than the one that the settings are of.
        """
        recipe = settings["recipe"]
        check_revision(recipe)
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
            batch=settings.get("batch", 1),
            takes_wishes=settings.get("takes_wishes", False),
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

    @property
    def offer(self) -> dict[str, Any] | None:
        """What people can want, see `Terms`; None if they are not asked."""
        return self._terms.offer if self.takes_wishes else None

    def hear(self, wishes: Sequence[Any]) -> None:
        """Take what people want; the next decision says it. What cannot be done is refused, with the reason."""
        taken, words = self._heard
        for data in wishes:
            try:
                wish = read_wish(data)
                box = self._terms.take(wish)
                if box:
                    self._chooser.forbid(box)  # pyright: ignore[reportAttributeAccessIssue]
                    self._pins = [pin for pin in self._pins if self._terms.allows(pin)]
                else:
                    self._pins.append(wish)
                words += f"; {wish.words}"
            except XTagValueError as error:
                words += f"; refused: {printable(str(error))}"
        self._heard = [*taken, *wishes], words

    def recall(self, data: Mapping[str, Any]) -> None:
        """Take what people wanted before a stored decision."""
        if stored := data.get("decision_wishes"):
            self.hear(json.loads(stored))

    def first(self) -> Decision:
        """See `Decider`."""
        begin = f"{self._known} places are known; the first new one" if self._known else "the first place"
        decision = self._onward(0, TagRow(), "move", begin)
        # A strategy that was used before does not begin with its first suggestion.
        is_new = not self._going or self._going[0].point.get("_id") == 0
        self._settings["known"] = self._settings["known"] and is_new
        return decision

    def decide(self, seen: TagRow) -> Decision:
        """See `Decider`."""
        place = self._going.pop(0)
        self._at = place.values
        decision = self._judge(place, seen)
        if decision.action == "repeat":
            self._again.append(place)
        if not self._going:
            self._going, self._again = self._again, []
        (wishes, words), self._heard = self._heard, ([], "")
        if not wishes:
            return decision
        return replace(decision, reason=decision.reason + words, wishes=json.dumps(wishes))

    def further(self) -> list[Decision]:
        """See `Decider`."""
        further, self._further = self._further, []
        return further

    def _judge(self, place: _Place, seen: TagRow) -> Decision:
        """Return the decision on a frame of a place."""
        if seen.missing or (self.tag and not math.isfinite(seen.scores[self.tag])):
            decision = place.missing.decide(place.number, seen, place.values)
            if decision.action != "skip":
                return decision
            if place.seen:
                return self._tell(place, seen, decision.reason)
            self._chooser.skip([place.point])
            return self._onward(place.number, seen, "skip", decision.reason)
        place.missing.over()
        place.seen.append(seen)
        said = f"{self.tag} {seen.scores[self.tag]:.2f}" if self.tag else " ".join(seen.tags) or "no tag accepted"
        if len(place.seen) < self._exposures:
            said += f", {len(place.seen)} of {self._exposures} frames"
            return Decision(place.number, seen, "repeat", said, place.values)
        return self._tell(place, seen, said)

    def _tell(self, place: _Place, seen: TagRow, said: str) -> Decision:
        """Tell the strategy what was seen at a place, and go on."""
        frames = place.seen
        found = {tag: float(np.median([frame.scores[tag] for frame in frames])) for tag in frames[0].scores}
        self._chooser.ingest([place.point | place.values | found])
        if self._exposures > 1:
            said += f"; median of {len(frames)}"
            said += f": {self.tag} {found[self.tag]:.2f}" if self.tag else ""
        return self._onward(place.number, seen, "move", said)

    def _onward(self, number: int, seen: TagRow, action: Action, reason: str) -> Decision:
        """Return the decision to go to the next places, or to stop if there are none."""
        if self._going or self._again:
            return Decision(number, seen, "skip" if action == "skip" else "note", reason)
        stop = self._chooser.should_stop()
        if stop and not self._pins:
            why = getattr(stop, "reason", None) or "the strategy's stopping rule holds"
            return Decision(number, seen, "stop", f"{reason}; {why}")
        if self._places >= self._most:
            return Decision(number, seen, "stop", f"{reason}; {self._most} places are done, as many as asked for")
        before = self._at
        self._going = self._choose(min(self._batch, self._most - self._places))
        if not self._going:
            return Decision(number, seen, "stop", f"{reason}; nothing is left to look at")
        self._batches += 1
        decisions = []
        for rank, place in enumerate(self._going, 1):
            why = [reason] if rank == 1 else []
            if self._batch > 1:
                why.append(f"batch {self._batches}, place {rank} of {len(self._going)}")
            if place.by:
                why.append(f"the place that {place.by} pinned")
            if self._motions and before:
                why.append(f"{self._seconds(before, place.values):.3g} s of travel")
            decisions.append(Decision(number, seen, action if rank == 1 else "move", "; ".join(why), place.values))
            before = place.values
        self._further = decisions[1:]
        return decisions[0]

    def _choose(self, count: int) -> list[_Place]:
        """Return the next places, as many as asked for or as there are: those that people pinned, and suggestions."""
        pinned, self._pins = self._pins[:count], self._pins[count:]
        points: list[tuple[Point, str]] = [(dict(pin.place), pin.by) for pin in pinned]
        if len(points) < count and not (points and self._chooser.should_stop()):
            points += [(point, "") for point in self._chooser.suggest(count - len(points))]
        places = []
        for point, by in points:
            values = {name: float(np.clip(point[name], low, high)) for name, (low, high, *_) in self._limits.items()}
            if not all(math.isfinite(value) for value in values.values()):
                raise XTagValueError(f"the strategy suggests {point}: no motor can go there")
            self._places += 1
            places.append(_Place(self._places, point, values, Missing(self._on_missing), by))
        return places

    def _seconds(self, before: Mapping[str, float], after: Mapping[str, float]) -> float:
        """Return how long a move takes: motors move at the same time."""
        times = (motion.seconds(np.abs(after[name] - before[name])) for name, motion in self._motions.items())
        return float(max(times))


def _terms(chooser: Strategy, recipe: Mapping[str, Any] | None, axes: Mapping[str, Sequence[float]]) -> Terms:
    if recipe is None:
        return Terms([Axis(name, float(low), float(high)) for name, (low, high, *_) in axes.items()], vetoes=False)
    return Terms(chooser.axes, recipe["options"].get("region"))  # pyright: ignore[reportAttributeAccessIssue]


def _is_within(point: Point, axes: Mapping[str, Sequence[float]]) -> bool:
    return all(low <= point[name] <= high for name, (low, high, *_) in axes.items())


def _packed(points: Sequence[Point], axes: Mapping[str, Sequence[float]], tags: Sequence[str]) -> dict[str, Any]:
    """Return places and what was seen there, ready for JSON: the names once, and a row for each place."""
    names = [*axes, *tags]
    return {"names": names, "rows": [[point[name] for name in names] for point in points]}


def _unpacked(packed: Mapping[str, Any] | None) -> list[Point]:
    return [] if packed is None else [dict(zip(packed["names"], row, strict=True)) for row in packed["rows"]]
