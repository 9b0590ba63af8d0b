"""Map all regions that have different tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from ...errors import XTagValueError
from .axes import Axes, Axis
from .grouping import Groups
from .model_based import ModelBasedStrategy
from .sides import STEEP, Sides
from .strategy import Point, Stop
from .surrogate import Process

__all__ = ["NOT_OF_PHASES", "Phases"]

NOT_OF_PHASES = (
    "saturated",
    "high_background",
    "parasitic_streak",
    "weak_scattering",
    "strong_scattering",
    "beamstop",
    "detector_gaps",
    "beam_off_image",
)
"""Tags of the instrument and of the intensity. They say nothing about the phases of the sample."""

_SHARPER = 0.5
"""Borders are sharper than the process expects: with so much of its deviation, the part of simulated maps that is
expected to be wrong is the part that is."""
_LEAST = 25
"""Frames for each motor before which the borders are too little known to say how sharp they are."""
_SHARE = 0.04
"""From 40 frames on, groups of a smaller share are not phases."""


class Phases(ModelBasedStrategy):
    """Finds all regions whose frames have different tags, however many there are.

    The strategy sorts the places seen into groups by their tags' probabilities (average linkage; groups differ by more
    than `differ` in Euclidean distance). A Gaussian process is fitted to the membership in each group. A place belongs
    to the group whose membership is highest there. From forty frames on, a group of less than 4 % of the frames counts
    as a mixture on a border or as wrong tags. The next frame goes where the two highest groups are hardest to tell
    apart: where the probability that they are in the wrong order, times the standard deviation, divided by the cost of
    the frame and its travel, is highest.

    Stops when the part of the map that is expected to be in a wrong group is at most `tolerance`, but not before 25
    frames for each motor.

    Parameters
    ----------
    axes, tags, seed
        As of every strategy.
    tolerance : float
        Between 0 and 1.
    differ : float
        Smallest distance between the probabilities of two phases, all tags together; above 0.
    ignore : iterable of str
        Tags that say nothing about phases.
    length : float
        Distance over which borders change their direction, in units of the ranges.
    initial : int, optional
        Number of first places, which are spread evenly. If not given, 8 for each motor.

    Raises
    ------
    XTagValueError
        An argument does not fit.
    """

    looks_for_one = False

    def __init__(
        self,
        axes: Axes | Sequence[Axis],
        *,
        tolerance: float = 0.03,
        differ: float = 0.6,
        ignore: Iterable[str] = NOT_OF_PHASES,
        length: float = 0.6,
        initial: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(axes, length=length, initial=initial, **common)
        if self.tag is not None:
            raise XTagValueError(f"phases looks at all tags: leave out tag={self.tag!r}, or choose boundary")
        if not 0 < tolerance < 1 or not differ > 0:
            raise XTagValueError(f"tolerance={tolerance}, differ={differ}: give tolerance in 0..1, and differ above 0")
        self._tolerance, self._differ = tolerance, differ
        left_out = {ignore} if isinstance(ignore, str) else set(ignore)
        if unknown := left_out - {*self.tags, *NOT_OF_PHASES}:
            raise XTagValueError(f"no tag {', '.join(sorted(unknown))} to ignore; known tags: {', '.join(self.tags)}")
        self._used = [i for i, name in enumerate(self.tags) if name not in left_out]
        if not self._used:
            raise XTagValueError("phases ignores every tag: do not ignore tags that tell the phases apart")
        self._sides = Sides(length, STEEP)
        self._groups, self._members = Groups(differ), np.empty((0, 0))

    def labels(self, points: Any) -> np.ndarray:
        """Return the group of each place.

        Parameters
        ----------
        points : array_like
            (n, axes), in the motors' units.

        Returns
        -------
        numpy.ndarray
            (n,) int, in the order of `groups`; all -1 if nothing was seen.
        """
        units = self._units(points)
        if not len(self._places):
            return np.full(len(units), -1)
        return self._process().predict(units)[0].argmax(axis=1)

    def groups(self) -> list[dict[str, float]]:
        """Return the median probability of each tag in each group, in the order in which the groups were first seen."""
        if not len(self._places):
            return []
        self._process()
        seen, columns = self._scores.all, self._members.T
        return [dict(zip(self.tags, np.median(seen[column > 0], axis=0).tolist(), strict=True)) for column in columns]

    def get_best_points(self) -> list[tuple[int | None, Point, Point]]:
        """Return one place for each group: the place that belongs to the group most surely."""
        if not len(self._places):
            return []
        mean, _ = self._process().predict(self._places.all)
        surely = np.where(self._members > 0, mean, -np.inf)
        return [self._best(int(i)) for i in surely.argmax(axis=0)]

    def _fit(self) -> Process:
        """Return the process of the memberships, and keep the memberships: (n, groups), 1 in the group, else -1."""
        if not len(self._places):
            return Process(self._places.all, np.empty((0, 1)), np.empty(0), self._length)
        group = self._groups.of(self._scores.all[:, self._used])
        names, first, counts = np.unique(group, return_index=True, return_counts=True)
        kept = counts >= (_SHARE * len(group) if len(group) >= 40 else 1)
        if not kept.any():
            kept[:] = True
        order = names[kept][np.argsort(first[kept])]
        self._members = np.where(group[:, None] == order, 1.0, -1.0)
        return self._sides.process(self._places.all, self._members)

    def _use(self, places: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        return _doubt(mean, deviation) * deviation

    def _enough(self) -> Stop:
        if len(self._places) + len(self._missing) < _LEAST * len(self.axes):
            return Stop(False)
        mean, deviation = self._everywhere.predict(self._process())
        share = float(_doubt(mean, _SHARPER * deviation).mean())
        if share > self._tolerance:
            return Stop(False)
        count = self._members.shape[1]
        told = f"{count} phases; {share:.1%} of the map is in doubt, no more than {self._tolerance:.1%}"
        return Stop(True, told)


def _doubt(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return how probable it is that the second highest group is the highest, (n,)."""
    if mean.shape[1] == 1:
        return ndtr(-np.abs(mean[:, 0]) / deviation)
    second, highest = np.partition(mean, -2, axis=1)[:, -2:].T
    return ndtr((second - highest) / (2 * deviation))
