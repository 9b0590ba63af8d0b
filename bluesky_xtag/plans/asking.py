"""What plan stubs ask: the newest row of the run that they are in, and what a fallback or a condition says of it."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import Msg, MsgGenerator, RequestStop, ensure_generator

from ..documents import STREAM as TAGS
from ..documents import TagRow
from ..errors import XTagError, XTagValueError
from ..tagger import Plan, Tagger
from .arguments import a_number
from .decisions import STREAM, ByCondition, DecisionLog, fallback_rules

__all__ = ["a_deadline", "check_plans", "decide", "fallback_name", "read"]


def read(tagger: Tagger, seconds: float | None) -> Generator[Msg, Any, tuple[str, TagRow]]:
    """Write the rows of a run up to that of the newest frame; return the run's uid, and what the newest row says."""
    end = None if seconds is None else time.monotonic() + seconds
    run = yield from _read_one(tagger, end)
    for _ in tagger.unwritten(run):  # an installed tagger leaves none; by itself it gives the oldest first
        yield from _read_one(tagger, end)
    yield from bps.checkpoint()
    seen = tagger.newest_row(run)
    if not seen.frame:
        raise XTagError(
            f"no frame of this run reached the tagger {tagger.name!r}: call install(RE) or RE.subscribe(tagger), and "
            "read a detector with images first, in a stream that the tagger watches"
        )
    return run, seen


def _read_one(tagger: Tagger, end: float | None) -> Generator[Msg, Any, str]:
    """Wait for a frame and write its row, unless all rows are written; return the uid of the run."""
    group = f"tags-{uuid4()}"
    status = yield from bps.trigger(tagger, group=group)
    run = getattr(status, "run", "")  # no status where the plan is only looked at
    if end is None:
        yield from bps.wait(group)
    else:
        # A frame that is read before its outcome is known is late.
        yield from bps.wait(group, timeout=max(end - time.monotonic(), 1e-3), error_on_timeout=False)
    if tagger.unwritten(run):
        yield from bps.create(TAGS)
        yield from bpp.contingency_wrapper(bps.read(tagger), except_plan=_drop, else_plan=bps.save)
    if end is not None:
        yield from bps.wait(group, error_on_timeout=False)  # so that the RunEngine lets the group go
    return run


def _drop(error: Exception) -> Plan:
    yield from bps.drop()
    raise error


_LOGS: WeakKeyDictionary[Tagger, tuple[ByCondition, DecisionLog]] = WeakKeyDictionary()


def decide(
    tagger: Tagger, run: str, seen: TagRow, condition: str | None, fallback: str, choices: Mapping[str, Any]
) -> MsgGenerator[None]:
    """Write the row of a decision, and do what it says."""
    if tagger not in _LOGS:  # the RunEngine wants the same device in a stream of a run
        decider = ByCondition(tagger.model.taxonomy.names)
        _LOGS[tagger] = decider, DecisionLog(decider, tagger.name, tagger.deadline)
    decider, log = _LOGS[tagger]
    decider.ask(condition, fallback)
    decision = decider.decide(seen)
    log.note(decision)
    yield from bps.trigger_and_read([log], name=STREAM)
    yield from bps.checkpoint()
    if decision.action == "stop":
        raise RequestStop
    plan = choices.get(fallback if decision.action == "fallback" else decision.action)
    if callable(plan):
        yield from ensure_generator(plan())
    if not tagger.installed:  # where nobody else writes the rows of frames that the plan took
        for _ in tagger.unwritten(run):
            yield from _read_one(tagger, None)


def a_deadline(tagger: Tagger, deadline: float | None) -> float | None:
    """Return the seconds that a plan wants to wait at most, which the tagger can keep; None if it says nothing."""
    if deadline is None:
        return None
    seconds = a_number(deadline, "deadline")
    if not 0 < seconds <= tagger.deadline:
        raise XTagValueError(
            f"deadline={deadline} does not fit: give seconds above 0 and up to {tagger.deadline:g}, after which "
            f"{tagger.name} itself calls a frame late; install(RE, deadline=...) sets that"
        )
    return seconds


def fallback_name(fallback: Any, of_condition: bool) -> str:
    """Return what the document says of a fallback."""
    rules = fallback_rules(of_condition)
    if isinstance(fallback, str):
        if fallback not in rules:
            raise XTagValueError(
                f"fallback={fallback!r} is not known: choose one of {', '.join(rules)}, or give a function that "
                "returns a plan"
            )
        return fallback
    if not callable(fallback):
        raise XTagValueError(f"fallback={fallback!r} is neither a word nor a function that returns a plan")
    name = getattr(fallback, "__name__", type(fallback).__name__)
    return f"{name}()" if name in rules else name


def check_plans(plans: Mapping[str, Any]) -> None:
    """Refuse what is not a function that returns a plan; `plans` by the name of their argument."""
    for role, plan in plans.items():
        if plan is not None and not callable(plan):
            raise XTagValueError(
                f"{role}={plan!r} is not a function: give one that returns a plan, such as {role}=lambda: bps.mv(x, 0)"
            )
