"""Gaussian processes for the strategies: robust, and quick enough for a scan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import cho_solve
from scipy.stats import qmc
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern
from threadpoolctl import ThreadpoolController

__all__ = ["Process", "fit_process", "one_thread", "spread"]

_SURPRISE = 4.0
"""A value that is this many standard deviations from what the others predict counts as wrong."""


class Process:
    """A Gaussian process that was fitted to what was seen.

    Parameters
    ----------
    places : numpy.ndarray
        (n, motors) in units of the ranges; n may be 0.
    values : numpy.ndarray
        (n,) or (n, functions), of variance about 1; the functions are 0 where nothing is known.
    length : float
        Distance over which the functions change, in units of the ranges (of a Matern kernel of smoothness 5/2).
    noise : numpy.ndarray
        (n,) variance of each value.
    """

    def __init__(self, places: np.ndarray, values: np.ndarray, length: float, noise: np.ndarray) -> None:
        self.length, self.noise = length, noise
        # The kernel is not learned: at borders as sharp as those of tags the likelihood prefers lengths that are too
        # short, which costs more frames; and learning takes longer than all the rest.
        settings: Any = {"alpha": noise if len(places) else 1.0, "optimizer": None}
        self._regressor = GaussianProcessRegressor(Matern(length, nu=2.5), **settings)
        if len(places):
            self._regressor.fit(places, values)

    def predict(self, places: np.ndarray, return_std: bool = False) -> Any:
        """Return the mean, and the standard deviation if wanted, at each place."""
        return self._regressor.predict(places, return_std=return_std)

    def others(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what all other values predict at each place seen, and how far the value itself is from the prediction.

        Both are (n,); the distance is in standard deviations. (Rasmussen & Williams, Gaussian Processes for Machine
        Learning, 2006, equations 5.10 to 5.12.)
        """
        root, weights = self._regressor.L_, self._regressor.alpha_
        variances = 1 / np.diag(cho_solve((root, True), np.eye(len(root))))
        return self._regressor.y_train_ - weights * variances, np.abs(weights) * np.sqrt(variances)


def fit_process(
    places: np.ndarray, values: np.ndarray, *, length: float, noise: float, robust: bool = False
) -> Process:
    """Return the functions that are likely after these values; see `Process`.

    With `robust` a value that all others contradict (by more than four standard deviations) counts for little.
    """
    each = np.full(len(places), noise)
    process = Process(places, values, length, each)
    for _ in range(min(len(places) // 6, 8) if robust else 0):
        _, surprises = process.others()
        # One at a time: a wrong value makes its neighbours surprising, too.
        worst = int(np.argmax(np.where(each > noise, 0, surprises)))
        if surprises[worst] < _SURPRISE:
            break
        each[worst] = 25.0
        process = Process(places, values, length, each.copy())
    return process


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
