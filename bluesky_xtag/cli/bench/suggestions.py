"""How long strategies compute until they suggest the next point (`xtag bench adaptive`)."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from ...model import DEFAULT_TAXONOMY
from ...plans import make

__all__ = ["POINTS", "THINKING", "milliseconds"]

POINTS = 200
"""After how many points a strategy is timed."""
THINKING = ("boundary", "seek", "phases", "novelty")
"""The strategies that think; the others follow a list."""

_TIMED = 20
_AXES = {"x": (0.0, 10.0), "y": (0.0, 10.0)}
_RADIUS = 3.0


def milliseconds(name: str, seed: int = 0) -> dict[str, float]:
    """Return how long a strategy takes from the tags of one point to the next point: median and longest.

    Parameters
    ----------
    name : str
        One of `THINKING`.
    seed : int
        Of the strategy, and of the noise of the tags: `ring` within a disc, `halo` on one side of it.

    Returns
    -------
    dict
        `median` and `longest`, milliseconds, of the 20 points after `POINTS`.
    """
    names, noise = DEFAULT_TAXONOMY.names, np.random.default_rng([seed, 8])
    strategy = make(name, _AXES, tags=names, tag="ring" if name in ("boundary", "seek") else None, seed=seed)
    (point,) = strategy.suggest()
    taken = []
    for _ in range(POINTS + _TIMED):
        told = point | dict(zip(names, noise.uniform(0.02, 0.1, len(names)).tolist(), strict=True))
        inside = _RADIUS - np.hypot(point["x"] - 5, point["y"] - 5)
        told |= {"ring": float(1 / (1 + np.exp(-3 * inside))), "halo": float(point["x"] > 6)}
        begin = perf_counter()
        strategy.ingest([told])
        (point,) = strategy.suggest()
        taken.append(1e3 * (perf_counter() - begin))
    return {"median": float(np.median(taken[POINTS:])), "longest": max(taken[POINTS:])}
