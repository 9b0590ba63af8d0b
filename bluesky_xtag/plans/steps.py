"""What the plans share: reading tags, writing decisions, and the loop of a plan that tags steer."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import Msg

from ..documents import STREAM as TAGS
from ..documents import TagRow
from ..errors import XTagError
from ..tagger import Plan, Tagger
from .decisions import (
    INTERVAL,
    STREAM,
    Decider,
    Decision,
    DecisionLog,
    TagsWatch,
    further_decisions,
    needs_frame,
)
from .wish_file import listening

logger = logging.getLogger("bluesky_xtag")

__all__ = ["queueable", "read_all_tags", "read_tags", "steer", "write"]


def read_tags(tagger: Tagger, watch: TagsWatch, run: str, count: int = 1) -> Generator[Msg, Any, list[TagRow]]:
    """Write the rows of the frames of a run up to the newest one, and return what the rows of the newest events say.

    It takes until the deadline of the newest frame at most. Afterwards the RunEngine does not rewind to a point before
    the frame.

    Parameters
    ----------
    tagger : Tagger
        It has the frames.
    watch : TagsWatch
        It hears the rows.
    run : str
        Uid of the run.
    count : int
        The number of events.

    Raises
    ------
    XTagError
        No frame reached the tagger.
    """
    yield from read_all_tags(tagger, run)
    seen = watch.newest_of(run, count)
    if not seen[-1].frame:
        raise XTagError(
            f"no frame of this run reached the tagger {tagger.name!r}: call install(RE) or RE.subscribe(tagger), and "
            "use a detector with images in a stream that the tagger watches"
        )
    return seen


def read_all_tags(tagger: Tagger, run: str) -> Generator[Msg, Any, None]:
    """Write the rows of the frames of a run up to the newest one; see `read_tags`."""
    yield from bps.trigger_and_read([tagger], name=TAGS)
    for _ in tagger.unwritten(run):  # an installed tagger leaves none; by itself it gives the oldest first
        yield from bps.trigger_and_read([tagger], name=TAGS)
    yield from bps.checkpoint()


def write(log: DecisionLog, decision: Decision) -> Plan:
    """Write the row of a decision, warn if it is an alarm, and pause if the decision says so."""
    if decision.alarm:
        logger.warning("%s", decision.reason)
    log.note(decision)
    yield from bps.trigger_and_read([log], name=STREAM)
    if decision.pause:
        yield from bps.checkpoint()
        yield from bps.pause()


def steer(
    detectors: Sequence[Any],
    tagger: Tagger,
    decider: Decider,
    movables: Mapping[str, Any],
    md: Mapping[str, Any],
    *,
    restage: Sequence[Any] = (),
) -> Generator[Msg, Any, Decision]:
    """Take frames where a decider says, until it says stop, in one run with the streams primary, tags and decisions.

    If the decider chooses several places at once, the frames of all are taken before the plan waits for their tags.

    Parameters
    ----------
    detectors : sequence of Readable
        They are read at each point, with the movables.
    tagger : Tagger
        A tagger that is installed, or only subscribed.
    decider : Decider
        It chooses values for the movables, and "interval": seconds from the start of the last frame that had one to the
        start of the next.
    movables : mapping of str to Movable
        The movables by their names, which are read at each point; also signals that are only read.
    md : mapping
        Goes into the start document.
    restage : sequence
        What is staged and unstaged in addition to the detectors.

    Returns
    -------
    Decision
        The last one.
    """
    watch = TagsWatch(tagger.name, tagger.model.taxonomy.names)
    log = DecisionLog(decider, tagger.name, tagger.deadline)
    readables = [*detectors, *(each for each in movables.values() if each not in detectors)]

    def frames() -> Generator[Msg, Any, Decision]:
        run, begun = watch.run, 0.0
        first = decider.first()
        assert first is not None  # a plan that chooses places has to choose the first
        with listening(decider, run, str(md.get("plan_name", "a plan"))) as hear:
            flight = yield from write_all(first)
            while flight[-1].action != "stop":
                due = [decision for decision in flight if needs_frame(decision)]
                for decision in due:
                    yield from bps.checkpoint()
                    begun = yield from _wait(decision, begun)
                    chosen = ((movables[name], value) for name, value in decision.values.items() if name in movables)
                    moves = [each for pair in chosen for each in pair]
                    if moves:
                        yield from bps.mv(*moves)
                    yield from bps.trigger_and_read(readables)
                flight = []
                for seen in (yield from read_tags(tagger, watch, run, len(due))):
                    hear()
                    flight += yield from write_all(decider.decide(seen))
                    if flight[-1].action == "stop":
                        break
        return flight[-1]

    def write_all(decision: Decision) -> Generator[Msg, Any, list[Decision]]:
        """Write a decision and those that came with it, and return them."""
        decisions = [decision, *further_decisions(decider)]
        for each in decisions:
            yield from write(log, each)
            yield from bps.checkpoint()  # after a pause the log would be read again with the next decision
        return decisions

    def rest() -> Plan:
        """Write the rows that were not read yet, for a tagger that is only subscribed."""
        if tagger.unwritten(watch.run):
            yield from bps.trigger_and_read([tagger], name=TAGS)

    @bpp.subs_decorator(watch)
    @bpp.stage_decorator([*detectors, *restage])
    @bpp.run_decorator(md=dict(md))
    def plan() -> Plan:
        return (yield from bpp.finalize_wrapper(frames(), rest))

    return (yield from plan())


def _wait(decision: Decision, begun: float) -> Generator[Msg, Any, float]:
    """Wait for the interval since the last frame that had one, if a decision has one; return when that frame begins."""
    wait = decision.values.get(INTERVAL)
    if wait is None:
        return begun
    left = begun + wait - time.monotonic()
    if begun and left > 0:
        yield from bps.sleep(left)
    return time.monotonic()


_PlanFunction = TypeVar("_PlanFunction", bound=Callable[..., Any])


def queueable(plan: _PlanFunction) -> _PlanFunction:
    """Leave the types out of the signature that the Queue Server reads.

    The server knows few types. It turns names into devices only if it knows the type or if the signature states none.
    """
    signature = inspect.signature(plan)
    untyped = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    plan.__signature__ = signature.replace(  # pyright: ignore[reportFunctionMemberAccess]
        parameters=untyped, return_annotation=signature.empty
    )
    return plan
