"""Decides when to take the next frame of one place: seldom while nothing changes, often when tags begin to change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from ...documents import TagRow
from ...errors import XTagValueError
from ..conditions import Condition, parse
from .decision import Action, Decision, Missing

__all__ = ["DOSE", "INTERVAL", "ByChange", "WatchRules"]

INTERVAL = "interval"
DOSE = "dose"

_SLOWER = 1.5  # by which the interval grows with each frame in which nothing changes
_BEGINS = 0.5  # part of a change at which it counts as beginning


@dataclass(frozen=True)
class WatchRules:
    """How often a place is looked at, and when that ends.

    Parameters
    ----------
    shortest, longest : float
        Seconds from the start of one frame to the start of the next.
    change : float
        By how much the probability of a tag must change to count.
    exposure : float or None
        Seconds of exposure of a frame; None if they are not known.
    max_frames : int
        The largest number of frames.
    max_seconds, max_dose, settled : float or None
        Seconds after which to end; the largest dose, in seconds of exposure; and seconds without a change, after there
        was one. None if there is no such rule.

    Raises
    ------
    XTagValueError
        A number does not fit.
    """

    shortest: float
    longest: float
    change: float
    exposure: float | None
    max_frames: int
    max_seconds: float | None = None
    max_dose: float | None = None
    settled: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.longest < math.inf:
            raise XTagValueError(
                f"interval=({self.shortest}, {self.longest}): give the shortest and the longest interval in seconds, "
                "above 0"
            )
        if not 0 < self.change <= 1:
            raise XTagValueError(f"change={self.change}: give a change of a probability, above 0 and up to 1")
        if isinstance(self.max_frames, bool) or not isinstance(self.max_frames, int) or self.max_frames < 1:
            raise XTagValueError(f"max_frames={self.max_frames!r}: give a whole number of frames from 1 up")
        for name in ("max_seconds", "max_dose", "settled"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise XTagValueError(f"{name}={value!r}: give a number of seconds above 0, or None")
        if self.max_dose is not None and self.exposure is None:
            raise XTagValueError(
                "max_dose needs the exposure of a frame: name its signal, exposure=det.cam.acquire_time"
            )


class ByChange:
    """Compares each frame with the one at which something changed last.

    If the probability of a watched tag differs by `change` or more, something has changed: the next frame follows
    after the shortest interval, and later frames are compared with this one. A difference of half of that halves the
    interval. Otherwise the interval grows by half, up to the longest. Slow changes add up, because the frame to compare
    with stays the same until something has changed.

    Parameters
    ----------
    watched : sequence of str
        The tags that are compared.
    rules : WatchRules
        How often, and until when.
    until : Condition, optional
        When to end, besides.
    tags : sequence of str
        The names of the model's tags.
    on_missing : str
        See `Missing`. A frame that is left out changes nothing.

    Raises
    ------
    XTagValueError
        A tag is not known.
    """

    strategy = "watch"
    names: tuple[str, ...] = (INTERVAL, DOSE)

    def __init__(
        self,
        watched: Sequence[str],
        rules: WatchRules,
        until: Condition | None,
        tags: Sequence[str],
        on_missing: str = "repeat",
    ) -> None:
        if unknown := [tag for tag in watched if tag not in tags]:
            raise XTagValueError(f"no tag {', '.join(map(repr, unknown))}; known tags: {', '.join(tags)}")
        if not watched:
            raise XTagValueError("there is no tag to watch: name one, or leave tags out to watch all")
        self.tag = watched[0] if len(watched) == 1 else ""
        self._watched, self._rules, self._until = tuple(watched), rules, until
        self._missing = Missing(on_missing)
        self._settings = {
            "decider": self.strategy,
            "watched": list(watched),
            "rules": {name: getattr(rules, name) for name in get_type_hints(WatchRules)},
            "until": None if until is None else until.text,
            "tags": list(tags),
            "on_missing": on_missing,
            "known": until is None or until.parsed,
        }
        self._frames = 0  # that were decided to be taken
        self._interval = rules.shortest
        self._seconds = 0.0  # from the first frame to the newest
        self._compared: Mapping[str, float] = {}  # the scores at the last change
        self._quiet: float | None = None  # seconds since the last change, once there was one
        self._held = 0
        self.changes = 0
        """How often something has changed."""

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> ByChange:
        """Return the decider as it was when it was new, from its `settings`."""
        until = settings["until"]
        return cls(
            settings["watched"],
            WatchRules(**settings["rules"]),
            None if until is None else parse(until, settings["tags"]),
            settings["tags"],
            settings["on_missing"],
        )

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        return self._settings

    @property
    def found(self) -> bool:
        """Whether the condition has held for the required number of frames."""
        return self._until is not None and self._held >= self._until.frames

    @property
    def dose(self) -> float:
        """Seconds of exposure of the frames that were decided; NaN if those of a frame are not known."""
        return math.nan if self._rules.exposure is None else self._frames * self._rules.exposure

    def first(self) -> Decision:
        """See `Decider`."""
        return self._onward(TagRow(), "expose", "the first frame", 0.0)

    def decide(self, seen: TagRow) -> Decision:
        """See `Decider`."""
        if seen.missing:
            decision = self._missing.decide(self._frames, seen, {})
            if decision.action == "stop":
                return decision
            return self._onward(seen, decision.action, decision.reason, self._interval, pause=decision.pause)
        self._missing.over()
        said = self._compare(seen)
        if self._until is not None:
            self._held = self._held + 1 if self._until.holds(seen) else 0
            if self.found:
                return self._stop(seen, f"{self._until.in_words(seen)}: holds for {self._held} frames")
        settled = self._rules.settled
        if settled is not None and self._quiet is not None and self._quiet >= settled:
            return self._stop(seen, f"{said}; nothing has changed for {self._quiet:.3g} s")
        return self._onward(seen, "expose", said, self._interval)

    def _compare(self, seen: TagRow) -> str:
        """Note what has changed, set the interval, and return both in words."""
        rules = self._rules
        if not self._compared:
            self._compared = seen.scores
            return "the frame to compare with"
        before = self._compared
        tag = max(self._watched, key=lambda each: _difference(before, seen.scores, each))
        by = _difference(before, seen.scores, tag)
        moved = f"{tag} {seen.scores[tag]:.2f} after {before[tag]:.2f}"
        if by >= rules.change:
            self._compared, self._interval, self._quiet = seen.scores, rules.shortest, 0.0
            self.changes += 1
            return f"{moved}: changed"
        if by >= _BEGINS * rules.change:
            self._interval = max(self._interval / 2, rules.shortest)
            return f"{moved}: begins to change"
        self._interval = min(self._interval * _SLOWER, rules.longest)
        return f"{moved}: nothing changes"

    def _onward(self, seen: TagRow, action: Action, reason: str, after: float, pause: bool = False) -> Decision:
        """Return the decision to take the next frame after some seconds, or to stop if a rule says so."""
        rules = self._rules
        if self._frames >= rules.max_frames:
            return self._stop(seen, f"{reason}; as many frames as asked for")
        if rules.max_seconds is not None and self._seconds + after > rules.max_seconds:
            return self._stop(seen, f"{reason}; the next frame would be later than {rules.max_seconds:g} s")
        if rules.max_dose is not None and rules.exposure is not None:
            dose = (self._frames + 1) * rules.exposure
            if dose > rules.max_dose * (1 + 1e-9):
                return self._stop(seen, f"{reason}; the next frame would take the dose to {dose:.3g} s")
        number = self._frames
        self._frames += 1
        self._seconds += after
        if self._quiet is not None:
            self._quiet += after
        when = f"; the next frame {after:.3g} s after this one" if number else ""
        return Decision(number, seen, action, reason + when, {INTERVAL: after, DOSE: self.dose}, pause)

    def _stop(self, seen: TagRow, reason: str) -> Decision:
        dose = "" if math.isnan(self.dose) else f", dose {self.dose:.3g} s"
        return Decision(self._frames, seen, "stop", f"{reason}; frames: {self._frames} in {self._seconds:.3g} s{dose}")


def _difference(before: Mapping[str, float], now: Mapping[str, float], tag: str) -> float:
    return abs(now[tag] - before[tag])
