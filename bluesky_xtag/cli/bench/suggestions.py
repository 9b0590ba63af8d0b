"""How long strategies compute until they suggest the next point, and in how much memory (`xtag bench adaptive`)."""

from __future__ import annotations

import resource
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from ...model import DEFAULT_TAXONOMY
from ...plans import make

__all__ = ["POINTS", "THINKING", "timed"]

POINTS = (200, 1_000, 10_000)
"""After how many points a strategy is timed."""
THINKING = ("boundary", "seek", "phases", "novelty")
"""The strategies that think; the others follow a list."""

_TIMED = 100
_AXES = {"x": (0.0, 10.0), "y": (0.0, 10.0)}
_RADIUS = 3.0


def timed(name: str, points: int) -> dict[str, float]:
    """Return how long a strategy takes from the tags of one point to the next point, and the memory of its process.

    A process of its own is measured, alone, so that nothing else counts. The first points lie anywhere, the strategy
    chooses the last 100, and these are timed. The tags of a point are `ring` within a disc, `halo` on one side of it.

    Parameters
    ----------
    name : str
        One of `THINKING`.
    points : int
        How many it has seen by then.

    Returns
    -------
    dict
        `points`; `median`, `p95` and `longest`, milliseconds by the clock; `busy`, the p95 of the milliseconds that
        the processor spent on it, which another load of the machine changes less; `megabytes`, the most memory.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(_measure, name, points).result()


def _measure(name: str, points: int) -> dict[str, float]:
    names, noise = DEFAULT_TAXONOMY.names, np.random.default_rng(8)
    strategy = make(name, _AXES, tags=names, tag="ring" if name in ("boundary", "seek") else None)

    def seen(point: dict[str, Any]) -> dict[str, Any]:
        told = point | dict(zip(names, noise.uniform(0.02, 0.1, len(names)).tolist(), strict=True))
        inside = _RADIUS - np.hypot(point["x"] - 5, point["y"] - 5)
        return told | {"ring": float(1 / (1 + np.exp(-3 * inside))), "halo": float(point["x"] > 6)}

    anywhere = noise.uniform(0, 10, (points - _TIMED, 2)).tolist()
    strategy.ingest([seen({"x": x, "y": y}) for x, y in anywhere])
    for point in strategy.suggest(32):  # the first places are spread evenly
        strategy.skip([point])
    (point,) = strategy.suggest()
    clock, processor = [], []
    for _ in range(_TIMED):
        told = seen(point)
        begin, busy = perf_counter(), thread_time()
        strategy.ingest([told])
        strategy.should_stop()
        (point,) = strategy.suggest()
        clock.append(1e3 * (perf_counter() - begin))
        processor.append(1e3 * (thread_time() - busy))
    return {
        "points": points,
        "median": float(np.median(clock)),
        "p95": float(np.quantile(clock, 0.95)),
        "longest": max(clock),
        "busy": float(np.quantile(processor, 0.95)),
        "megabytes": _peak_memory() / 2**20,
    }


def _peak_memory() -> int:
    """Return the most memory that this process has had, bytes; `ru_maxrss` begins with that of who started it."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
