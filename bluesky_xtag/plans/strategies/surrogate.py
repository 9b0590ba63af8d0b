"""Gaussian processes for the strategies: exact for few values, of the nearest values for many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, cholesky, get_lapack_funcs, solve_triangular
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.stats import qmc
from threadpoolctl import ThreadpoolController

__all__ = ["EXACT", "NEIGHBOURS", "Process", "Watch", "one_thread", "spread"]

EXACT = 256
"""Up to this many values a process takes all of them into account."""
NEIGHBOURS = 40
"""Beyond that, a prediction takes into account this many of the nearest values."""

_AT_ONCE = 256
"""So many places are predicted at once from their neighbours, which takes some 10 MB."""
_SMALLEST = 1e-10
"""Least variance of a prediction, which rounding might make negative."""


class Process:
    """A Gaussian process after what was seen, with a Matern kernel of smoothness 5/2 and variance 1.

    Up to `EXACT` values it is exact. Beyond that, the process is a local one: each prediction comes from the
    `NEIGHBOURS` values that are nearest, so that it costs the same however many values there are.

    The kernel is not learned. At borders as sharp as those of tags the likelihood prefers lengths that are too short,
    which costs more frames, and learning takes longer than all the rest.

    Parameters
    ----------
    places : numpy.ndarray
        (n, motors) in units of the ranges; n may be 0.
    values : numpy.ndarray
        (n,) or (n, functions), of variance about 1; the functions are 0 where nothing is known.
    noise : numpy.ndarray
        (n,) variance of each value.
    length : float
        Distance over which the functions change, in units of the ranges.
    like : Process, optional
        Another one at the same places, with the same length, whose work is used again.
    """

    def __init__(
        self, places: np.ndarray, values: np.ndarray, noise: np.ndarray, length: float, *, like: Process | None = None
    ) -> None:
        self.places, self.values, self.noise, self.length = places, values, noise, length
        self.local = len(places) > EXACT
        self.geometry: Any = like.geometry if like is not None else self._measure()
        if len(places) and not self.local:
            covariance = self.geometry.copy()
            covariance.flat[:: len(noise) + 1] += noise
            self._root = cholesky(covariance, lower=True, check_finite=False)
            self._weights = cho_solve((self._root, True), values, check_finite=False)

    def _measure(self) -> Any:
        """Return what depends on the places alone: their tree if there are many, else their covariance."""
        if self.local:
            # Neither option changes what is found; a tree of ten thousand places is built in half the time.
            return KDTree(self.places, balanced_tree=False, compact_nodes=False)
        return _matern(cdist(self.places, self.places), self.length) if len(self.places) else None

    def again(self, values: np.ndarray, noise: np.ndarray) -> Process:
        """Return the process with other values and noise at the same places."""
        return Process(self.places, values, noise, self.length, like=self)

    def at_values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation at the places of the values themselves, of an exact process."""
        variance = self.noise - self.noise**2 * self._inverse_diagonal()
        noise = self.noise if self.values.ndim == 1 else self.noise[:, None]
        return self.values - noise * self._weights, np.sqrt(np.maximum(variance, _SMALLEST))

    def nearest(self, place: np.ndarray, count: int) -> np.ndarray:
        """Return the rows of the values that are nearest to a place, (count,), of a local process."""
        return self.geometry.query(place, count)[1]

    def predict(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean, (n,) or (n, functions), and standard deviation, (n,), at each place."""
        return self.predict_within(places)[:2]

    def predict_within(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what `predict` does, and the distance within which values count for the prediction, (n,)."""
        everything = np.full(len(places), np.inf)
        if not len(self.places):
            return np.zeros((len(places), *self.values.shape[1:])), np.ones(len(places)), everything
        if self.local:
            distances, near = self.geometry.query(places, NEIGHBOURS)
            return *self._from_nearest(places, near), distances[:, -1]
        across = _matern(cdist(self.places, places), self.length)
        variance = 1 - (solve_triangular(self._root, across, lower=True, check_finite=False) ** 2).sum(axis=0)
        return across.T @ self._weights, np.sqrt(np.maximum(variance, _SMALLEST)), everything

    def others(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what all other values predict at the places of these rows, and how far the values are from that.

        Both are (rows,); the distance is in standard deviations. (Rasmussen & Williams, Gaussian Processes for Machine
        Learning, 2006, equations 5.10 to 5.12.)
        """
        if self.local:
            _, near = self.geometry.query(self.places[rows], NEIGHBOURS + 1)
            # Each row is left out of its own neighbours; of several values at one place it may be any of the first.
            others = near[near != rows[:, None]]
            if others.size != len(rows) * NEIGHBOURS:
                others = np.array(
                    [[each for each in some if each != row][:NEIGHBOURS] for some, row in zip(near, rows, strict=True)]
                )
            mean, deviation = self._from_nearest(self.places[rows], others.reshape(-1, NEIGHBOURS))
            spread_of_all = np.sqrt(deviation**2 + self.noise[rows])
            return mean, np.abs(self.values[rows] - mean) / spread_of_all
        variances = 1 / self._inverse_diagonal()[rows]
        weights = self._weights[rows]
        return self.values[rows] - weights * variances, np.abs(weights) * np.sqrt(variances)

    def _inverse_diagonal(self) -> np.ndarray:
        (potri,) = get_lapack_funcs(("potri",), (self._root,))
        inverse, _ = potri(self._root, lower=True)
        return np.diag(inverse)

    def _from_nearest(self, places: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation at places, (n, motors), of the values in these rows, (n, neighbours)."""
        if len(places) > _AT_ONCE:
            parts = [slice(begin, begin + _AT_ONCE) for begin in range(0, len(places), _AT_ONCE)]
            found = [self._from_nearest(places[part], near[part]) for part in parts]
            return np.concatenate([mean for mean, _ in found]), np.concatenate([spread for _, spread in found])
        steps = self.places[near] - places[:, None]
        squares = (steps**2).sum(axis=2)
        between = -2 * (steps @ steps.transpose(0, 2, 1))
        between += squares[:, :, None]
        between += squares[:, None, :]
        covariance = _matern(np.sqrt(np.maximum(between, 0, out=between), out=between), self.length)
        diagonal = np.arange(near.shape[1])
        covariance[:, diagonal, diagonal] = 1 + self.noise[near]
        across = _matern(np.sqrt(squares), self.length)
        weights = np.linalg.solve(covariance, across[:, :, None])[:, :, 0]
        values = self.values[near]
        mean = (weights * values).sum(axis=1) if values.ndim == 2 else (weights[:, :, None] * values).sum(axis=1)
        return mean, np.sqrt(np.maximum(1 - (weights * across).sum(axis=1), _SMALLEST))


class Watch:
    """Predictions at places that stay, computed again only where what was seen has changed.

    Parameters
    ----------
    places : numpy.ndarray
        (n, motors) in units of the ranges.
    """

    def __init__(self, places: np.ndarray) -> None:
        self.places = places
        self._process: Process | None = None
        self._known: tuple[np.ndarray, np.ndarray, np.ndarray] = (np.empty(0), np.empty(0), np.empty(0))

    def move(self, slots: slice, places: np.ndarray) -> None:
        """Let other places take the slots of some."""
        self.places[slots] = places
        if len(self._known[2]):
            self._known[2][slots] = np.inf

    def predict(self, process: Process) -> tuple[np.ndarray, np.ndarray]:
        """Return what `Process.predict` returns at the places."""
        before = self._process
        if (
            before is None
            or not (before.local and process.local)
            or before.values.shape[1:] != process.values.shape[1:]
        ):
            self._known = process.predict_within(self.places)
        else:
            again = np.isinf(self._known[2])
            changed = _changed(before, process)
            if len(changed):
                nearest, _ = KDTree(changed).query(self.places)
                again |= nearest <= self._known[2]
            rows = np.flatnonzero(again)
            for kept, new in zip(self._known, process.predict_within(self.places[rows]), strict=True):
                kept[rows] = new
        self._process = process
        return self._known[0], self._known[1]


def _changed(before: Process, after: Process) -> np.ndarray:
    """Return the places, (n, motors), whose values or noise differ between two processes, or that only one has."""
    both = min(len(before.places), len(after.places))
    differ = (before.places[:both] != after.places[:both]).any(axis=1) | (before.noise[:both] != after.noise[:both])
    values = before.values[:both] != after.values[:both]
    differ |= values if values.ndim == 1 else values.any(axis=1)
    rows = np.flatnonzero(differ)
    return np.concatenate([each[part] for each in (before.places, after.places) for part in (rows, slice(both, None))])


def _matern(distances: np.ndarray, length: float) -> np.ndarray:
    """Return the covariance at these distances, which are overwritten."""
    distances *= np.sqrt(5) / length
    found = np.exp(-distances)
    distances += distances**2 / 3 + 1
    found *= distances
    return found


def spread(count: int, dimensions: int, seed: int) -> np.ndarray:
    """Return places that fill the ranges evenly, (count, dimensions) in units of the ranges (scrambled Halton)."""
    return qmc.Halton(dimensions, rng=np.random.default_rng(seed)).random(count)


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Do linear algebra in one thread: more are not faster for some hundred points, and scans need the cores."""
    with _threads().limit(limits=1, user_api="blas"):
        yield
