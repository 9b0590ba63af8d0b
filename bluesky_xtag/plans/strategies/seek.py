"""Find the place where a tag is most probable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from ...errors import XTagValueError
from .axes import Axes, Axis
from .growing_table import GrowingTable
from .model_based import ModelBasedStrategy
from .strategy import Point, Stop
from .strength import probability_of, strength_of
from .surrogate import EXACT, Process, one_thread

__all__ = ["Seek"]

_COARSE, _ABSENT, _LOWEST = 8.0, -4.0, -8.0
"""The coarse process is of strengths in this unit, and 0 at a strength of -4. Lower ones than -8 count as -8, because
how surely a tag is absent does not tell where it is."""
_COARSE_NOISE = 0.004
"""Variance of a strength, in that unit."""
_FINE, _BELOW = 2.0, 2.0
"""The fine process is of strengths in this unit, 1 at the top and 0 this much below it; it ends as far below that."""
_FINE_NOISE = 0.006
"""Variance of a strength, in that unit: of log odds as the counting noise of frames moves them, 0.15."""
_DEPTH = 0.3
"""How far below the top the slopes are useful, in the unit of the fine process."""
_ELSEWHERE = 0.1
"""While a place elsewhere is better with this probability, frames go there, and not to the slopes of the best."""
_SURPRISE, _WRONG = 4.0, 25.0
"""A value that is this many standard deviations from what the others predict counts as wrong, with this noise."""
_VAGUE = 0.01
"""How much is known of a parabola before any value, in values."""
_CLIMB = (0.03, 0.015, 0.007, 0.003)
"""Steps to the top of a process, in units of the ranges."""


class Seek(ModelBasedStrategy):
    """Finds the place where a tag's probability is highest, with one to four motors.

    A Gaussian process is fitted to the strength of the tag (`strength_of`), which still tells good from better where
    the probability is 0.99; a coarse one tells how high the top is and which values all others contradict, a fine one
    looks at what lies near that height. The next frame goes where the expected improvement on the best place, divided
    by the cost of the frame and its travel, is greatest. Once a better place elsewhere is unlikely, it goes where the
    slopes around the best place are least known. A parabola through these slopes tells where the top is. Contradicted
    values are left out, and a height that no other frame confirms does not count as the best.

    Stops when the best place moved by less than `tolerance` with each of the last eight frames, and a higher place is
    unlikely elsewhere (mean and two standard deviations).

    Parameters
    ----------
    axes, tags, tag, seed
        As of every strategy; the tag must be given.
    tolerance : float
        Smallest movement that matters, in units of the ranges, for each motor.
    length : float
        Distance over which the probability changes, in units of the ranges.
    initial : int, optional
        Number of first places, which are spread evenly. If not given, 8 for each motor.

    Raises
    ------
    XTagValueError
        An argument does not fit, or there are more than four motors.
    """

    def __init__(
        self,
        axes: Axes | Sequence[Axis],
        *,
        tolerance: float = 0.01,
        length: float = 0.2,
        initial: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(axes, length=length, initial=initial, **common)
        if len(self.axes) > 4:
            raise XTagValueError(f"seek moves four motors at most, but got {len(self.axes)}: do not move the others")
        if not 0 < tolerance < 1:
            raise XTagValueError(f"the tolerance is {tolerance}: give a number between 0 and 1")
        self._tolerance = tolerance
        self._kept: dict[int, tuple[Process, np.ndarray, float]] = {}
        self._noise, self._aim = GrowingTable(1), (-1, False)

    def best(self) -> dict[str, float]:
        """Return the positions of the motors where the tag is expected to be most probable, in the motors' units."""
        with one_thread():
            return self._as_point(self._top())

    def probability(self, points: Any) -> np.ndarray:
        """Return the expected probability of the tag, (n,) float64; `points` (n, axes) in the motors' units."""
        strengths = np.maximum(strength_of(self._seen_scores), _LOWEST)
        noise = np.where(self._process().noise < _WRONG, _COARSE_NOISE, _WRONG)
        coarse = Process(self._places.all, _coarse(strengths), noise, self._length)
        return probability_of(_ABSENT + _COARSE * coarse.predict(self._units(points))[0])

    def get_best_points(self) -> list[tuple[int | None, Point, Point]]:
        """Return the place seen that is nearest to `best`."""
        if not len(self._places):
            return []
        with one_thread():
            distances = np.linalg.norm(self._places.all - self._top(), axis=1)
        return [self._best(int(np.argmin(distances)))]

    def _fit(self) -> Process:
        return self._after(len(self._places))[0]

    def _top(self) -> np.ndarray:
        """Return where the tag is likely to be strongest, (axes,) in units of the ranges."""
        return self._after(len(self._places))[1]

    def _after(self, count: int) -> tuple[Process, np.ndarray, float]:
        """Return what the first values tell: fine process, top, and the strength where the process is 0."""
        if count not in self._kept:
            if count <= EXACT:
                found = self._of_all(count)
            else:
                newest = max((each for each in self._kept if EXACT <= each < count), default=EXACT)
                found = self._after(newest)
                for each in range(newest + 1, count + 1):
                    found = self._kept[each] = self._of_nearest(each, found)
                    self._forget()
            self._kept[count] = found
            self._forget()
        return self._kept[count]

    def _forget(self) -> None:
        for old in list(self._kept)[:-10]:
            del self._kept[old]

    def _of_all(self, count: int) -> tuple[Process, np.ndarray, float]:
        places, strengths = self._places.all[:count], np.maximum(strength_of(self._seen_scores[:count]), _LOWEST)
        coarse = _without_wrong(places, _coarse(strengths), np.full(count, _COARSE_NOISE), self._length)
        if count < 2:
            top = places[0] if count else np.full(len(self.axes), 0.5)
            return coarse, top, _ABSENT
        # A height that no other frame confirms may be a frame that was tagged wrongly.
        every = np.arange(count)
        start = self._climb(coarse, places[np.argmax(coarse.others(every)[0])], 60)
        level = _ABSENT + _COARSE * float(coarse.predict(start[None])[0][0]) - _BELOW
        noise = np.where(coarse.noise > _COARSE_NOISE, _WRONG, _FINE_NOISE)
        fine = _without_wrong(places, _fine(strengths, level), noise, self._length)
        start = places[np.argmax(fine.others(every)[0])]
        return fine, self._vertex(fine, self._climb(fine, start, 60)), level

    def _of_nearest(self, count: int, before: tuple[Process, np.ndarray, float]) -> tuple[Process, np.ndarray, float]:
        """Return what one value more tells, among many: only it and those around it are judged anew."""
        if not len(self._noise):
            for each in before[0].noise:
                self._noise.append(each)
        places, level = self._places.all[:count], before[2]
        values = _fine(strength_of(self._seen_scores[:count]), level)
        if len(self._noise) < count:
            self._noise.append(_FINE_NOISE)
            process = Process(places, values, self._noise.all[:, 0].copy(), self._length)
            around = process.nearest(places[-1], 8)
            surprises = process.others(around)[1]
            self._noise.replace(around, np.where(surprises > _SURPRISE, _WRONG, _FINE_NOISE)[:, None])
        process = Process(places, values, self._noise.all[:count, 0].copy(), self._length)
        mean, _ = self._everywhere.predict(process)
        starts = np.stack([before[1], self._everywhere.places[int(np.argmax(mean))], places[-1]])
        start = starts[int(np.argmax(process.predict(starts)[0]))]
        return process, self._vertex(process, self._climb(process, start, 12)), level

    def _climb(self, process: Process, start: np.ndarray, tries: int) -> np.ndarray:
        """Return the top of a process near a place."""
        rng, best = np.random.default_rng(0), start[None]
        for step in _CLIMB:
            around = np.concatenate([best, np.clip(best + rng.normal(0, step, (tries, len(self.axes))), 0, 1)])
            best = around[np.argmax(process.predict(around)[0])][None]
        return best[0]

    def _vertex(self, process: Process, top: np.ndarray) -> np.ndarray:
        """Return the top of a parabola through what was seen around a place; the place itself if there is no such top.

        The slopes of a peak tell better where its top is than the flat top does.
        """
        axes = len(self.axes)
        for _ in range(3):  # the values around the vertex are others than those around the top
            used = self._around(process, top)
            terms = _terms((process.places - top)[used])
            if used.sum() < terms.shape[1] + 2:
                return top
            found = _robust_fit(terms, process.values[used])
            bend = np.zeros((axes, axes))
            for (i, j), each in zip(_pairs(axes), found[1 + axes :], strict=True):
                bend[i, j] += each
                bend[j, i] += each
            if np.linalg.eigvalsh(bend).max() > -1e-6:
                return top
            step = -np.linalg.solve(bend, found[1 : 1 + axes])
            if np.abs(step).max() > self._length / 2:
                return top
            top = np.clip(top + step, 0, 1)
        return top

    def _pool(self, rng: np.random.Generator, count: int) -> np.ndarray:
        anywhere = count // 2
        widths = np.resize([0.15, 0.06, 0.03], count - anywhere)[:, None]
        steps = widths * rng.normal(size=(count - anywhere, len(self.axes)))
        return np.concatenate([rng.random((anywhere, len(self.axes))), np.clip(self._top() + steps, 0, 1)])

    def _use(self, places: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        if not len(self._places):
            return deviation
        top = self._top()
        reached = self._process().predict(top[None])[0][0]
        better = (mean - reached) / deviation
        away = np.abs(places - top).max(axis=1)
        if self._aim[0] != len(self._suggested):  # a suggestion keeps to one aim, though it asks twice
            elsewhere = ndtr(better[away > self._length]).max(initial=0)
            self._aim = len(self._suggested), bool(elsewhere < _ELSEWHERE)
        if self._aim[1]:
            told = self._told_by_slopes(places, top)
            return told * ((away <= self._length) & (mean > reached - _DEPTH)) + 1e-9
        return deviation * (better * ndtr(better) + np.exp(-(better**2) / 2) / np.sqrt(2 * np.pi))

    def _told_by_slopes(self, places: np.ndarray, top: np.ndarray) -> np.ndarray:
        """Return by how much a frame at each place lessens the variance of the vertex, (n,), up to a factor.

        It is that of least squares for the parabola of `_vertex`, on what was seen around the top (A-optimal design).
        """
        process, axes = self._process(), len(self.axes)
        used = process.places[self._around(process, top)]
        if self._open:  # frames that are under way, so that those of a batch do not all go to one place
            coming = np.array(list(self._open.values()))
            used = np.concatenate([used, coming[np.abs(coming - top).max(axis=1) <= self._length]])
        terms = _terms((used - top) / self._length)
        covariance = np.linalg.inv(terms.T @ terms + _VAGUE * np.eye(terms.shape[1]))
        new = _terms((places - top) / self._length)
        change = new @ covariance
        return (change[:, 1 : 1 + axes] ** 2).sum(axis=1) / (1 + (change * new).sum(axis=1))

    def _around(self, process: Process, top: np.ndarray) -> np.ndarray:
        """Return which values lie on the slopes around a place, (n,) bool."""
        level = process.predict(top[None])[0][0] - _DEPTH
        near = np.abs(process.places - top).max(axis=1) <= self._length
        return (process.noise < _WRONG) & near & (process.values > level)

    def _enough(self) -> Stop:
        count, top = len(self._places), self._top()
        if count < len(self._first) or any(
            np.abs(self._after(count - back)[1] - top).max() > self._tolerance for back in range(1, 9)
        ):
            return Stop(False)
        process, places = self._process(), self._everywhere.places
        mean, deviation = self._everywhere.predict(process)
        far = np.abs(places - top).max(axis=1) > self._length
        if far.any() and np.max((mean + 2 * deviation)[far]) > process.predict(top[None])[0][0]:
            return Stop(False)
        return Stop(
            True, f"the best place moved by less than {self._tolerance:.1%} of the ranges with each of 8 frames"
        )


def _pairs(axes: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(axes) for j in range(i, axes)]


def _terms(steps: np.ndarray) -> np.ndarray:
    """Return the terms of a parabola at steps from its middle, (n, terms): 1, each step, each product of two."""
    products = [steps[:, i] * steps[:, j] for i, j in _pairs(steps.shape[1])]
    return np.column_stack([np.ones(len(steps)), *steps.T, *products])


def _coarse(strengths: np.ndarray) -> np.ndarray:
    return (strengths - _ABSENT) / _COARSE


def _fine(strengths: np.ndarray, level: float) -> np.ndarray:
    return np.maximum((strengths - level) / _FINE, -_BELOW / _FINE)


def _without_wrong(places: np.ndarray, values: np.ndarray, noise: np.ndarray, length: float) -> Process:
    """Return the process in which values that all others contradict count for little."""
    process, every = Process(places, values, noise, length), np.arange(len(places))
    for _ in range(min(len(places) // 6, 8)):
        surprises = np.where(noise < _WRONG, process.others(every)[1], 0)
        # One at a time: a wrong value makes its neighbours surprising, too.
        worst = int(np.argmax(surprises))
        if surprises[worst] < _SURPRISE:
            break
        noise = np.where(every == worst, _WRONG, noise)
        process = process.again(values, noise)
    return process


def _robust_fit(terms: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return least squares in which values far from the fit weigh little (Cauchy's weights)."""
    found = np.linalg.lstsq(terms, values, rcond=None)[0]
    for _ in range(4):
        far = values - terms @ found
        spread = 1.4826 * np.median(np.abs(far)) + 1e-4
        root = 1 / np.sqrt(1 + (far / (3 * spread)) ** 2)
        found = np.linalg.lstsq(terms * root[:, None], values * root, rcond=None)[0]
    return found
