"""Decides after short probe frames whether a place gets its full exposure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...documents import TagRow
from ...errors import XTagValueError
from ..conditions import Condition, parse
from .decision import Decision

__all__ = ["SkipEmpty"]


class SkipEmpty:
    """Leaves out places whose probe frames meet a condition. A place without tags is exposed, so that nothing is lost.

    Parameters
    ----------
    empty : Condition
        The condition that an empty place meets.
    tags : sequence of str
        The names of the model's tags.
    probes : int
        The number of frames that must meet the condition before a place is left out. The place is exposed as soon as
        half as many (rounded down, and at least one) do not meet it, or have no tags.

    Raises
    ------
    XTagValueError
        `probes` is not a number of frames.
    """

    strategy = "skip_empty"
    names = ()

    def __init__(self, empty: Condition, tags: Sequence[str], probes: int = 1) -> None:
        if isinstance(probes, bool) or not isinstance(probes, int) or probes < 1:
            raise XTagValueError(f"probes={probes!r}: give a whole number of frames from 1 up")
        self.tag = empty.tags[0] if empty.tags else ""
        self._empty = empty
        self._tags = tuple(tags)
        self._probes = probes
        self._point = 1
        self._met = self._failed = 0  # how many probes of this point met it, and did not

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> SkipEmpty:
        """Return the decider as it was when it was new, from its `settings`."""
        return cls(parse(settings["empty"], settings["tags"]), settings["tags"], settings["probes"])

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        return {
            "decider": self.strategy,
            "empty": self._empty.text,
            "tags": list(self._tags),
            "probes": self._probes,
            "known": self._empty.parsed,
        }

    def first(self) -> None:
        """Return None: nothing is decided before the first probe."""

    def decide(self, seen: TagRow) -> Decision:
        """See `Decider`."""
        decision = self._decide(seen)
        if decision.action != "repeat":
            self._point, self._met, self._failed = self._point + 1, 0, 0
        return decision

    def _decide(self, seen: TagRow) -> Decision:
        if not seen.missing and self._empty.holds(seen):
            self._met += 1
            shown = self._empty.in_words(seen)
            if self._met < self._probes:
                return Decision(self._point, seen, "repeat", f"{shown}: {self._met} of {self._probes} probes")
            return Decision(self._point, seen, "skip", f"{shown}: no full exposure")
        self._failed += 1
        enough = max(self._probes // 2, 1)
        reason = f"no tags ({seen.status})" if seen.missing else f"not {self._empty.in_words(seen)}"
        if self._failed < enough:
            return Decision(self._point, seen, "repeat", f"{reason}: {self._failed} of {enough} probes")
        reason += ": exposed in full" + (", so that nothing is lost" if seen.missing else "")
        return Decision(self._point, seen, "expose", reason)
