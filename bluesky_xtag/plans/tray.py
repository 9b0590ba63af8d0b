"""compare_samples: a tray of samples, with frames of those that still differ from the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator

from ..documents import TagRow
from ..errors import XTagValueError
from ..tagger import Tagger
from .arguments import a_motor, a_number, a_tagger, some_detectors, start_document
from .conditions import condition
from .decisions import BySample
from .steps import queueable, steer

__all__ = ["compare_samples"]


@queueable
def compare_samples(
    detectors: Sequence[Readable],
    tagger: Tagger,
    motors: Sequence[Movable],
    samples: Mapping[str, Sequence[float]],
    *,
    target: str | Callable[[TagRow], Any],
    interval: float = 0.0,
    max_frames: int = 100,
    on_missing: str = "repeat",
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[dict[str, int | None]]:
    """Go round a tray of samples, and spend the frames on those that still differ from a target.

    The plan makes one run, with the streams primary, tags and decisions. Each round takes a frame of every sample that
    has not met the target yet. The plan ends when all have, or after `max_frames`.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        A tagger that is installed, or only subscribed.
    motors : list of Movable
        The motors that bring a sample into the beam.
    samples : mapping of str to list of float
        The place of each sample by its name: a position for each motor, in the motors' units.
    target : str or callable
        What a sample has to meet, such as ``"ring>0.9 for 2"``: in two of its frames in a row. See
        `bluesky_xtag.plans.conditions`.
    interval : float
        Seconds from the start of one round to the start of the next, at least: samples that change slowly need no more.
    max_frames : int
        The largest number of frames; those that are repeated count.
    on_missing : {"repeat", "skip", "pause", "stop"}
        What the plan does when a frame has no tags, as in `tag_adaptive_scan`. A frame that is left out counts neither
        for its sample nor against it.
    md : mapping, optional
        Goes into the start document.

    Returns
    -------
    dict
        How many frames each sample took until it met the target; None for those that still differ.

    Raises
    ------
    XTagValueError
        An argument does not fit. The error comes before the run begins.
    """
    detectors, tagger = some_detectors(detectors), a_tagger(tagger)
    if hasattr(motors, "set") or not isinstance(motors, Sequence) or not motors:
        raise XTagValueError(f"motors={motors!r} is not a list of motors: give for example [x]")
    movables = {a_motor(motor).name: motor for motor in motors}
    if len(movables) < len(motors):
        raise XTagValueError("a motor is given twice: give each motor once")
    tags = tagger.model.taxonomy.names
    wanted = condition(target, tags)
    decider = BySample(
        list(movables),
        _places(samples, list(movables)),
        wanted,
        tags,
        interval=a_number(interval, "interval"),
        max_frames=max_frames,
        on_missing=on_missing,
    )
    document = start_document(
        "compare_samples",
        detectors,
        tagger,
        {
            "motors": [repr(motor) for motor in motors],
            "samples": decider.settings["samples"],
            "target": wanted.text,
            "interval": interval,
            "max_frames": max_frames,
            "on_missing": on_missing,
        },
        motors=list(movables),
    )
    yield from steer(detectors, tagger, decider, movables, document | dict(md or {}), restage=list(motors))
    return decider.met


def _places(samples: Any, motors: Sequence[str]) -> dict[str, list[float]]:
    if not isinstance(samples, Mapping) or not samples:
        raise XTagValueError(
            f"samples={samples!r}: give the place of each sample by its name, for example {{'A1': [0.5], 'A2': [1.5]}}"
        )
    places = {}
    for name, place in samples.items():
        numbers = place if isinstance(place, Sequence) and not isinstance(place, str) else None
        if numbers is None or len(numbers) != len(motors):
            raise XTagValueError(
                f"the place of sample {name!r} is {place!r}: give a list, a position for each of {', '.join(motors)}"
            )
        places[str(name)] = [a_number(each, f"a position of sample {name!r}") for each in numbers]
    return places
