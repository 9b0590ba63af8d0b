"""How long a motor takes for a move."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...errors import XTagValueError

__all__ = ["Motion"]


@dataclass(frozen=True)
class Motion:
    """How long a motor takes for a move, and how long a frame takes, in which the move is paid.

    A move accelerates, travels with the velocity, and slows down as it accelerated; short moves do not reach the
    velocity.

    Parameters
    ----------
    velocity : float
        In units of the motor a second.
    acceleration : float
        Seconds from rest to the velocity, as the motor record of EPICS has it (``.ACCL``).
    settling : float
        Seconds after each move until the motor stands still.
    frame : float
        Seconds that a frame takes.

    Raises
    ------
    XTagValueError
        A number does not fit.
    """

    velocity: float
    acceleration: float = 0.0
    settling: float = 0.0
    frame: float = 1.0

    def __post_init__(self) -> None:
        for name, low in (("velocity", True), ("acceleration", False), ("settling", False), ("frame", True)):
            value = getattr(self, name)
            fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not fits or value < 0 or (low and value == 0):
                raise XTagValueError(
                    f"the {name} of a motion is {value!r}: give a finite number, {'above 0' if low else '0 or more'}"
                )

    def seconds(self, distance: np.ndarray) -> np.ndarray:
        """Return how long moves take, any shape; `distance` in units of the motor, from 0 on."""
        ramps = self.velocity * self.acceleration  # travelled while it accelerates and slows down
        long = distance / self.velocity + self.acceleration
        short = 2 * np.sqrt(distance * self.acceleration / self.velocity)
        return np.where(distance > 0, np.where(distance >= ramps, long, short) + self.settling, 0.0)
