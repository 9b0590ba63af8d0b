"""How long motors take for a move: read from the motors, or given by hand."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from bluesky import plan_stubs as bps
from bluesky.utils import Msg

from ..errors import XTagValueError
from ..tagger import exposure_of
from .arguments import a_number
from .strategies import Motion

__all__ = ["FROM_MOTORS", "read_motions"]

FROM_MOTORS = "motors"
"""What a plan is given so that it reads velocity, acceleration and settling from its motors."""

_GIVEN = ("velocity", "acceleration", "settling")
# Where ophyd's EpicsMotor and ophyd-async's Motor have the seconds that a motor takes to its velocity.
_ACCELERATION = ("acceleration_time", "acceleration")


def read_motions(
    motors: Sequence[Any], given: Any, frame: float | None, detectors: Sequence[Any]
) -> Generator[Msg, Any, dict[str, Motion]]:
    """Return how each motor moves, by its name; empty if nothing is given.

    Parameters
    ----------
    motors : sequence of Movable
        The motors.
    given : mapping, "motors" or None
        By motor's name: velocity, acceleration (seconds to the velocity) and settling (seconds). What is left out is
        read from the motor, and so is all with "motors".
    frame : float, optional
        Seconds that a frame takes. If None, the exposure of the first detector that has one.
    detectors : sequence of Readable
        The detectors.

    Raises
    ------
    XTagValueError
        An argument does not fit, or a motor does not tell its velocity.
    """
    if given is None:
        if frame is not None:
            raise XTagValueError('frame_seconds belongs to motion: give motion="motors" too, or a mapping')
        return {}
    names = [motor.name for motor in motors]
    if given == FROM_MOTORS:
        given = {name: {} for name in names}
    if not isinstance(given, Mapping) or not all(isinstance(each, Mapping) for each in given.values()):
        raise XTagValueError(
            f"motion={given!r} is not known: give {FROM_MOTORS!r}, or by motor's name for example "
            "{'x': {'velocity': 2.0, 'acceleration': 0.5, 'settling': 0.1}}"
        )
    if unknown := sorted(set(given) - set(names)):
        raise XTagValueError(f"motion is given for {', '.join(unknown)}, but the plan moves {', '.join(names)}")
    seconds = yield from _frame_seconds(frame, detectors)
    motions = {}
    for motor in motors:
        if motor.name in given:
            motions[motor.name] = yield from _motion(motor, given[motor.name], seconds)
    return motions


def _frame_seconds(frame: float | None, detectors: Sequence[Any]) -> Generator[Msg, Any, float]:
    if frame is not None:
        return a_number(frame, "frame_seconds")
    signal = next((found for found in map(exposure_of, detectors) if found is not None), None)
    if signal is None:
        raise XTagValueError(
            "none of the detectors has a signal cam.acquire_time or driver.acquire_time: give frame_seconds, the time "
            "that a frame takes"
        )
    return float((yield from bps.rd(signal)))


def _motion(motor: Any, given: Mapping[str, Any], frame: float) -> Generator[Msg, Any, Motion]:
    if unknown := sorted(set(given) - set(_GIVEN)):
        raise XTagValueError(f"the motion of {motor.name} has no {', '.join(unknown)}; it has {', '.join(_GIVEN)}")
    found = {name: a_number(value, f"the {name} of {motor.name}") for name, value in given.items()}
    if "velocity" not in found:
        if not hasattr(motor, "velocity"):
            raise XTagValueError(
                f"{motor.name} does not tell its velocity: give it, motion={{{motor.name!r}: {{'velocity': 1.0}}}}"
            )
        found["velocity"] = yield from _value(motor.velocity)
    if "acceleration" not in found:
        signal = next((getattr(motor, name) for name in _ACCELERATION if hasattr(motor, name)), None)
        if signal is not None:
            found["acceleration"] = yield from _value(signal)
    if "settling" not in found:
        found["settling"] = float(getattr(motor, "settle_time", None) or 0.0)
    try:
        return Motion(**found, frame=frame)
    except XTagValueError as error:
        raise XTagValueError(f"{motor.name}: {error}") from error


def _value(signal: Any) -> Generator[Msg, Any, float]:
    """Return the value of a signal, or of what is a number already."""
    return float((yield from bps.rd(signal)) if hasattr(signal, "read") else signal)
