"""expose_until: repeats a point with other exposures until the frame is good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator

from ..documents import TagRow
from ..errors import XTagValueError
from ..tagger import Tagger, exposure_of
from .arguments import a_signal, a_tagger, some_detectors, start_document
from .conditions import condition
from .decisions import ByExposure
from .steps import queueable, steer

__all__ = ["expose_until"]


@queueable
def expose_until(
    detectors: Sequence[Readable],
    tagger: Tagger,
    *,
    good: str | Callable[[TagRow], Any] = "not weak_scattering and not saturated",
    exposure: Movable | None = None,
    limits: tuple[float, float] = (0.001, 10.0),
    on_missing: str = "repeat",
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[float | None]:
    """Take frames of one place with longer or shorter exposures, until one is good or the limits are reached.

    The plan makes one run, with the streams primary, tags and decisions. It reads the exposure at each point, and
    begins with the exposure that is set. If a frame is not good, the exposure was too long if the model accepts
    "saturated", and too short otherwise. The next exposure is four times shorter or longer. Once one exposure was too
    long and one too short, the next one is between them.

    Parameters
    ----------
    detectors : list of Readable
        At least one of them with images.
    tagger : Tagger
        A tagger that is installed, or only subscribed.
    good : str or callable
        The condition on tags that a good frame meets, see `bluesky_xtag.plans.conditions`.
    exposure : signal, optional
        The signal that sets the exposure in seconds. If None, ``cam.acquire_time`` or
        ``driver.acquire_time`` of the first detector that has it.
    limits : (float, float)
        The shortest and the longest exposure in seconds.
    on_missing : {"repeat", "skip", "pause", "stop"}
        What the plan does when a frame has no tags, as in `tag_adaptive_scan`. Here "skip" ends the plan.
    md : mapping, optional
        Goes into the start document.

    Returns
    -------
    float or None
        The good exposure in seconds, which stays set; None if no exposure was good.

    Raises
    ------
    XTagValueError
        An argument does not fit. The error comes before the run begins.
    """
    detectors, tagger = some_detectors(detectors), a_tagger(tagger)
    signal = exposure if exposure is None else a_signal(exposure, "exposure")
    if signal is None:
        signal = next((found for found in map(exposure_of, detectors) if found is not None), None)
    if signal is None:
        names = ", ".join(detector.name for detector in detectors)
        raise XTagValueError(
            f"none of {names} has a signal cam.acquire_time or driver.acquire_time: name the signal, "
            "expose_until(detectors, tagger, exposure=signal)"
        )
    tags = tagger.model.taxonomy.names
    wanted = condition(good, tags, of_one_frame=True)
    first = yield from bps.rd(signal)
    decider = ByExposure(signal.name, first, limits, wanted, tags, on_missing)
    document = start_document(
        "expose_until",
        detectors,
        tagger,
        {
            "good": wanted.text,
            "exposure": signal.name,
            "limits": list(map(float, limits)),
            "on_missing": on_missing,
        },
    )
    yield from steer(detectors, tagger, decider, {signal.name: signal}, document | dict(md or {}))
    return decider.seconds if decider.found else None
