"""expose_until: repeats a point with a better exposure until the frame is good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bluesky import plan_stubs as bps

from ..documents import TagRow
from ..errors import XTagValueError
from ..tagger import Plan
from .arguments import a_signal, a_tagger, some_detectors
from .conditions import condition
from .decisions import ByExposure
from .steps import exposure_of, queueable, steer

if TYPE_CHECKING:
    from ..tagger import Tagger

__all__ = ["expose_until"]


@queueable
def expose_until(
    detectors: Sequence[Any],
    tagger: Tagger,
    *,
    good: str | Callable[[TagRow], Any] = "not weak_scattering and not saturated",
    exposure: Any = None,
    limits: tuple[float, float] = (0.001, 10.0),
    on_missing: str = "repeat",
    md: Mapping[str, Any] | None = None,
) -> Plan:
    """Take frames of one place with longer or shorter exposures, until one is good or the limits are reached.

    One run, with the streams primary, tags and decisions; the exposure is read at each point. It begins with the
    exposure that is set. A frame that is not good was exposed for too long if the model accepts "saturated", else for
    too short: the next one is four times shorter or longer, and between the two once both have happened.

    Parameters
    ----------
    detectors : list of Readable
        At least one with images.
    tagger : Tagger
        Installed, or just subscribed.
    good : str or callable
        What a good frame is: a condition on tags, see `bluesky_xtag.plans.conditions`.
    exposure : signal, optional
        Where the exposure in seconds is set; if None ``cam.acquire_time`` of the first detector that has it.
    limits : (float, float)
        The shortest and the longest exposure in seconds.
    on_missing : {"repeat", "skip", "pause", "stop"}
        What is done about a frame without tags, as in `tag_adaptive_scan`; "skip" ends the plan.
    md : mapping, optional
        Goes into the start document.

    Returns
    -------
    float or None
        Seconds of the exposure that was good, None if none was; it stays set.

    Raises
    ------
    XTagValueError
        An argument does not fit; before the run begins.
    """
    detectors, tagger = some_detectors(detectors), a_tagger(tagger)
    signal = exposure if exposure is None else a_signal(exposure, "exposure")
    if signal is None:
        signal = next((found for found in map(exposure_of, detectors) if found is not None), None)
    if signal is None:
        names = ", ".join(detector.name for detector in detectors)
        raise XTagValueError(
            f"none of {names} has a signal cam.acquire_time: name it, expose_until(detectors, tagger, exposure=signal)"
        )
    tags = tagger.model.taxonomy.names
    wanted = condition(good, tags, of_one_frame=True)
    first = yield from bps.rd(signal)
    decider = ByExposure(signal.name, first, limits, wanted, tags, on_missing)
    document = {
        "plan_name": "expose_until",
        "detectors": [detector.name for detector in detectors],
        "plan_args": {
            "detectors": [repr(detector) for detector in detectors],
            "tagger": repr(tagger),
            "good": wanted.text,
            "exposure": signal.name,
            "limits": list(map(float, limits)),
            "on_missing": on_missing,
        },
    }
    yield from steer(detectors, tagger, decider, {signal.name: signal}, document | dict(md or {}))
    return decider.seconds if decider.found else None
