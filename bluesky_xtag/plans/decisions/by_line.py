"""Decides how far a line scan goes: until a condition on the tags holds for some frames in a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...documents import TagRow
from ...errors import XTagValueError
from ..conditions import Condition, parse
from .decision import Action, Decision, Missing

__all__ = ["LineUntil"]


class LineUntil:
    """Goes along a line in steps. A frame without tags neither counts nor interrupts a row of frames that count.

    Parameters
    ----------
    motor : str
        Name of the motor.
    start, stop : float
        The ends of the line, in the motor's unit.
    step : float
        The distance between places; its sign does not matter.
    until : Condition
        When to end.
    tags : sequence of str
        The names of the model's tags.
    on_missing : str
        See `Missing`.

    Raises
    ------
    XTagValueError
        A number is not finite, or the step is 0.
    """

    strategy = "scan_until"

    def __init__(
        self,
        motor: str,
        start: float,
        stop: float,
        step: float,
        until: Condition,
        tags: Sequence[str],
        on_missing: str = "repeat",
    ) -> None:
        if not all(map(math.isfinite, (start, stop, step))) or step == 0:
            raise XTagValueError(
                f"start={start}, stop={stop}, step={step}: give finite numbers, and a step other than 0"
            )
        self.tag = until.tags[0] if until.tags else ""
        self.names = (motor,)
        self._start, self._step = float(start), math.copysign(step, stop - start)
        self._places = int(abs(stop - start) / abs(step) + 1e-9) + 1
        self._until = until
        self._missing = Missing(on_missing)
        self._settings = {
            "decider": self.strategy,
            "motor": motor,
            "start": float(start),
            "stop": float(stop),
            "step": float(step),
            "until": until.text,
            "tags": list(tags),
            "on_missing": on_missing,
            "known": until.parsed,
        }
        self._point = 0
        self._held = 0

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> LineUntil:
        """Return the decider as it was when it was new, from its `settings`."""
        kept = {key: settings[key] for key in ("motor", "start", "stop", "step", "tags", "on_missing")}
        return cls(until=parse(settings["until"], settings["tags"]), **kept)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        return self._settings

    @property
    def found(self) -> bool:
        """Whether the condition has held for the required number of frames."""
        return self._held >= self._until.frames

    def first(self) -> Decision:
        """See `Decider`."""
        return self._onward(TagRow(), "move", "the first place")

    def decide(self, seen: TagRow) -> Decision:
        """See `Decider`."""
        if seen.missing:
            decision = self._missing.decide(self._point, seen, self._values)
            return self._onward(seen, "skip", decision.reason) if decision.action == "skip" else decision
        self._missing.over()
        shown = self._until.in_words(seen)
        if not self._until.holds(seen):
            self._held = 0
            return self._onward(seen, "move", f"not {shown}")
        self._held += 1
        if self.found:
            return Decision(
                self._point, seen, "stop", f"{shown}: holds for {self._held} of {self._until.frames} frames"
            )
        return self._onward(seen, "move", f"{shown}: holds for {self._held} of {self._until.frames} frames")

    def _onward(self, seen: TagRow, action: Action, reason: str) -> Decision:
        if self._point == self._places:
            return Decision(self._point, seen, "stop", f"{reason}; the end of the line")
        self._point += 1
        return Decision(self._point - 1, seen, action, reason, self._values)

    @property
    def _values(self) -> dict[str, float]:
        return {self.names[0]: self._start + (self._point - 1) * self._step}
