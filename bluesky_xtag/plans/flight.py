"""tag_adaptive_fly: a strategy chooses lines, each of which is flown and judged as a whole."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import Msg, MsgGenerator, ensure_generator

from ..errors import XTagError, XTagValueError
from ..tagger import Plan, Tagger
from .arguments import a_number, a_tagger, some_detectors, some_motors, start_document
from .decisions import ByLines, Decision, DecisionLog, TagsWatch, stop_name
from .motors import read_motions
from .steps import queueable, read_all_tags, write
from .strategies import Point

__all__ = ["Flight", "tag_adaptive_fly"]


@dataclass(frozen=True)
class Flight:
    """A line to fly.

    Parameters
    ----------
    start, stop : mapping of Movable to float
        Where the motors are when the first frame begins, and when the last one ends. They differ for the last motor
        only; the others are there already.
    motor : Movable
        The last motor, which flies.
    frames : int
        How many frames are to be taken, evenly spread.
    number : int
        Of the line, from 1; a line that is flown again keeps its number.
    is_first : bool
        Whether nothing was flown in this run before.
    """

    start: Mapping[Any, float]
    stop: Mapping[Any, float]
    motor: Any
    frames: int
    number: int
    is_first: bool


@queueable
def tag_adaptive_fly(
    detectors: Sequence[Readable],
    tagger: Tagger,
    strategy: str,
    *args: Any,
    frames: int,
    frame_seconds: float,
    tag: str | None = None,
    span: float | None = None,
    max_lines: int = 20,
    initial_lines: int = 4,
    on_missing: str = "repeat",
    fly: Callable[[Flight], Plan] | None = None,
    motion: str | Mapping[str, Mapping[str, float]] | None = None,
    region: Mapping[str, Any] | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[list[tuple[int | None, Point, Point]]]:
    """Fly lines where a strategy wants them, until its stopping rule holds or `max_lines` are done.

    The plan makes one run. After each line it waits for the tags of all its frames, up to the tagger's deadline, and
    writes one row to the stream decisions. A line is chosen by the use of all its frames for the time that the line and
    the way there take.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        A tagger that is installed, or only subscribed.
    strategy : {"boundary", "novelty", "phases", "seek"}
        What lines are chosen for.
    *args
        motor, low, high, motor, low, high, ...: the motors and their limits, the fastest last. The last motor flies,
        the others stand still on a line.
    frames : int
        How many frames a line has.
    frame_seconds : float
        Seconds from one frame to the next.
    tag : str, optional
        The tag to look for. Strategies that map all tags need none.
    span : float, optional
        How long a line is, in units of the last motor. If None, its whole range.
    max_lines : int
        The largest number of lines.
    initial_lines : int
        The number of lines that are spread evenly before the strategy begins to choose.
    on_missing : {"repeat", "skip", "pause", "stop"}
        What the plan does when no frame of a line has tags, as `tag_adaptive_scan` does for a place. Single frames
        without tags tell nothing. After three lines without any tags in succession the plan ends.
    fly : callable, optional
        A plan that takes the frames of a line within the open run, given a `Flight`. If None, the last motor and the
        detectors are devices of ophyd-async: the motor is prepared with a `FlyMotorInfo`, the detectors with a
        `TriggerInfo`, and their frames are collected into the stream primary.
    motion : "motors" or mapping, optional
        How long moves between lines take, as in `tag_adaptive_scan`. If None, they take no time.
    region : mapping, optional
        Where frames may be taken, as in `tag_adaptive_scan`: lines lie in it with all their frames.
    md : mapping, optional
        Goes into the start document.

    Returns
    -------
    list
        What the strategy found: its best points, see `Strategy.get_best_points`.

    Raises
    ------
    XTagValueError
        An argument does not fit. The error comes before the run begins.
    """
    detectors, tagger = some_detectors(detectors), a_tagger(tagger)
    motors, limits = some_motors(args)
    seconds = a_number(frame_seconds, "frame_seconds")
    if seconds <= 0:
        raise XTagValueError(f"frame_seconds={frame_seconds}: give seconds above 0, from one frame to the next")
    axes = {motor.name: pair for motor, pair in zip(motors, limits, strict=True)}
    motions = (yield from read_motions(motors, motion, seconds, detectors)) if motion is not None else {}
    decider = ByLines(
        strategy,
        axes,
        tagger.model.taxonomy.names,
        tag=tag,
        frames=frames,
        span=span,
        max_lines=max_lines,
        initial_lines=initial_lines,
        on_missing=on_missing,
        cameras=[detector.name for detector in detectors],
        motions=motions,
        region=region,
    )
    if fly is None:
        check_can_fly(motors[-1], detectors)
    elif not callable(fly):
        raise XTagValueError(f"fly={fly!r} is no plan: give a function that takes a Flight and returns a plan")
    start = start_document(
        "tag_adaptive_fly",
        detectors,
        tagger,
        {
            "strategy": strategy,
            "args": [each for motor, pair in zip(motors, limits, strict=True) for each in (repr(motor), *pair)],
            "frames": frames,
            "frame_seconds": seconds,
            "tag": tag,
            "span": span,
            "max_lines": max_lines,
            "initial_lines": initial_lines,
            "on_missing": on_missing,
            "fly": None if fly is None else repr(fly),
            "motion": {name: asdict(found) for name, found in motions.items()} or None,
            "region": None if region is None else dict(region),
        },
        motors=list(axes),
        # Flyers of ophyd-async leave no positions in the stream; plans of one's own read the motors.
        dimensions=list(axes) if fly else ["time"],
    )
    first = decider.first()  # before the run, as it fails where no line fits into the region
    watch = TagsWatch(tagger.name, tagger.model.taxonomy.names, keep=2 * frames + 512)
    log = DecisionLog(decider, tagger.name, tagger.deadline)

    def flight_of(decision: Decision, is_first: bool) -> Flight:
        begin = {motor: decision.values[motor.name] for motor in motors}
        end = begin | {motors[-1]: decision.values[stop_name(motors[-1].name)]}
        number = decision.point if decision.action == "repeat" else decision.point + 1
        return Flight(begin, end, motors[-1], frames, number, is_first)

    def lines() -> Generator[Msg, Any, None]:
        decision, row, is_first = first, 0, True
        yield from write(log, decision)
        while decision.action != "stop":
            yield from bps.checkpoint()
            flight = flight_of(decision, is_first)
            if still := [each for item in flight.start.items() if item[0] is not flight.motor for each in item]:
                yield from bps.mv(*still)
            yield from ensure_generator(fly(flight)) if fly else fly_async(flight, detectors, seconds)
            is_first = False
            if tagger.unwritten(watch.run):  # rows of flyers may have come with their frames
                yield from read_all_tags(tagger, watch.run)
            rows = watch.rows_after(watch.run, row)
            row = max((each.row for each in rows), default=row)
            decision = decider.decide_line(rows)
            yield from write(log, decision)
            yield from bps.checkpoint()

    @bpp.subs_decorator(watch)
    @bpp.stage_decorator([*detectors, *motors])
    @bpp.run_decorator(md=start | dict(md or {}))
    def plan() -> Plan:
        yield from lines()

    yield from plan()
    return decider.chooser.get_best_points()


def check_can_fly(motor: Any, detectors: Sequence[Any]) -> None:
    """Raise XTagValueError unless these are devices of ophyd-async that fly."""
    for device, needed in ((motor, "kickoff"), *((detector, "collect_asset_docs") for detector in detectors)):
        if not hasattr(device, "prepare") or not hasattr(device, needed):
            raise XTagValueError(
                f"{device.name} is no device of ophyd-async that flies: give fly=, a plan that flies one line"
            )


def fly_async(flight: Flight, detectors: Sequence[Any], seconds: float) -> Plan:
    """Fly a line with devices of ophyd-async, and collect the frames of the detectors into the stream primary."""
    try:
        from ophyd_async.core import FlyMotorInfo, TriggerInfo
    except ImportError as error:
        raise XTagError("flying these devices needs ophyd-async: pip install ophyd-async") from error
    motor = flight.motor
    moves = FlyMotorInfo(
        start_position=flight.start[motor], end_position=flight.stop[motor], time_for_move=flight.frames * seconds
    )
    yield from bps.prepare(motor, moves, group="line")
    for detector in detectors:
        yield from bps.prepare(detector, TriggerInfo(number_of_events=flight.frames, livetime=seconds), group="line")
    yield from bps.wait("line")
    if flight.is_first:
        yield from bps.declare_stream(*detectors, name="primary", collect=True)
    yield from bps.kickoff_all(motor, wait=True)
    yield from bps.kickoff_all(*detectors, wait=True)
    yield from bps.collect_while_completing([motor, *detectors], detectors, flush_period=0.5, stream_name="primary")
