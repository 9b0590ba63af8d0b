"""Gaussian processes as the strategies use them: robust, and quick enough for a scan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import numpy as np
from scipy.stats import qmc
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern
from threadpoolctl import ThreadpoolController

__all__ = ["fitted", "one_thread", "spread"]


def fitted(places: np.ndarray, values: np.ndarray, *, length: float, noise: float) -> GaussianProcessRegressor:
    """Return the smooth functions that are likely after these values.

    The kernel is not learned: at borders as sharp as those of tags the likelihood prefers lengths that are too short,
    which costs more frames, and learning takes longer than all the rest.

    Parameters
    ----------
    places : numpy.ndarray
        (n, motors) in units of the ranges; n may be 0.
    values : numpy.ndarray
        (n,) or (n, functions), of variance about 1; the functions are 0 where nothing is known.
    length : float
        Over which the functions change, in units of the ranges (of a Matern kernel of smoothness 5/2).
    noise : float
        Variance of the noise.
    """
    process = GaussianProcessRegressor(Matern(length, nu=2.5), alpha=noise, optimizer=cast(Any, None))
    return process if len(places) == 0 else process.fit(places, values)


def spread(count: int, dimensions: int, seed: int) -> np.ndarray:
    """Return places that fill the ranges evenly, (count, dimensions) in units of the ranges (scrambled Halton)."""
    return qmc.Halton(dimensions, rng=np.random.default_rng(seed)).random(count)


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Do linear algebra in one thread: for some hundred points more of them are no faster, and scans need the cores."""
    with _threads().limit(limits=1, user_api="blas"):
        yield
