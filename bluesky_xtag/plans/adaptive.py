"""tag_adaptive_scan: a strategy chooses each next place from the tags of the frames so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from ..tagger import Tagger
from .arguments import a_tagger, some_detectors, some_motors, start_document
from .decisions import ByStrategy, ReferenceRules, WithReference
from .motors import read_motions
from .resume import read_known_places
from .steps import queueable, steer
from .strategies import Point, Strategy

__all__ = ["tag_adaptive_scan"]


@queueable
def tag_adaptive_scan(
    detectors: Sequence[Readable],
    tagger: Tagger,
    strategy: str | Strategy,
    *args: Any,
    tag: str | None = None,
    max_points: int = 100,
    initial_points: int | None = None,
    on_missing: str = "repeat",
    motion: str | Mapping[str, Mapping[str, float]] | None = None,
    frame_seconds: float | None = None,
    resume: Sequence[Any] | None = None,
    exposures: int = 1,
    batch: int = 1,
    reference: Mapping[str, Any] | None = None,
    region: Mapping[str, Any] | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[list[tuple[int | None, Point, Point]]]:
    """Take frames where a strategy wants them, until its stopping rule holds or `max_points` places are done.

    The plan makes one run, with the streams primary, tags and decisions. After each place, or after each batch, it
    waits for the tags, up to the tagger's deadline.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        A tagger that is installed, or only subscribed.
    strategy : str or Strategy
        A name such as "boundary" (`bluesky_xtag.plans.strategies.NAMES`), or an object that was made with
        `bluesky_xtag.plans.make`.
    *args
        motor, low, high, motor, low, high, ...: the motors and their limits, as in bluesky's own plans.
    tag : str, optional
        The tag to look for. Strategies that map all tags need none.
    max_points : int
        The largest number of places. A place whose frame is repeated counts once.
    initial_points : int, optional
        The number of places that the strategy spreads evenly before it begins to choose. If None, its own default.
    on_missing : {"repeat", "skip", "pause", "stop"}
        What the plan does when a frame has no tags. "repeat" takes the frame again once, then leaves the place out.
        "skip" leaves the place out at once. "pause" pauses for a person, and takes the frame again when ``RE.resume()``
        is called. "stop" ends the plan.
    motion : "motors" or mapping, optional
        How long moves take, which the strategy weighs against the use of a frame. "motors" reads velocity, acceleration
        and settling from the motors. Or by motor's name, what is left out being read:
        ``{"x": {"velocity": 2.0, "acceleration": 0.5, "settling": 0.1}}``, in units a second, seconds to the velocity,
        and seconds after a move. If None, travel costs nothing.
    frame_seconds : float, optional
        Seconds that a frame takes with all that belongs to it, for `motion`. If None, the exposure of the first
        detector that has one.
    resume : list of str, int or stored run, optional
        Runs from which the map goes on: their places and tags are known to the strategy from the start. Uids, scan_ids
        or numbers that count from the newest run (-1), in the catalogue that `install` was given; or the runs
        themselves. What is known takes the place of the first places that a strategy by name spreads evenly.
    exposures : int
        How many frames each place gets. The strategy is told the median of each probability, so that a frame that is
        tagged wrongly does not count. A frame without tags is repeated or left out as `on_missing` says.
    batch : int
        How many places the strategy chooses at once, from 1 to 256. The plan takes the frames of all of them before it
        waits for their tags. Each place of a batch is chosen as if the frames of those before had turned out as
        expected.
    reference : mapping, optional
        A known place that is looked at, so that a drift is noticed: at the start, after `every` places (10) and at the
        end, ``{"place": {"x": 1.0, "y": 2.0}, "every": 10, "on_change": "pause"}``. If its tags have changed by
        `change` (0.2) and more than they vary, the plan does what `on_change` says: "warn", "pause" for a person, or
        "stop". The strategy is not told of this place, and it does not count for `max_points`.
    region : mapping, optional
        Where frames may be taken within the limits. `outline`: the corners of a polygon around the sample,
        ``[[x, y], ...]``, for two motors in their order; `forbidden`: a list of such polygons, and of boxes by motor's
        name, ``{"x": [2, 3]}``. Moves may cross what is forbidden.
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
    axes = {motor.name: pair for motor, pair in zip(motors, limits, strict=True)}
    motions = yield from read_motions(motors, motion, frame_seconds, detectors)
    decider = ByStrategy(
        strategy,
        axes,
        tagger.model.taxonomy.names,
        tag=tag,
        max_points=max_points,
        initial_points=initial_points,
        on_missing=on_missing,
        motions=motions,
        known=(yield from read_known_places(tagger, resume, list(axes), tagger.model.taxonomy.names)),
        exposures=exposures,
        batch=batch,
        region=region,
        takes_wishes=True,
    )
    chooser = decider.chooser
    if reference is not None:
        decider = WithReference(decider, ReferenceRules.read(reference, list(axes)), on_missing)
    start = start_document(
        "tag_adaptive_scan",
        detectors,
        tagger,
        {
            "strategy": decider.strategy,
            "args": [each for motor, pair in zip(motors, limits, strict=True) for each in (repr(motor), *pair)],
            "tag": tag,
            "max_points": max_points,
            "initial_points": initial_points,
            "on_missing": on_missing,
            "resume": None if resume is None else [str(getattr(run, "uid", run)) for run in resume],
            "exposures": exposures,
            "batch": batch,
            "reference": None if reference is None else dict(reference),
            "region": None if region is None else dict(region),
            "motion": {name: asdict(found) for name, found in motions.items()} or None,
        },
        motors=list(axes),
    )
    movables = {motor.name: motor for motor in motors}
    yield from steer(detectors, tagger, decider, movables, start | dict(md or {}), restage=motors)
    return chooser.get_best_points()
