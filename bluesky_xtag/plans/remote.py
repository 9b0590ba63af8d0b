"""Plans for servers that call them by name with JSON, such as blueapi: each argument has a name and a type.

Motors come as a list of axes. blueapi owns its RunEngine, so `install` cannot be called there: each of these plans
brings the tagger that it is given into the RunEngine. If the tagger is installed, as in the Queue Server, they do
without.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluesky import plans as bp
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator

from ..tagger import Tagger, tag_wrapper
from .adaptive import tag_adaptive_scan as adaptive_scan
from .exposure import expose_until as exposures
from .line import scan_until as line
from .skip import skip_empty
from .steps import queueable
from .strategies import Point
from .time_series import watch as time_series
from .tray import compare_samples as tray

__all__ = [
    "Devices",
    "compare_samples",
    "count",
    "expose_until",
    "grid_scan",
    "scan",
    "scan_until",
    "skip_empty_grid",
    "tag_adaptive_scan",
    "watch",
]


@dataclass(frozen=True)
class _Built:
    """What blueapi asks a device manager for."""

    devices: dict[str, Any] = field(default_factory=dict)
    build_errors: dict[str, Exception] = field(default_factory=dict)
    connection_errors: dict[str, Exception] = field(default_factory=dict)


class Devices:
    """A device manager of blueapi for devices that need no connection, such as a tagger: ``devices = Devices(Tagger)``.

    Parameters
    ----------
    *make : callable
        Each makes a device when blueapi opens its environment. The device has its own name there, "xtag" for a tagger.
    """

    def __init__(self, *make: Callable[[], Any]) -> None:
        self._make = make

    def build_and_connect(
        self, *, mock: bool = False, timeout: float | None = None, fixtures: dict[str, Any] | None = None
    ) -> _Built:
        """Return the devices by name, and the errors of those that could not be made."""
        built = _Built()
        for number, make in enumerate(self._make):
            try:
                device = make()
                built.devices[device.name] = device
            except Exception as error:
                built.build_errors[getattr(make, "__name__", str(number))] = error
        return built


def _with_tagger(plan: Callable[..., MsgGenerator[Any]]) -> Callable[..., MsgGenerator[Any]]:
    """Let a plan carry the tagger that it is given."""

    @functools.wraps(plan)
    def tagged(detectors: Sequence[Readable], tagger: Tagger, *args: Any, **kwargs: Any) -> MsgGenerator[Any]:
        return (yield from tag_wrapper(plan(detectors, tagger, *args, **kwargs), tagger))

    return tagged


@queueable
def count(
    detectors: Sequence[Readable],
    tagger: Tagger,
    num: int = 1,
    delay: float = 0.0,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[Any]:
    """Take frames without moving, and tag them.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        The tagger.
    num : int
        The number of frames.
    delay : float
        Seconds between frames.
    md : mapping, optional
        Goes into the start document.
    """
    return (yield from tag_wrapper(bp.count(detectors, num, delay, md=dict(md or {})), tagger))


@queueable
def scan(
    detectors: Sequence[Readable],
    tagger: Tagger,
    axes: Sequence[tuple[Movable, float, float]],
    num: int,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[Any]:
    """Take frames along a line, and tag them.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        The tagger.
    axes : list of (motor, start, stop)
        The motors, which move together.
    num : int
        The number of points.
    md : mapping, optional
        Goes into the start document.
    """
    flat = [each for axis in axes for each in axis]
    return (yield from tag_wrapper(bp.scan(detectors, *flat, num=num, md=dict(md or {})), tagger))


@queueable
def grid_scan(
    detectors: Sequence[Readable],
    tagger: Tagger,
    axes: Sequence[tuple[Movable, float, float, int]],
    snake: bool = False,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[Any]:
    """Take frames on a grid, and tag them.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        The tagger.
    axes : list of (motor, start, stop, number)
        The motors with their points, the slowest first.
    snake : bool
        Whether every second line goes backwards.
    md : mapping, optional
        Goes into the start document.
    """
    return (yield from tag_wrapper(_grid(detectors, axes, snake, md), tagger))


@queueable
def tag_adaptive_scan(
    detectors: Sequence[Readable],
    tagger: Tagger,
    strategy: str,
    axes: Sequence[tuple[Movable, float, float]],
    tag: str | None = None,
    max_points: int = 100,
    initial_points: int | None = None,
    on_missing: str = "repeat",
    motion: str | Mapping[str, Mapping[str, float]] | None = None,
    frame_seconds: float | None = None,
    resume: Sequence[str] | None = None,
    exposures: int = 1,
    batch: int = 1,
    reference: Mapping[str, Any] | None = None,
    region: Mapping[str, Any] | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[list[tuple[int | None, Point, Point]]]:
    """Take frames where a strategy wants them; see `bluesky_xtag.plans.tag_adaptive_scan`.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        The tagger.
    strategy : str
        The name of a strategy, such as "boundary".
    axes : list of (motor, low, high)
        The motors and their limits.
    tag : str, optional
        The tag to look for.
    max_points, initial_points : int
        The largest number of places, and how many of them are spread evenly first.
    on_missing : {"repeat", "skip", "pause", "stop"}
        What the plan does when a frame has no tags.
    motion : "motors" or mapping, optional
        How long moves take: read from the motors, or by motor's name.
    frame_seconds : float, optional
        Seconds that a frame takes, for `motion`.
    resume : list of str, optional
        Uids of runs from which the map goes on, if the tagger is installed with a catalogue.
    exposures : int
        How many frames each place gets; the median counts.
    batch : int
        How many places are chosen at once.
    reference : mapping, optional
        A known place that is looked at now and then, see `bluesky_xtag.plans.tag_adaptive_scan`.
    region : mapping, optional
        The outline of the sample and forbidden regions, see `bluesky_xtag.plans.tag_adaptive_scan`.
    md : mapping, optional
        Goes into the start document.
    """
    plan = adaptive_scan(
        detectors,
        tagger,
        strategy,
        *(each for axis in axes for each in axis),
        tag=tag,
        max_points=max_points,
        initial_points=initial_points,
        on_missing=on_missing,
        motion=motion,
        frame_seconds=frame_seconds,
        resume=resume,
        exposures=exposures,
        batch=batch,
        reference=reference,
        region=region,
        md=md,
    )
    return (yield from tag_wrapper(plan, tagger))


@queueable
def skip_empty_grid(
    detectors: Sequence[Readable],
    tagger: Tagger,
    probe_exposure: float,
    axes: Sequence[tuple[Movable, float, float, int]],
    snake: bool = False,
    exposure: Movable | None = None,
    empty: str = "empty",
    probes: int = 1,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[Any]:
    """Take a short probe frame at each point of a grid, and the full exposure only where it is not empty.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        The tagger.
    probe_exposure : float
        Seconds of the probe.
    axes : list of (motor, start, stop, number)
        The motors with their points, the slowest first.
    snake : bool
        Whether every second line goes backwards.
    exposure : signal, optional
        The signal that sets the exposure in seconds, see `bluesky_xtag.plans.skip_empty`.
    empty : str
        The condition on tags that an empty place meets.
    probes : int
        The number of frames that must be empty before a place is left out.
    md : mapping, optional
        Goes into the start document.
    """
    grid = _grid(detectors, axes, snake, md)
    plan = skip_empty(grid, tagger, probe_exposure, exposure=exposure, empty=empty, probes=probes)
    return (yield from tag_wrapper(plan, tagger))


def _grid(
    detectors: Sequence[Readable],
    axes: Sequence[tuple[Movable, float, float, int]],
    snake: bool,
    md: Mapping[str, Any] | None,
) -> MsgGenerator[Any]:
    flat = [each for axis in axes for each in axis]
    return bp.grid_scan(detectors, *flat, snake_axes=snake, md=dict(md or {}))


expose_until = _with_tagger(exposures)
scan_until = _with_tagger(line)
watch = _with_tagger(time_series)
compare_samples = _with_tagger(tray)
