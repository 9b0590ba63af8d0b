"""What the plans share: reading tags, writing decisions, and the loop of a plan that tags steer."""

from __future__ import annotations

import inspect
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
from .decisions import INTERVAL, STREAM, Decider, Decision, DecisionLog, TagsWatch

__all__ = ["queueable", "read_tags", "steer", "write"]


def read_tags(tagger: Tagger, watch: TagsWatch, run: str) -> Generator[Msg, Any, TagRow]:
    """Write the rows of the frames of a run up to the newest one, and return what the newest row says.

    It takes until the deadline of the newest frame at most. Afterwards the RunEngine does not rewind to a point before
    the frame.

    Raises
    ------
    XTagError
        No frame reached the tagger.
    """
    yield from bps.trigger_and_read([tagger], name=TAGS)
    for _ in tagger.unwritten(run):  # an installed tagger leaves none; by itself it gives the oldest first
        yield from bps.trigger_and_read([tagger], name=TAGS)
    yield from bps.checkpoint()
    seen = watch.newest(run)
    if not seen.frame:
        raise XTagError(
            f"no frame of this run reached the tagger {tagger.name!r}: call install(RE) or RE.subscribe(tagger), and "
            "use a detector with images in a stream that the tagger watches"
        )
    return seen


def write(log: DecisionLog, decision: Decision) -> Plan:
    """Write the row of a decision, and pause if the decision says so."""
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
        decision = decider.first()
        assert decision is not None  # a plan that chooses places has to choose the first
        yield from write(log, decision)
        while decision.action != "stop":
            yield from bps.checkpoint()
            wait = decision.values.get(INTERVAL)
            if wait is not None:
                left = begun + wait - time.monotonic()
                if begun and left > 0:
                    yield from bps.sleep(left)
                begun = time.monotonic()
            chosen = ((movables[name], value) for name, value in decision.values.items() if name in movables)
            moves = [each for pair in chosen for each in pair]
            if moves:
                yield from bps.mv(*moves)
            yield from bps.trigger_and_read(readables)
            seen = yield from read_tags(tagger, watch, run)
            decision = decider.decide(seen)
            yield from write(log, decision)
        return decision

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
