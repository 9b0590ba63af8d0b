"""Plans on their way to the RunEngine."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from bluesky.utils import Msg

__all__ = ["Plan", "accompany"]

Plan = Generator[Msg, Any, Any]


def accompany(plan: Plan, before: Callable[[Msg], Plan], after: Callable[[Msg, Any], Plan]) -> Plan:
    """Pass every message of a plan on, with others around it; what the RunEngine answers goes to the plan.

    Parameters
    ----------
    plan : generator of Msg
        What is accompanied; it meets the exceptions that any of the messages raises.
    before, after : callable
        Given a message, and the answer to it, they yield what is sent before and after it.
    """
    response: Any = None
    error: BaseException | None = None
    while True:
        try:
            msg = plan.send(response) if error is None else plan.throw(error)
        except StopIteration as stop:
            return stop.value
        response = error = None
        try:
            yield from before(msg)
            response = yield msg
            yield from after(msg, response)
        except GeneratorExit:
            plan.close()
            raise
        except Exception as exception:
            error = exception
