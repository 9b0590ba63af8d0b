"""Answers a plan of somebody's own that asks whether a frame meets a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from ...documents import TagRow, column
from ...errors import XTagValueError
from ..conditions import Condition, condition
from .decision import Action, Decision

__all__ = ["ByCondition", "fallback_rules"]

_RULES: dict[str, Action] = {"then": "then", "otherwise": "otherwise", "continue": "continue", "stop": "stop"}
_IN_WORDS = {"continue": "the plan goes on without them", "stop": "the plan ends"}


class ByCondition:
    """Answers one question after the other; each has its own condition and its own fallback.

    A question is asked with `ask`, or taken from a stored row with `recall`; then `decide` answers it.

    Parameters
    ----------
    tags : sequence of str
        The names of the model's tags.
    """

    strategy = "stubs"
    names = ()
    is_asked = True

    def __init__(self, tags: Sequence[str]) -> None:
        self.tag = ""
        self._tags = tuple(tags)
        self._condition: Condition | None = None
        self._fallback = "continue"

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> ByCondition:
        """Return the decider as it was when it was new, from its `settings`."""
        return cls(settings["tags"])

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        return {"decider": self.strategy, "tags": list(self._tags), "known": True}

    def ask(self, wanted: str | Condition | None, fallback: str) -> None:
        """Take the next question.

        Parameters
        ----------
        wanted : str or Condition, optional
            The condition, of one frame; None if the plan only waits for tags.
        fallback : str
            "then", "otherwise", "continue", "stop", or the name of a plan.

        Raises
        ------
        ConditionError
            The condition is not understood.
        XTagValueError
            The condition is a function, which cannot be stored.
        """
        found = None if wanted is None else condition(wanted, self._tags, of_one_frame=True)
        if found is not None and not found.parsed:
            raise XTagValueError(
                f"{found.text} is a function: give the condition as text, or ask read_tags and decide in the plan"
            )
        self._condition, self._fallback = found, fallback
        self.tag = found.tags[0] if found is not None and found.tags else ""

    def recall(self, data: Mapping[str, Any]) -> None:
        """Take the question that a stored row of the stream "decisions" answers."""
        self.ask(
            str(data[column("decision", "condition")]) or None,
            str(data[column("decision", "fallback")]),
        )

    def first(self) -> None:
        """Return None: nothing is asked before the first frame."""

    def decide(self, seen: TagRow) -> Decision:
        """Answer the question."""
        asked = self._condition
        if seen.missing:
            action: Action = _RULES.get(self._fallback, "fallback")
            does = _IN_WORDS.get(self._fallback, self._fallback)
            reason = f"no tags ({seen.status}): {does}, the fallback"
        elif asked is None:
            action, reason = "continue", " ".join(seen.tags) or "no tag accepted"
        elif asked.holds(seen):
            action, reason = "then", asked.in_words(seen)
        else:
            action, reason = "otherwise", f"not {asked.in_words(seen)}"
        return Decision(
            seen.row,
            seen,
            action,
            reason,
            condition="" if asked is None else asked.text,
            fallback=self._fallback,
        )


def fallback_rules(of_condition: bool) -> tuple[str, ...]:
    """Return the fallbacks that have a name: "then" and "otherwise" belong to a condition."""
    assert set(_RULES) <= set(get_args(Action))
    return tuple(_RULES) if of_condition else ("continue", "stop")
