"""tag_adaptive_scan: a strategy chooses each next place from the tags of the frames so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import XTagValueError
from ..tagger import Plan
from .arguments import a_motor, a_number, a_tagger, some_detectors
from .decisions import ByStrategy
from .steps import queueable, steer
from .strategies import Strategy

if TYPE_CHECKING:
    from ..tagger import Tagger

__all__ = ["tag_adaptive_scan"]


@queueable
def tag_adaptive_scan(
    detectors: Sequence[Any],
    tagger: Tagger,
    strategy: str | Strategy,
    *args: Any,
    tag: str | None = None,
    max_points: int = 100,
    initial_points: int | None = None,
    on_missing: str = "repeat",
    md: Mapping[str, Any] | None = None,
) -> Plan:
    """Take frames where a strategy wants them, until its stopping rule holds or `max_points` places are done.

    The plan makes one run, with the streams primary, tags and decisions. At each place it waits for the tags, up to the
    tagger's deadline.

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
    motors, limits = _motors(args)
    axes = {motor.name: pair for motor, pair in zip(motors, limits, strict=True)}
    decider = ByStrategy(
        strategy,
        axes,
        tagger.model.taxonomy.names,
        tag=tag,
        max_points=max_points,
        initial_points=initial_points,
        on_missing=on_missing,
    )
    start = {
        "plan_name": "tag_adaptive_scan",
        "detectors": [detector.name for detector in detectors],
        "motors": list(axes),
        "plan_args": {
            "detectors": [repr(detector) for detector in detectors],
            "tagger": repr(tagger),
            "strategy": decider.strategy,
            "args": [each for motor, pair in zip(motors, limits, strict=True) for each in (repr(motor), *pair)],
            "tag": tag,
            "max_points": max_points,
            "initial_points": initial_points,
            "on_missing": on_missing,
        },
        "hints": {"dimensions": [([name], "primary") for name in axes]},
    }
    movables = {motor.name: motor for motor in motors}
    yield from steer(detectors, tagger, decider, movables, start | dict(md or {}), restage=motors)
    return decider.chooser.get_best_points()


def _motors(args: Sequence[Any]) -> tuple[list[Any], list[tuple[float, float]]]:
    """Return the motors and their limits."""
    if not args or len(args) % 3:
        raise XTagValueError(f"{len(args)} arguments for the motors: give motor, low, high for each of them")
    motors, limits = list(args[::3]), []
    for motor, low, high in zip(motors, args[1::3], args[2::3], strict=True):
        name = a_motor(motor).name
        limits.append((a_number(low, f"the lower limit of {name}"), a_number(high, f"the upper limit of {name}")))
    if twice := {motor.name for motor in motors if [each.name for each in motors].count(motor.name) > 1}:
        raise XTagValueError(f"{', '.join(sorted(twice))} is given twice: give each motor once")
    return motors, limits
