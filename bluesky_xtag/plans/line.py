"""scan_until: a line scan that ends when a condition on the tags holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator

from ..documents import TagRow
from ..tagger import Tagger
from .arguments import a_motor, a_number, a_tagger, some_detectors, start_document
from .conditions import condition
from .decisions import LineUntil
from .steps import queueable, steer

__all__ = ["scan_until"]


@queueable
def scan_until(
    detectors: Sequence[Readable],
    tagger: Tagger,
    motor: Movable,
    start: float,
    stop: float,
    step: float,
    *,
    until: str | Callable[[TagRow], Any],
    on_missing: str = "repeat",
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[bool]:
    """Step along a line until a condition on the tags holds, or the line ends.

    The plan makes one run, with the streams primary, tags and decisions. At each place it waits for the tags, up to the
    tagger's deadline.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        A tagger that is installed, or only subscribed.
    motor : Movable
        The motor that moves.
    start, stop : float
        The ends of the line, in the motor's unit.
    step : float
        The distance between places; its sign does not matter.
    until : str or callable
        When to end: a condition such as ``"ring>0.9 for 3"`` (three frames in a row, see
        `bluesky_xtag.plans.conditions`), or a function that takes a `TagRow` and returns whether to end.
    on_missing : {"repeat", "skip", "pause", "stop"}
        What the plan does when a frame has no tags, as in `tag_adaptive_scan`. A frame that is left out does not count,
        and does not interrupt a row of frames for which the condition holds.
    md : mapping, optional
        Goes into the start document.

    Returns
    -------
    bool
        Whether the condition held. If it did, the motor stays at that place.

    Raises
    ------
    XTagValueError
        An argument does not fit. The error comes before the run begins.
    """
    detectors, tagger, moved = some_detectors(detectors), a_tagger(tagger), a_motor(motor)
    start, stop, step = a_number(start, "start"), a_number(stop, "stop"), a_number(step, "step")
    tags = tagger.model.taxonomy.names
    wanted = condition(until, tags)
    decider = LineUntil(moved.name, start, stop, step, wanted, tags, on_missing)
    document = start_document(
        "scan_until",
        detectors,
        tagger,
        {
            "motor": repr(moved),
            "start": start,
            "stop": stop,
            "step": step,
            "until": wanted.text,
            "on_missing": on_missing,
        },
        motors=[moved.name],
    )
    yield from steer(detectors, tagger, decider, {moved.name: moved}, document | dict(md or {}), restage=[moved])
    return decider.found
