"""Checks of the arguments of plans, before a run begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import XTagValueError
from ..tagger import Tagger

__all__ = ["a_motor", "a_number", "a_signal", "a_tagger", "some_detectors", "some_motors", "start_document"]


def some_detectors(detectors: Any) -> list[Any]:
    """Return the detectors of a plan as a list."""
    if hasattr(detectors, "read"):
        raise XTagValueError(f"{_name(detectors)} is not in a list: give a list of detectors, [{_name(detectors)}]")
    if not isinstance(detectors, Sequence) or isinstance(detectors, str):
        raise XTagValueError(f"{detectors!r} is not a list of detectors: give for example [det]")
    if not detectors:
        raise XTagValueError("the list of detectors is empty: give at least one with images, [det]")
    for detector in detectors:
        if not hasattr(detector, "read"):
            raise XTagValueError(f"{detector!r} cannot be read: give detectors")
    return list(detectors)


def a_tagger(tagger: Any) -> Tagger:
    """Return the tagger of a plan."""
    if not isinstance(tagger, Tagger):
        raise XTagValueError(f"{tagger!r} is not a tagger: give what install(RE) returned, xtag in the profile")
    return tagger


def a_motor(motor: Any) -> Any:
    """Return a motor, or any other device that can be set."""
    if not hasattr(motor, "set") or not hasattr(motor, "name"):
        raise XTagValueError(f"{motor!r} is not a motor: give a device that can be set")
    return motor


def some_motors(args: Sequence[Any]) -> tuple[list[Any], list[tuple[float, float]]]:
    """Return the motors of a plan, and their limits, from motor, low, high for each of them."""
    if not args or len(args) % 3:
        raise XTagValueError(f"{len(args)} arguments for the motors: give motor, low, high for each of them")
    motors, limits = list(args[::3]), []
    for motor, low, high in zip(motors, args[1::3], args[2::3], strict=True):
        name = a_motor(motor).name
        limits.append((a_number(low, f"the lower limit of {name}"), a_number(high, f"the upper limit of {name}")))
    if twice := {motor.name for motor in motors if [each.name for each in motors].count(motor.name) > 1}:
        raise XTagValueError(f"{', '.join(sorted(twice))} is given twice: give each motor once")
    return motors, limits


def a_signal(signal: Any, name: str) -> Any:
    """Return a signal that can be set and read; `name` is the name of the argument."""
    if not hasattr(signal, "set") or not hasattr(signal, "read"):
        raise XTagValueError(f"{name}={signal!r} is not a signal: give the object, for example det.cam.acquire_time")
    return signal


def a_number(value: Any, name: str) -> float:
    """Return a finite number; `name` says what it is."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, str) or not math.isfinite(number):
        raise XTagValueError(f"{name} is {value!r}: give a finite number")
    return number


def _name(device: Any) -> str:
    return str(getattr(device, "name", device))


def start_document(
    plan: str,
    detectors: Sequence[Any],
    tagger: Tagger,
    arguments: Mapping[str, Any],
    *,
    motors: Sequence[str] = (),
    dimensions: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a plan adds to its start document.

    Parameters
    ----------
    plan : str
        Its name.
    detectors, tagger
        As the plan got them.
    arguments : mapping
        Its other arguments, as JSON allows them.
    motors : sequence of str
        The names of the motors that it moves.
    dimensions : sequence of str
        What its points are drawn against, from the stream primary; the motors if nothing is given.
    """
    names = [detector.name for detector in detectors]
    given = {"detectors": [repr(detector) for detector in detectors], "tagger": repr(tagger), **arguments}
    document: dict[str, Any] = {"plan_name": plan, "detectors": names, "plan_args": given}
    if motors:
        document["motors"] = list(motors)
    if drawn := dimensions or motors:
        document["hints"] = {"dimensions": [([name], "primary") for name in drawn]}
    return document
