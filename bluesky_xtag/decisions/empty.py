"""Decides after a short probe frame whether a place gets its full exposure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..conditions import Condition, Seen, parse
from .decision import Decision

__all__ = ["SkipEmpty"]


class SkipEmpty:
    """Leaves out places whose probe frame meets a condition; what has no tags is exposed, so that nothing is lost.

    Parameters
    ----------
    empty : Condition
        What an empty place is.
    tags : sequence of str
        The names of the model's tags.
    """

    strategy = "skip_empty"
    names = ()

    def __init__(self, empty: Condition, tags: Sequence[str]) -> None:
        self.tag = empty.tags[0] if empty.tags else ""
        self._empty = empty
        self._tags = tuple(tags)
        self._point = 0

    @classmethod
    def made(cls, settings: dict[str, Any]) -> SkipEmpty:
        """Make it again from its `settings`."""
        return cls(parse(settings["empty"], settings["tags"]), settings["tags"])

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        return {
            "decider": self.strategy,
            "empty": self._empty.text,
            "tags": list(self._tags),
            "known": self._empty.parsed,
        }

    def first(self) -> None:
        """Nothing is decided before the first probe."""

    def decide(self, seen: Seen) -> Decision:
        """See `Decider`."""
        self._point += 1
        if seen.missing:
            reason = f"no tags ({seen.status}): exposed in full, so that nothing is lost"
            return Decision(self._point, seen, "expose", reason)
        shown = self._empty.shown(seen)
        if self._empty.holds(seen):
            return Decision(self._point, seen, "skip", f"{shown}: no full exposure")
        return Decision(self._point, seen, "expose", f"not {shown}: exposed in full")
