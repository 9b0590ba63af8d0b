"""Plan stubs for plans of your own: read the tags of the newest frame, wait for them with a deadline, ask a condition.

They work in a run that is open, after the detector was read. The tagger is installed, with either setting of `wait`,
or brought by `bluesky_xtag.tagger.tag_wrapper`, or only subscribed. While a stub waits, the RunEngine goes on with
all else that it does: nothing here holds its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from bluesky import plan_stubs as bps
from bluesky.protocols import Readable
from bluesky.utils import Msg, MsgGenerator, ensure_generator

from ..documents import TagRow
from ..errors import XTagValueError
from ..tagger import Plan, Tagger
from .arguments import a_tagger
from .asking import a_deadline, check_plans, decide, fallback_name, read
from .decisions import ByCondition

__all__ = ["if_tags", "read_tags", "tagged_shot", "tagged_step", "wait_for_tags"]

PlanOf: TypeAlias = Callable[[], Iterable[Msg]]
"""A plan, as a function without arguments that returns it."""


def read_tags(tagger: Tagger) -> Generator[Msg, Any, TagRow]:
    """Wait for the tags of the newest frame, write its row into the stream "tags", and return what the row says.

    It waits until the tagger's deadline at most. If the row is written already, it is returned at once. Afterwards the
    RunEngine does not rewind to a point before the frame, so the row that is returned is the one that is stored.

    Parameters
    ----------
    tagger : Tagger
        The tagger.

    Returns
    -------
    TagRow
        What was seen: `status`, `tags`, `scores` by tag. Its `missing` is true if the frame has no tags. Of an event
        with several frames it is the last one.

    Raises
    ------
    XTagError
        No frame of this run reached the tagger.
    """
    _, seen = yield from read(a_tagger(tagger), None)
    return seen


def wait_for_tags(
    tagger: Tagger, deadline: float | None = None, fallback: str | PlanOf = "continue"
) -> Generator[Msg, Any, TagRow]:
    """Wait for the tags of the newest frame; if they do not come, do what the fallback says, and write that down.

    A fallback is a row of the stream "decisions". Where the tags come, nothing is written but their row.

    Parameters
    ----------
    tagger : Tagger
        The tagger.
    deadline : float, optional
        Seconds to wait at most, from now. If None, until the tagger's own deadline, which cannot be exceeded. A tagger
        that was installed with ``wait="point"`` has waited before, up to its own deadline.
    fallback : {"continue", "stop"} or callable
        What is done without tags: "continue" goes on, and the plan may look at the row; "stop" ends the plan, and the
        run is a success; a function without arguments returns a plan, which is run, such as ``bps.pause``.

    Returns
    -------
    TagRow
        What was seen, as `read_tags` returns it; without tags its `missing` is true.

    Raises
    ------
    XTagError
        No frame of this run reached the tagger.
    XTagValueError
        An argument does not fit.
    """
    tagger, name = a_tagger(tagger), fallback_name(fallback, of_condition=False)
    run, seen = yield from read(tagger, a_deadline(tagger, deadline))
    if seen.missing:
        yield from decide(tagger, run, seen, None, name, {name: fallback})
    return seen


def if_tags(
    tagger: Tagger,
    condition: str,
    then: PlanOf | None = None,
    otherwise: PlanOf | None = None,
    *,
    deadline: float | None = None,
    fallback: str | PlanOf = "otherwise",
) -> Generator[Msg, Any, TagRow]:
    """Run one plan if the newest frame meets a condition, and another one if it does not.

    Each answer is a row of the stream "decisions", which says why in words; `xtag decisions` computes them again.

    Parameters
    ----------
    tagger : Tagger
        The tagger.
    condition : str
        A condition on the tags of one frame, such as ``"ring>0.9"``; see `bluesky_xtag.plans.conditions`.
    then, otherwise : callable, optional
        What is run if the condition holds, and if it does not: a function without arguments that returns a plan, such
        as ``lambda: bps.mv(shutter, "closed")``. Nothing if None.
    deadline : float, optional
        As in `wait_for_tags`.
    fallback : {"otherwise", "then", "continue", "stop"} or callable
        What is done if there are no tags: one of the two plans; neither of them ("continue"); "stop" ends the plan, and
        the run is a success; or a plan of its own.

    Returns
    -------
    TagRow
        What was seen, as `read_tags` returns it.

    Raises
    ------
    ConditionError
        The condition is not understood. The error comes before anything is waited for.
    XTagError
        No frame of this run reached the tagger.
    XTagValueError
        An argument does not fit.
    """
    tagger, name = a_tagger(tagger), fallback_name(fallback, of_condition=True)
    ByCondition(tagger.model.taxonomy.names).ask(condition, name)  # so that what does not fit is told at once
    choices = {"then": then, "otherwise": otherwise}
    check_plans(choices)
    run, seen = yield from read(tagger, a_deadline(tagger, deadline))
    yield from decide(tagger, run, seen, condition, name, {name: fallback} | choices)
    return seen


def tagged_step(
    tagger: Tagger,
    condition: str | None = None,
    then: Callable[..., Iterable[Msg]] | None = None,
    otherwise: Callable[..., Iterable[Msg]] | None = None,
    *,
    deadline: float | None = None,
    fallback: str | Callable[..., Iterable[Msg]] = "continue",
    step: Callable[..., Iterable[Msg]] = bps.one_nd_step,
) -> Any:
    """Return a `per_step` for bluesky's plans: each point waits for its tags, and a condition may decide what follows.

    ``bp.grid_scan([det], y, 0, 1, 5, x, 0, 1, 5, per_step=tagged_step(xtag, "ring", then=bps.one_nd_step))`` takes a
    second frame at each place with a ring.

    Parameters
    ----------
    tagger, condition, deadline
        As in `if_tags`; without a condition as in `wait_for_tags`.
    then, otherwise : callable, optional
        What is run if the condition holds, and if it does not. Each is called as bluesky calls a `per_step`, with
        (detectors, step, pos_cache): ``bps.one_nd_step`` takes the frame again.
    fallback : str or callable
        As in `if_tags` or `wait_for_tags`. A function is called like `then`.
    step : callable
        Takes the frame of each point; called like `then`.

    Raises
    ------
    ConditionError, XTagValueError
        An argument does not fit. The error comes before the scan.
    """
    ask, take = _Question(tagger, condition, then, otherwise, deadline, fallback), step

    # The names of the arguments tell bluesky that it may give several motors.
    def per_step(detectors: Sequence[Any], step: Mapping[Any, Any], pos_cache: dict[Any, Any]) -> MsgGenerator[None]:
        yield from ensure_generator(take(detectors, step, pos_cache))
        yield from ask(detectors, step, pos_cache)

    return per_step


def tagged_shot(
    tagger: Tagger,
    condition: str | None = None,
    then: Callable[..., Iterable[Msg]] | None = None,
    otherwise: Callable[..., Iterable[Msg]] | None = None,
    *,
    deadline: float | None = None,
    fallback: str | Callable[..., Iterable[Msg]] = "continue",
    shot: Callable[..., Iterable[Msg]] = bps.one_shot,
) -> Callable[[Sequence[Readable]], MsgGenerator[None]]:
    """Return a `per_shot` for ``bp.count``. It is as `tagged_step`, but its plans are called with the detectors alone.

    ``bps.one_shot`` is the plan that takes a frame.
    """
    ask = _Question(tagger, condition, then, otherwise, deadline, fallback)

    def per_shot(detectors: Sequence[Readable]) -> MsgGenerator[None]:
        yield from ensure_generator(shot(detectors))
        yield from ask(detectors)

    return per_shot


class _Question:
    """What each point of a scan asks; its arguments are checked before the scan."""

    def __init__(
        self,
        tagger: Tagger,
        condition: str | None,
        then: Callable[..., Iterable[Msg]] | None,
        otherwise: Callable[..., Iterable[Msg]] | None,
        deadline: float | None,
        fallback: str | Callable[..., Iterable[Msg]],
    ) -> None:
        self._tagger, self._condition = a_tagger(tagger), condition
        self._seconds = a_deadline(tagger, deadline)
        self._fallback = fallback_name(fallback, of_condition=condition is not None)
        ByCondition(tagger.model.taxonomy.names).ask(condition, self._fallback)
        plans = {"then": then, "otherwise": otherwise}
        check_plans(plans)
        for role, plan in plans.items():
            if plan is not None and condition is None:
                raise XTagValueError(f"{role} belongs to a condition: give one, such as 'ring>0.9'")
        self._choices = {self._fallback: fallback} | plans

    def __call__(self, *point: Any) -> Plan:
        """Ask at a point, whose arguments the plans get."""
        run, seen = yield from read(self._tagger, self._seconds)
        if seen.missing or self._condition is not None:
            choices = {name: partial(plan, *point) for name, plan in self._choices.items() if callable(plan)}
            yield from decide(self._tagger, run, seen, self._condition, self._fallback, choices)
