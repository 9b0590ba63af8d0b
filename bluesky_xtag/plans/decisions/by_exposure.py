"""Decides how long to expose: longer or shorter, until the frame is good or a limit is reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...documents import TagRow
from ...errors import XTagValueError
from ..conditions import Condition, parse
from .decision import Decision, Missing

__all__ = ["ByExposure"]

_FACTOR = 4.0  # from one exposure to the next, until one was too long and one too short
_CLOSE = 1.1  # a longest and a shortest exposure that differ by less leave nothing between them
_TOO_LONG = "saturated"


class ByExposure:
    """Looks for an exposure that gives a good frame.

    If a frame is not good, the exposure was too long if the model accepts "saturated", and too short otherwise. The
    next exposure is four times shorter or longer. Once one exposure was too long and one too short, the next one is
    their geometric mean.

    Parameters
    ----------
    signal : str
        Name of the exposure's signal.
    first : float
        Seconds to begin with.
    limits : (float, float)
        The shortest and the longest exposure in seconds.
    good : Condition
        The condition that a good frame meets.
    tags : sequence of str
        The names of the model's tags.
    on_missing : str
        See `Missing`. A frame that is left out ends the search, because there is only one place.

    Raises
    ------
    XTagValueError
        The limits are not two numbers of seconds in order.
    """

    strategy = "expose_until"

    def __init__(
        self,
        signal: str,
        first: float,
        limits: Sequence[float],
        good: Condition,
        tags: Sequence[str],
        on_missing: str = "repeat",
    ) -> None:
        numbers = isinstance(limits, Sequence) and all(isinstance(each, int | float) for each in limits)
        if not numbers or len(limits) != 2 or not 0 < limits[0] <= limits[1] < math.inf:
            raise XTagValueError(f"limits={limits!r}: give the shortest and the longest exposure in seconds, above 0")
        self.tag = good.tags[0] if good.tags else ""
        self.names = (signal,)
        self._low, self._high = float(limits[0]), float(limits[1])
        self._seconds = min(max(float(first), self._low), self._high)
        self._short: float | None = None  # the longest that was too short
        self._long: float | None = None  # the shortest that was too long
        self._good = good
        self._missing = Missing(on_missing)
        self.found = False
        """Whether the newest frame is good."""
        self._settings = {
            "decider": self.strategy,
            "signal": signal,
            "first": float(first),
            "limits": [self._low, self._high],
            "good": good.text,
            "tags": list(tags),
            "on_missing": on_missing,
            "known": good.parsed,
        }

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> ByExposure:
        """Return the decider as it was when it was new, from its `settings`."""
        good = parse(settings["good"], settings["tags"])
        tags, on_missing = settings["tags"], settings["on_missing"]
        return cls(settings["signal"], settings["first"], settings["limits"], good, tags, on_missing)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        return self._settings

    @property
    def seconds(self) -> float:
        """The newest exposure in seconds."""
        return self._seconds

    def first(self) -> Decision:
        """See `Decider`."""
        return Decision(0, TagRow(), "expose", f"the first exposure, {self._seconds:.3g} s", self._values)

    def decide(self, seen: TagRow) -> Decision:
        """See `Decider`."""
        if seen.missing:
            decision = self._missing.decide(1, seen, self._values)
            if decision.action != "skip":
                return decision
            return Decision(1, seen, "stop", f"{decision.reason}; there is no other place")
        self._missing.over()
        shown = self._good.in_words(seen)
        self.found = self._good.holds(seen)
        if self.found:
            return Decision(1, seen, "stop", f"{shown}: good at {self._seconds:.3g} s")
        too_long = _TOO_LONG in seen.tags
        if too_long:
            self._long = self._seconds
        else:
            self._short = self._seconds
        verdict = f"not {shown}: {self._seconds:.3g} s is too {'long' if too_long else 'short'}"
        seconds = self._next(too_long)
        if seconds == self._seconds:
            return Decision(1, seen, "stop", f"{verdict}; the limit is reached")
        if self._short is not None and self._long is not None and self._long / self._short < _CLOSE:
            return Decision(
                1, seen, "stop", f"{verdict}; nothing between {self._short:.3g} and {self._long:.3g} s is good"
            )
        self._seconds = seconds
        return Decision(1, seen, "expose", verdict, self._values)

    def _next(self, too_long: bool) -> float:
        if self._short is not None and self._long is not None:
            return math.sqrt(self._short * self._long)
        return max(self._seconds / _FACTOR, self._low) if too_long else min(self._seconds * _FACTOR, self._high)

    @property
    def _values(self) -> dict[str, float]:
        return {self.names[0]: self._seconds}
