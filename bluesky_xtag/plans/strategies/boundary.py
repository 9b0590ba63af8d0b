"""Map where a tag begins and ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from ...errors import XTagValueError
from .axes import Axes, Axis
from .model_based import ModelBasedStrategy
from .sides import STEEP, Sides
from .strategy import Stop
from .surrogate import Process

__all__ = ["Boundary"]


class Boundary(ModelBasedStrategy):
    """Finds the region where a tag holds, and takes most frames along its border.

    A Gaussian process is fitted to the tag's probability, scaled from -1 (surely not) to 1 (surely). Where the process
    is above 0, the tag holds. The next frame goes where the sign is least sure and the process is least known: where
    the probability that the sign is wrong, times the standard deviation, divided by the cost of the frame and its
    travel, is highest. (The "straddle" of Bryan et al., NIPS 2005, uses the same two quantities.)

    Stops when the part of the map that is expected to be on the wrong side is at most `tolerance` of the region.

    Parameters
    ----------
    axes, tags, tag, seed
        As of every strategy; the tag must be given.
    tolerance : float
        Between 0 and 1.
    length : float
        Distance over which the border changes its direction, in units of the ranges.
    initial : int, optional
        Number of first places, which are spread evenly. If not given, 8 for each motor.

    Raises
    ------
    XTagValueError
        An argument does not fit.
    """

    def __init__(
        self,
        axes: Axes | Sequence[Axis],
        *,
        tolerance: float = 0.05,
        length: float = 0.6,
        initial: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(axes, length=length, initial=initial, **common)
        if not 0 < tolerance < 1:
            raise XTagValueError(f"the tolerance is {tolerance}: give a number between 0 and 1")
        self._tolerance = tolerance
        self._sides = Sides(length, STEEP)

    def probability(self, points: Any) -> np.ndarray:
        """Return how probable it is that the tag holds.

        Parameters
        ----------
        points : array_like
            (n, axes), in the motors' units.

        Returns
        -------
        numpy.ndarray
            (n,) float64, 0..1.
        """
        mean, deviation = self._process().predict(self._units(points))
        return ndtr(mean / deviation)

    def region(self, points: Any) -> np.ndarray:
        """Return where the tag holds, (n,) bool; `points` as in `probability`."""
        return self._process().predict(self._units(points))[0] > 0

    def _fit(self) -> Process:
        return self._sides.process(self._places.all, 2 * self._seen_scores - 1)

    def _use(self, places: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        return ndtr(-np.abs(mean) / deviation) * deviation

    def _enough(self) -> Stop:
        mean, deviation = self._everywhere.predict(self._process())
        wrong, region = float(ndtr(-np.abs(mean) / deviation).mean()), float((mean > 0).mean())
        share = wrong / region if region > 0 else wrong
        if share > self._tolerance:
            return Stop(False)
        return Stop(True, f"{share:.1%} of the region of {self.tag} is in doubt, no more than {self._tolerance:.1%}")
