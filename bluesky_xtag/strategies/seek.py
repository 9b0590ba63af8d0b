"""Find the place where a tag is surest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import logit
from scipy.stats import norm

from ..errors import XTagValueError
from .axes import Axes, Axis
from .planned import Planned
from .protocol import Point, Stop
from .surrogate import Process, fitted, one_thread

__all__ = ["Seek"]

_SURE = 1e-6
"""Probabilities nearer to 0 or 1 than this are not told apart."""
_LOST = -7.0
"""Log odds below which all places are equally bad: how surely a tag is absent says nothing of where it is."""
_NOISE = 0.02
"""Variance of the log odds seen, in units of their own variance."""


class Seek(Planned):
    """Finds the place where a tag's probability is highest, with one to four motors.

    A Gaussian process is fitted to the log odds of the probability, which still tell good from better where the
    probability is 0.99. The next frame goes where the improvement to be expected on the best place is greatest, by the
    cost of the frame with its travel. Every second one goes where the highest place would be in a world drawn by chance
    from all that fit what was seen: this also measures the slopes, which say where the top is. Values that their
    neighbours contradict are left out.

    Stops when nine of ten such worlds have their highest place within `tolerance` of the best one.

    Parameters
    ----------
    axes, tags, tag, seed
        As of every strategy; the tag must be given.
    tolerance : float
        In units of the ranges, for each motor.
    length : float
        Over which the probability changes, in units of the ranges.
    initial : int, optional
        Number of the first places, spread evenly; 8 for each motor if not given.

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
            raise XTagValueError(f"seek moves four motors at most, but got {len(self.axes)}: leave some where they are")
        if not 0 < tolerance < 1:
            raise XTagValueError(f"the tolerance is {tolerance}: give a number between 0 and 1")
        self._tolerance = tolerance

    def best(self) -> dict[str, float]:
        """Return the position of each motor where the tag is likely to be surest, in the motors' units."""
        with one_thread():
            return self._named(self._top(self._process()))

    def probability(self, points: Any) -> np.ndarray:
        """Return the tag's probability to be expected, (n,) float64; `points` (n, axes) in the motors' units."""
        middle, scale, _ = self._values()
        return 1 / (1 + np.exp(-(middle + scale * self._process().predict(self._units(points)))))

    def get_best_points(self) -> list[tuple[int | None, Point, Point]]:
        """Return the place seen that is nearest to `best`."""
        if not self._places:
            return []
        with one_thread():
            distances = np.linalg.norm(self._seen_places - self._top(self._process()), axis=1)
        return [self._best(int(np.argmin(distances)))]

    def _values(self) -> tuple[float, float, np.ndarray]:
        odds = np.maximum(logit(np.clip(self._seen_scores, _SURE, 1 - _SURE)), _LOST)
        if len(odds) == 0:
            return _LOST, 1.0, odds
        # The variance of the first places need not be that of the peak: it has the scale of the highest.
        middle, scale = float(np.median(odds)), max(float(np.ptp(odds)) / 2, 1.0)
        return middle, scale, (odds - middle) / scale

    def _process(self) -> Process:
        return fitted(self._seen_places, self._values()[2], length=self._length, noise=_NOISE, robust=True)

    def _top(self, process: Process) -> np.ndarray:
        """Return where the process is highest, (axes,) in units of the ranges."""
        if not self._places:
            return np.full(len(self.axes), 0.5)
        rng, best = np.random.default_rng(0), self._seen_places
        best = best[np.argsort(-process.predict(best), kind="stable")[:5]]
        for step in (0.05, 0.02, 0.01, 0.004, 0.0015):
            around = best[:, None] + rng.normal(0, step, (len(best), 80, len(self.axes)))
            around = np.concatenate([best, np.clip(around.reshape(-1, len(self.axes)), 0, 1)])
            best = around[np.argsort(-process.predict(around), kind="stable")[:3]]
        return best[0]

    def _pool(self, rng: np.random.Generator) -> np.ndarray:
        top = self._top(self._process())
        steps = np.repeat([0.15, 0.06, 0.03], 50)[:, None] * rng.normal(size=(150, len(self.axes)))
        return np.concatenate([rng.random((250, len(self.axes))), np.clip(top + steps, 0, 1)])

    def _use(self, candidates: np.ndarray) -> np.ndarray:
        process = self._expecting(self._process(), self._seen_places, self._values()[2])
        if len(self._suggested) % 2 and self._places:
            # The same world for all candidates of a suggestion would need them at once: highest of one draw.
            drawn = process.draw(candidates, 1, len(self._suggested))[:, 0]
            return np.exp(np.clip(20 * (drawn - drawn.max()), -600, 0))
        mean, deviation = process.predict(candidates, return_std=True)
        reached = process.predict(self._top(process)[None])[0] if self._places else 0.0
        better = (mean - reached) / deviation
        return deviation * (better * norm.cdf(better) + norm.pdf(better))

    def _enough(self) -> Stop:
        if not self._places:
            return Stop(False)
        process = self._process()
        top = self._top(process)
        pool = np.concatenate([top[None], self._pool(np.random.default_rng(1))])
        steps = self._tolerance * np.random.default_rng(2).normal(size=(150, len(self.axes)))
        pool = np.concatenate([pool, np.clip(top + 1.5 * steps, 0, 1)])
        highest = pool[np.argmax(process.draw(pool, 40, 3), axis=0)]
        near = float((np.abs(highest - top).max(axis=1) <= self._tolerance).mean())
        if near < 0.9:
            return Stop(False)
        return Stop(True, f"the best place is known to {self._tolerance:.1%} of the ranges")
