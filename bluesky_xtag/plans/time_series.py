"""watch: a time series at one place, with frames when the tags begin to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator

from ..documents import TagRow
from ..errors import XTagValueError
from ..tagger import Tagger, exposure_of
from .arguments import a_number, a_signal, a_tagger, some_detectors, start_document
from .conditions import condition
from .decisions import ByChange, WatchRules
from .steps import queueable, steer

__all__ = ["watch"]


@queueable
def watch(
    detectors: Sequence[Readable],
    tagger: Tagger,
    *,
    tags: Sequence[str] | None = None,
    interval: tuple[float, float] = (1.0, 60.0),
    change: float = 0.2,
    until: str | Callable[[TagRow], Any] | None = None,
    settled: float | None = None,
    max_frames: int = 100,
    max_seconds: float | None = None,
    max_dose: float | None = None,
    exposure: Movable | None = None,
    on_missing: str = "repeat",
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[bool]:
    """Take frames of one place over time: seldom while nothing changes, often when tags begin to change.

    The plan makes one run, with the streams primary, tags and decisions. After a frame in which the probability of a
    tag has changed by `change`, the next one follows after the shortest interval. A tag that has changed by half of
    that halves the interval. Otherwise the interval grows by half with each frame, up to the longest.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        A tagger that is installed, or only subscribed.
    tags : list of str, optional
        The tags to watch; all if None.
    interval : (float, float)
        The shortest and the longest time from the start of one frame to the start of the next, in seconds.
    change : float
        By how much the probability of a tag must change to count.
    until : str or callable, optional
        When to end: a condition such as ``"ring>0.9 for 3"``, see `bluesky_xtag.plans.conditions`.
    settled : float, optional
        End when nothing has changed for so many seconds, after something has.
    max_frames : int
        The largest number of frames; those that are repeated count.
    max_seconds : float, optional
        No frame begins later than this after the first, by the intervals.
    max_dose : float, optional
        The largest dose, in seconds of exposure.
    exposure : signal, optional
        The signal that holds the exposure in seconds. If None, ``cam.acquire_time`` or ``driver.acquire_time`` of the
        first detector that has it; without one, the dose is not known.
    on_missing : {"repeat", "skip", "pause", "stop"}
        What the plan does when a frame has no tags, as in `tag_adaptive_scan`. The next frame follows after the present
        interval in any case, because it may be as good.
    md : mapping, optional
        Goes into the start document.

    Returns
    -------
    bool
        Whether `until` held.

    Raises
    ------
    XTagValueError
        An argument does not fit. The error comes before the run begins.
    """
    detectors, tagger = some_detectors(detectors), a_tagger(tagger)
    signal = exposure if exposure is None else a_signal(exposure, "exposure")
    if signal is None:
        signal = next((found for found in map(exposure_of, detectors) if found is not None), None)
    if not isinstance(interval, Sequence) or len(interval) != 2:
        raise XTagValueError(f"interval={interval!r}: give the shortest and the longest interval in seconds")
    if isinstance(tags, str):
        raise XTagValueError(f"tags={tags!r} is not a list: give [{tags!r}]")
    known = tagger.model.taxonomy.names
    numbers = {"max_seconds": max_seconds, "max_dose": max_dose, "settled": settled}
    limits = {name: None if value is None else a_number(value, name) for name, value in numbers.items()}
    wanted = None if until is None else condition(until, known)
    seconds = None
    if signal is not None:
        seconds = float((yield from bps.rd(signal)))
    rules = WatchRules(
        a_number(interval[0], "the shortest interval"),
        a_number(interval[1], "the longest interval"),
        a_number(change, "change"),
        seconds,
        max_frames,
        **limits,
    )
    decider = ByChange(known if tags is None else tags, rules, wanted, known, on_missing)
    document = start_document(
        "watch",
        detectors,
        tagger,
        {
            "tags": None if tags is None else list(tags),
            "interval": [rules.shortest, rules.longest],
            "change": rules.change,
            "until": None if wanted is None else wanted.text,
            "max_frames": max_frames,
            "exposure": None if signal is None else signal.name,
            "on_missing": on_missing,
            **limits,
        },
        dimensions=["time"],
    )
    recorded = {} if signal is None else {signal.name: signal}
    yield from steer(detectors, tagger, decider, recorded, document | dict(md or {}))
    return decider.found
