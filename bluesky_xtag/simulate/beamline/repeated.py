"""Exposures that were made before: for cameras that shall take their frames at a steady rate on a busy machine."""

from __future__ import annotations

from itertools import cycle

import numpy as np

from .devices import Exposures

__all__ = ["Repeated"]


class Repeated:
    """A few frames of a sample, one after the other and again from the first, wherever the sample is.

    Parameters
    ----------
    exposures : Exposures
        The sample.
    count : int
        How many frames, from places along a line across the sample.
    seconds : float
        Exposure of each.
    """

    def __init__(self, exposures: Exposures, count: int, seconds: float = 0.1) -> None:
        self.shape, self.dtype = exposures.shape, exposures.dtype
        self.wavelength, self.distance = exposures.wavelength, exposures.distance
        self.fixed_beam = exposures.fixed_beam
        self._centre = exposures.beam_centre(5.0, 5.0)
        self._frames = cycle([exposures.expose(x, 5.0, seconds) for x in np.linspace(1.0, 9.0, count)])

    def beam_centre(self, x: float, y: float) -> tuple[float, float] | None:
        """Return the beam centre (column, row) in pixels, the same everywhere."""
        return self._centre

    def expose(self, x: float, y: float, seconds: float) -> np.ndarray:
        """Return the next frame: (rows, columns), counts."""
        return next(self._frames)
