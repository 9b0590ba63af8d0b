"""Decides as a strategy does, and looks now and then whether a reference place still looks as at the start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ...documents import TagRow
from ...errors import XTagValueError
from ..strategies import Strategy
from .by_strategy import ByStrategy
from .decision import Action, Decision, Missing

__all__ = ["ReferenceRules", "WithReference"]

_RULES = ("warn", "pause", "stop")
_FIRST = 3
"""So many frames of the reference place tell what it looks like, and how much that varies."""
_BEYOND = 2.0
"""A probability has changed if it is this many times as far from the first frames as they are from each other."""


@dataclass(frozen=True)
class ReferenceRules:
    """When the reference place is looked at, and what happens if it has changed.

    Parameters
    ----------
    place : mapping of str to float
        A position for each motor; it may lie outside of the strategy's limits.
    every : int
        After so many places.
    change : float
        By how much the probability of a tag must change to count, at least.
    on_change : {"warn", "pause", "stop"}
        "warn" writes a warning and goes on. "pause" pauses for a person, and looks again when the plan is resumed.
        "stop" ends the plan.

    Raises
    ------
    XTagValueError
        A rule does not fit.
    """

    place: Mapping[str, float]
    every: int = 10
    change: float = 0.2
    on_change: str = "warn"

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise XTagValueError(f"every={self.every!r} of the reference: give a whole number of places from 1 on")
        if not isinstance(self.change, int | float) or not 0 < self.change <= 1:
            raise XTagValueError(f"change={self.change!r} of the reference: give a change of a probability, up to 1")
        if self.on_change not in _RULES:
            raise XTagValueError(
                f"on_change={self.on_change!r} of the reference is not known: choose one of {', '.join(_RULES)}"
            )

    @classmethod
    def read(cls, given: Any, motors: Sequence[str]) -> ReferenceRules:
        """Return the rules that a plan was given for these motors.

        Raises
        ------
        XTagValueError
            They are not understood.
        """
        known = ("place", "every", "change", "on_change")
        if not isinstance(given, Mapping) or "place" not in given or not set(given) <= set(known):
            raise XTagValueError(
                f"reference={given!r}: give a place, and if you want {', '.join(known[1:])}, for example "
                "{'place': {'x': 1.0, 'y': 2.0}, 'every': 10, 'on_change': 'pause'}"
            )
        place = given["place"]
        if not isinstance(place, Mapping) or set(place) != set(motors):
            raise XTagValueError(
                f"the place of the reference is {place!r}: give a position for each of {', '.join(motors)}"
            )
        for name, value in place.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise XTagValueError(f"{name} of the reference is {value!r}: give a finite number")
        return cls(**{**given, "place": {name: float(place[name]) for name in motors}})


class WithReference:
    """Goes to a reference place at the start, after every so many places and at the end, and compares its tags.

    The first frames there tell the median of each tag's probability and how far they are apart. A later frame differs
    if a probability is at least `change` from its median, and twice as far from it as the first frames were apart. A
    frame that differs is taken again: only two in a row count. Tags cannot tell where the sample has gone, so nothing
    is corrected.

    Parameters
    ----------
    inner : ByStrategy
        Decides on all other places. It is not told of the reference place.
    rules : ReferenceRules
        When, and what then.
    on_missing : str
        See `Missing`. A frame of the reference that is left out compares nothing.
    """

    watches_reference = True

    def __init__(self, inner: ByStrategy, rules: ReferenceRules, on_missing: str = "repeat") -> None:
        self.strategy, self.tag, self.names = inner.strategy, inner.tag, inner.names
        self.takes_wishes = inner.takes_wishes
        self._inner, self._rules = inner, rules
        self._missing, self._on_missing = Missing(on_missing), on_missing
        self._frames: list[TagRow] = []  # the first ones of the reference place
        self._held: list[Decision] = []  # what comes after the reference place
        self._since = 0  # places since it was looked at
        self._doubted = self._asked = False  # whether a frame differed, and whether a person was asked, in this visit
        self._drift = math.nan
        self._further: list[Decision] = []

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> WithReference:
        """Return the decider as it was when it was new, from its `settings`."""
        inner = ByStrategy.from_settings(settings["inner"])
        return cls(inner, ReferenceRules(**settings["rules"]), settings["on_missing"])

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        inner = self._inner.settings
        shared = {key: inner[key] for key in ("known", "tags")}
        own = {"decider": "with_reference", "rules": asdict(self._rules), "on_missing": self._on_missing}
        return own | shared | {"inner": inner}

    @property
    def chooser(self) -> Strategy:
        """The strategy, for callers that want its result."""
        return self._inner.chooser

    @property
    def offer(self) -> dict[str, Any] | None:
        """See `ByStrategy`."""
        return self._inner.offer

    def hear(self, wishes: Sequence[Any]) -> None:
        """See `ByStrategy`."""
        self._inner.hear(wishes)

    def recall(self, data: Mapping[str, Any]) -> None:
        """See `ByStrategy`."""
        self._inner.recall(data)

    def further(self) -> list[Decision]:
        """See `Decider`."""
        further, self._further = self._further, []
        return further

    def first(self) -> Decision:
        """See `Decider`."""
        self._held = [self._inner.first(), *self._inner.further()]
        return self._at(TagRow(), "move", f"the reference place, frame 1 of {_FIRST}")

    def decide(self, seen: TagRow) -> Decision:
        """See `Decider`."""
        if self._held:
            return self._judge(seen)
        decision = replace(self._inner.decide(seen), drift=self._drift)
        further = [replace(each, drift=self._drift) for each in self._inner.further()]
        ends = decision.action == "stop"
        moves = decision.action in ("move", "skip") and bool(decision.values)
        if self._since and (ends or (moves and self._since >= self._rules.every)):
            self._held, self._doubted, self._asked = [decision, *further], False, False
            then = decision.reason if ends else f"{decision.reason}; first"
            return replace(decision, action="move", reason=f"{then}; the reference place", values=self._rules.place)
        if moves:
            self._since += 1 + len(further)
        self._further = further
        return decision

    def _judge(self, seen: TagRow) -> Decision:
        """Return the decision on a frame of the reference place."""
        if seen.missing:
            decision = self._missing.decide(0, seen, self._rules.place)
            if decision.action != "skip":
                return replace(decision, reason=f"reference: {decision.reason}", drift=self._drift)
            return self._leave(seen, f"reference: {decision.reason}")
        self._missing.over()
        if len(self._frames) < _FIRST:
            self._frames.append(seen)
            if len(self._frames) < _FIRST:
                return self._at(seen, "repeat", f"the reference place, frame {len(self._frames) + 1} of {_FIRST}")
            return self._leave(seen, "the reference place is known")
        self._drift, said = self._compare(seen)
        if self._drift < 1:
            return self._leave(seen, f"{said}: as at the start")
        if not self._doubted:
            self._doubted = True
            return self._at(seen, "repeat", f"{said}: once more")
        said += ": the reference place has changed"
        if self._rules.on_change == "stop":
            return replace(self._at(seen, "stop", f"{said}: the plan ends, as asked for"), values={}, alarm=True)
        if self._rules.on_change == "pause" and not self._asked:
            self._asked = True
            return replace(self._at(seen, "repeat", f"{said}: pause for a person, then again"), pause=True, alarm=True)
        return replace(self._leave(seen, said), alarm=True)

    def _compare(self, seen: TagRow) -> tuple[float, str]:
        """Return how far the tag that changed most has changed, in units of what counts, and that in words."""
        worst, said = 0.0, "reference"
        for tag, now in seen.scores.items():
            first = np.array([frame.scores[tag] for frame in self._frames])
            level, apart = float(np.median(first)), float(np.ptp(first))
            drift = abs(now - level) / max(self._rules.change, _BEYOND * apart)
            if drift >= worst:  # not for NaN
                worst, said = drift, f"reference: {tag} {now:.2f} after {level:.2f}"
        return worst, said

    def _at(self, seen: TagRow, action: Action, reason: str) -> Decision:
        return Decision(0, seen, action, reason, self._rules.place, drift=self._drift)

    def _leave(self, seen: TagRow, said: str) -> Decision:
        """Return the decision that was held back while the reference place was looked at."""
        held, self._held = self._held, []
        held = [replace(each, point=0, seen=seen, wishes="", drift=self._drift) for each in held]
        self._since, self._further = len(held), held[1:]
        return replace(held[0], reason=f"{said}; {held[0].reason}")
