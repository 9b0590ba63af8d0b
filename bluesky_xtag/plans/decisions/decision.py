"""One decision of a plan, and what a plan does when a frame has no tags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from ...documents import TagRow
from ...errors import XTagValueError

__all__ = [
    "ACTIONS",
    "Action",
    "Decider",
    "Decision",
    "LineSeen",
    "Missing",
    "OnMissing",
    "further_decisions",
    "needs_frame",
]

Action = Literal["move", "repeat", "expose", "skip", "note", "stop", "then", "otherwise", "continue", "fallback"]
ACTIONS: tuple[Action, ...] = get_args(Action)

OnMissing = Literal["repeat", "skip", "pause", "stop"]


@dataclass(frozen=True)
class Decision:
    """What a plan does because of a frame's tags.

    Parameters
    ----------
    point : int
        The number of the place that the frame belongs to, from 1; 0 for the decision before the first frame.
    seen : TagRow
        The row that the plan decided on.
    action : str
        One of `ACTIONS`.
    reason : str
        Why, in words.
    values : mapping of str to float
        The chosen values, by the name of the motor or signal; empty if nothing was chosen.
    pause : bool
        Whether the plan pauses for a person first.
    condition, fallback : str
        What a plan of somebody's own asked, and what it does without tags; see `bluesky_xtag.plans.stubs`.
    wishes : str
        Pins and vetoes that were taken with it, as JSON.
    drift : float
        How far the reference place has changed, in units of what counts; NaN if that is not known.
    alarm : bool
        Whether the plan writes the reason as a warning.
    line : LineSeen, optional
        What was seen on a line that was flown.
    """

    point: int
    seen: TagRow
    action: Action
    reason: str
    values: Mapping[str, float] = field(default_factory=dict)
    pause: bool = False
    condition: str = ""
    fallback: str = ""
    wishes: str = ""
    drift: float = math.nan
    alarm: bool = False
    line: LineSeen | None = None


@dataclass(frozen=True)
class LineSeen:
    """What was seen on a line that was flown.

    Parameters
    ----------
    frames : int
        How many frames had tags.
    lost : int
        How many had none, or did not come.
    accepted : int
        How many have the tag that decides, or any tag if there is none.
    """

    frames: int = 0
    lost: int = 0
    accepted: int = 0


class Decider(Protocol):
    """Decides what a plan does next, from the rows of the stream "tags" alone.

    The same settings and the same rows give the same decisions, so that the decisions can be computed again from what
    is stored.
    """

    strategy: str
    """Name of the strategy, or of the plan that has its own."""
    tag: str
    """The tag that it looks at, empty if it looks at several or at none."""
    names: tuple[str, ...]
    """The names of the motors or signals that it chooses values for."""

    @property
    def settings(self) -> dict[str, Any]:
        """What `make_decider` needs to make it again: plain, and ready for JSON."""
        ...

    def first(self) -> Decision | None:
        """Return the decision before the first frame, if there is one."""
        ...

    def decide(self, seen: TagRow) -> Decision:
        """Return the decision on the next frame.

        A decider may choose several places at once. Then it also has a method `further`, which returns the decisions
        for the other places; see `further_decisions`. Until the frames of all of them are decided on, a decision that
        needs no frame is "note", or "skip" without values.
        """
        ...


def further_decisions(decider: Decider) -> list[Decision]:
    """Return the decisions that came together with the last one: those for the other places of a batch."""
    further = getattr(decider, "further", None)
    return [] if further is None else further()


def needs_frame(decision: Decision) -> bool:
    """Return whether the plan takes a frame because of a decision."""
    return decision.action not in ("stop", "note") and not (decision.action == "skip" and not decision.values)


class Missing:
    """What a plan does when a frame has no tags.

    Parameters
    ----------
    rule : {"repeat", "skip", "pause", "stop"}
        "repeat" takes the frame again once, then leaves the place out. "skip" leaves the place out at once. "pause"
        pauses for a person, and takes the frame again when the plan is resumed. "stop" ends the plan.

    Raises
    ------
    XTagValueError
        The rule is not known.
    """

    def __init__(self, rule: str) -> None:
        if rule not in get_args(OnMissing):
            raise XTagValueError(f"on_missing={rule!r} is not known; choose one of {', '.join(get_args(OnMissing))}")
        self._rule = rule
        self._repeated = False

    def over(self) -> None:
        """Note that the place has its tags, or that the plan leaves it."""
        self._repeated = False

    def decide(self, point: int, seen: TagRow, values: Mapping[str, float]) -> Decision:
        """Return the decision: "repeat" with the values of the same place, or "skip" or "stop" without values."""
        without = f"no tags ({seen.status})"
        if self._rule == "stop":
            return Decision(point, seen, "stop", f"{without}: the plan ends, as asked for")
        if self._rule == "pause":
            return Decision(point, seen, "repeat", f"{without}: pause for a person, then again", values, pause=True)
        if self._rule == "repeat" and not self._repeated:
            self._repeated = True
            return Decision(point, seen, "repeat", f"{without}: again", values)
        again = " again" if self._repeated else ""
        self._repeated = False
        return Decision(point, seen, "skip", f"{without}{again}: left out")
