"""Find the place where a tag is most probable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from ...errors import XTagValueError
from .axes import Axes, Axis
from .model_based import ModelBasedStrategy
from .strategy import Point, Stop
from .surrogate import Process, fit_process, one_thread, spread

__all__ = ["Seek"]

_SURE = 1e-6
"""Probabilities that are nearer to 0 or 1 than this count as equal."""
_UNIT, _ABSENT = 8.0, -0.5
"""The process is of log odds in this unit, and 0 at log odds of -4; lower ones are cut at -8, because how
surely a tag is absent does not tell where it is."""
_NOISE = 0.004
"""Variance of the log odds seen, in that unit."""
_DEPTH = 0.4
"""How far below the top the slopes are useful, in that unit."""


class Seek(ModelBasedStrategy):
    """Finds the place where a tag's probability is highest, with one to four motors.

    A Gaussian process is fitted to the log odds of the probability, which still tell good from better where the
    probability is 0.99. The next frame goes where the expected improvement on the best place, divided by the cost of
    the frame and its travel, is greatest. Every second frame goes where the slopes around the best place are least
    known. A parabola through these slopes tells where the top is. Values that all others contradict are left out, and a
    height that no other frame confirms does not count as the best.

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
        self._everywhere = spread(512, len(self.axes), 0)
        self._kept: dict[int, tuple[Process, np.ndarray]] = {}

    def best(self) -> dict[str, float]:
        """Return the positions of the motors where the tag is expected to be most probable, in the motors' units."""
        with one_thread():
            return self._as_point(self._top())

    def probability(self, points: Any) -> np.ndarray:
        """Return the expected probability of the tag, (n,) float64; `points` (n, axes) in the motors' units."""
        return expit(_UNIT * (_ABSENT + self._process().predict(self._units(points))))

    def get_best_points(self) -> list[tuple[int | None, Point, Point]]:
        """Return the place seen that is nearest to `best`."""
        if not self._places:
            return []
        with one_thread():
            distances = np.linalg.norm(self._seen_places - self._top(), axis=1)
        return [self._best(int(np.argmin(distances)))]

    def _values(self) -> np.ndarray:
        """Return the log odds of what was seen, (n,), in units of `_UNIT` from `_ABSENT` on."""
        odds = logit(np.clip(self._seen_scores, _SURE, 1 - _SURE))
        return np.maximum(odds / _UNIT - _ABSENT, -0.5)

    def _process(self) -> Process:
        return self._process_and_top(len(self._places))[0]

    def _top(self) -> np.ndarray:
        """Return where the tag is likely to be surest, (axes,) in units of the ranges."""
        return self._process_and_top(len(self._places))[1]

    def _process_and_top(self, count: int) -> tuple[Process, np.ndarray]:
        """Return what the first values tell: process and top; they are asked for often, so the last are kept."""
        if count not in self._kept:
            places, values = self._seen_places[:count], self._values()[:count]
            process = fit_process(places, values, length=self._length, noise=_NOISE, robust=True)
            self._kept = dict(list(self._kept.items())[-8:]) | {count: (process, self._climb(process, places, values))}
        return self._kept[count]

    def _climb(self, process: Process, places: np.ndarray, values: np.ndarray) -> np.ndarray:
        if len(places) < 2:
            return places[0] if len(places) else np.full(len(self.axes), 0.5)
        # A height that no other frame confirms may be a frame that was tagged wrongly.
        expected, _ = process.others()
        rng, best = np.random.default_rng(0), places[np.argmax(expected)][None]
        for step in (0.03, 0.015, 0.007, 0.003):
            around = np.concatenate([best, np.clip(best + rng.normal(0, step, (60, len(self.axes))), 0, 1)])
            best = around[np.argmax(process.predict(around))][None]
        return self._vertex(process, best[0], places, values)

    def _vertex(self, process: Process, top: np.ndarray, places: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the top of a parabola through what was seen around a place; the place itself if there is no such top.

        The slopes of a peak tell better where its top is than the flat top does.
        """
        axes, steps = len(self.axes), places - top
        level = process.predict(top[None])[0] - _DEPTH
        used = (np.abs(steps).max(axis=1) <= self._length) & (values > level) & (process.noise <= _NOISE)
        pairs = [(i, j) for i in range(axes) for j in range(i, axes)]
        if used.sum() < 1 + axes + len(pairs) + 2:
            return top
        steps = steps[used]
        terms = np.column_stack([np.ones(len(steps)), steps, *(steps[:, i] * steps[:, j] for i, j in pairs)])
        found = np.linalg.lstsq(terms, values[used], rcond=None)[0]
        bend = np.zeros((axes, axes))
        for (i, j), each in zip(pairs, found[1 + axes :], strict=True):
            bend[i, j] += each
            bend[j, i] += each
        if np.linalg.eigvalsh(bend).max() > -1e-6:
            return top
        step = -np.linalg.solve(bend, found[1 : 1 + axes])
        return np.clip(top + step, 0, 1) if np.abs(step).max() <= self._length / 2 else top

    def _pool(self, rng: np.random.Generator) -> np.ndarray:
        top = self._top()
        steps = np.repeat([0.15, 0.06, 0.03], 50)[:, None] * rng.normal(size=(150, len(self.axes)))
        return np.concatenate([rng.random((250, len(self.axes))), np.clip(top + steps, 0, 1)])

    def _use(self, candidates: np.ndarray) -> np.ndarray:
        process = self._with_open_places(self._process(), self._seen_places, self._values())
        mean, deviation = process.predict(candidates, return_std=True)
        if not self._places:
            return deviation
        top = self._top()
        reached = self._process().predict(top[None])[0]
        if len(self._suggested) % 2:
            near = np.abs(candidates - top).max(axis=1) <= self._length
            return deviation * (near & (mean > reached - _DEPTH)) + 1e-9
        better = (mean - reached) / deviation
        return deviation * (better * norm.cdf(better) + norm.pdf(better))

    def _enough(self) -> Stop:
        count, top = len(self._places), self._top()
        if count < len(self._first) or any(
            np.abs(self._process_and_top(count - back)[1] - top).max() > self._tolerance for back in range(1, 9)
        ):
            return Stop(False)
        far = self._everywhere[np.abs(self._everywhere - top).max(axis=1) > self._length]
        mean, deviation = self._process().predict(far, return_std=True)
        if len(far) and np.max(mean + 2 * deviation) > self._process().predict(top[None])[0]:
            return Stop(False)
        return Stop(
            True, f"the best place moved by less than {self._tolerance:.1%} of the ranges with each of 8 frames"
        )
