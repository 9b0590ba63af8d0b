"""Map all regions that have different tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from scipy.stats import norm

from ...errors import XTagValueError
from .axes import Axes, Axis
from .model_based import ModelBasedStrategy
from .strategy import Point, Stop
from .surrogate import Process, fit_process, spread

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

_NOISE = 0.1
"""Variance of what is seen, as in `boundary`."""
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

    Stops when the part of the map that is expected to be in a wrong group is at most `tolerance`.

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
        length: float = 0.3,
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
        self._everywhere = spread(1024, len(self.axes), 0)

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
        if not self._places:
            return np.full(len(units), -1)
        process, _ = self._process()
        return _table(process.predict(units), len(units)).argmax(axis=1)

    def groups(self) -> list[dict[str, float]]:
        """Return the median probability of each tag in each group, in the order in which the groups were first seen."""
        if not self._places:
            return []
        _, members = self._process()
        seen = np.stack(self._scores)
        return [dict(zip(self.tags, np.median(seen[column > 0], axis=0).tolist(), strict=True)) for column in members.T]

    def get_best_points(self) -> list[tuple[int | None, Point, Point]]:
        """Return one place for each group: the place that belongs to the group most surely."""
        if not self._places:
            return []
        process, members = self._process()
        surely = np.where(members > 0, _table(process.predict(self._seen_places), len(members)), -np.inf)
        return [self._best(int(i)) for i in surely.argmax(axis=0)]

    def _process(self) -> tuple[Process, np.ndarray]:
        """Return the process of the memberships, and the memberships seen: (n, groups), 1 in the group, else -1."""
        members = self._members()
        used = (members > 0).any(axis=1)
        process = fit_process(self._seen_places[used], members[used], length=self._length, noise=_NOISE)
        return process, members

    def _members(self) -> np.ndarray:
        seen = np.stack(self._scores)[:, self._used]
        number = (
            np.zeros(1, int) if len(seen) == 1 else fcluster(linkage(pdist(seen), "average"), self._differ, "distance")
        )
        _, first, inverse, counts = np.unique(number, return_index=True, return_inverse=True, return_counts=True)
        kept = counts >= (_SHARE * len(seen) if len(seen) >= 40 else 1)
        if not kept.any():
            kept[:] = True
        groups = [group for group in np.argsort(first) if kept[group]]
        return np.where(inverse[:, None] == np.array(groups), 1.0, -1.0)

    def _use(self, candidates: np.ndarray) -> np.ndarray:
        if not self._places:
            return np.ones(len(candidates))
        process, members = self._process()
        used = (members > 0).any(axis=1)
        process = self._with_open_places(process, self._seen_places[used], members[used])
        doubt, deviation = _doubt(process, candidates)
        return doubt * deviation

    def _enough(self) -> Stop:
        if not self._places:
            return Stop(False)
        process, members = self._process()
        share = float(_doubt(process, self._everywhere)[0].mean())
        if share > self._tolerance:
            return Stop(False)
        told = f"{members.shape[1]} phases; {share:.1%} of the map is in doubt, no more than {self._tolerance:.1%}"
        return Stop(True, told)


def _table(values: np.ndarray, rows: int) -> np.ndarray:
    """Return (rows, functions) where scikit-learn leaves out the second axis of a single function."""
    return np.asarray(values).reshape(rows, -1)


def _doubt(process: Process, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how probable it is that the second highest group is the highest, and the standard deviation."""
    mean, deviation = (_table(each, len(places)) for each in process.predict(places, return_std=True))
    deviation = deviation[:, 0]
    if mean.shape[1] == 1:
        return norm.cdf(-np.abs(mean[:, 0]) / deviation), deviation
    second, highest = np.partition(mean, -2, axis=1)[:, -2:].T
    return norm.cdf((second - highest) / (2 * deviation)), deviation
