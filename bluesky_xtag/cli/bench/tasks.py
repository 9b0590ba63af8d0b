"""The tasks of `xtag bench adaptive`: what each strategy is to find, and how well it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import griddata
from sklearn.metrics import adjusted_rand_score

from ...documents import TagRow
from ...model import TagModel
from ...plans import SkipEmpty, condition, make
from ...simulate import SIZE, Domains, Islands, Map, Peaks, Region
from .ax_agent import AxPlaces
from .camera import FAULTS, Camera

__all__ = [
    "RASTER",
    "SEEK_FRAMES",
    "SEEK_WITHIN",
    "TASKS",
    "MapTask",
    "Run",
    "map_with",
    "points_of",
    "raster_doses",
    "run",
    "seek_run",
]

RASTER = 41
"""Places along each side of the raster that the strategies are compared with."""
SEEK_WITHIN = 0.01
"""How near the best place must be found, in units of the range, by each motor."""
PROBE = 0.05
"""Exposure of the probe of skip_empty, in units of the full one."""
PROBES = {False: 1, True: 4}
"""Probes that must be empty: more where tags are known to be wrong at times (`faulty`)."""

_AXES = {"x": (0.0, SIZE), "y": (0.0, SIZE)}
_SIDES = (10, 12, 14, 17, 20, 24, 29, 35, 41)  # of the coarse grids, each about 1.4 times the frames of the one before


@dataclass(frozen=True)
class Run:
    """How a strategy did on one sample.

    Parameters
    ----------
    frames : int or None
        Number of frames from which on the bar held to the end of the run; None if it did not.
    score : float
        With the frames of the bar.
    stopped, score_at_stop : int and float, or None
        When the strategy's own rule said that it is enough, and how well it did then.
    trace : tuple of (int, float)
        Frames and score.
    """

    frames: int | None
    score: float
    stopped: int | None
    score_at_stop: float | None
    trace: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class MapTask:
    """A map to be made.

    Parameters
    ----------
    strategy : str
        That is measured.
    sample : callable
        Makes the sample of a seed.
    score : callable
        (truth, found), both (n,), to a score; higher is better.
    bar : float
        Score to be reached.
    frames : int
        With how many frames, in the median of the samples.
    budget : int
        Frames of which the score is told.
    tag : str or None
        That is mapped.
    seconds : float
        Exposure of a frame.
    """

    strategy: str
    sample: Callable[[int], Map]
    score: Callable[[np.ndarray, np.ndarray], float]
    bar: float
    frames: int
    budget: int
    tag: str | None
    seconds: float = 0.1

    def found(self, strategy: Any, places: np.ndarray) -> np.ndarray:
        """Return the map that a strategy made, (n,)."""
        return strategy.region(places) if self.tag else strategy.labels(places)


def _overlap(truth: np.ndarray, found: np.ndarray) -> float:
    return float((truth & found).sum() / max((truth | found).sum(), 1))


TASKS = {
    "boundary": MapTask("boundary", Region, _overlap, 0.95, 55, RASTER**2 // 12, "ring"),
    "phases": MapTask("phases", Domains, adjusted_rand_score, 0.9, 50, RASTER**2 // 10, None),
}
SEEK_FRAMES = 40
"""Frames that `seek` may use."""
_SEEK_SECONDS = 1.0


def points_of(side: int) -> np.ndarray:
    """Return the places of a grid over the map, (side * side, 2) in mm."""
    axis = np.linspace(0, SIZE, side)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def truth_of(task: MapTask, sample: Map, places: np.ndarray) -> np.ndarray:
    """Return the true map: whether the second phase prevails if a tag is mapped, the phase that prevails else."""
    phase = sample.fractions(places[:, 0], places[:, 1]).argmax(axis=0)
    return phase == 1 if task.tag else phase


def run(task: MapTask, model: TagModel, seed: int, kind: str, *, limit: int | None = None) -> tuple[Run, Any]:
    """Let a strategy map a sample, and return how it did, and the strategy.

    Parameters
    ----------
    task : MapTask
    model : TagModel
    seed : int
        Of the sample, its noise, the faults and the strategy.
    kind : str
        "adaptive"; one of `FAULTS`, the same with faults; "random" or "ax" (the same map is made of frames at random
        places, or where bluesky-adaptive's Ax agent wants them); or "grid" (of coarse grids, with linear interpolation
        of the probability, or the nearest place's group).
    limit : int, optional
        Frames at most; 1.5 times the budget if not given, four times for random places, and the budget for Ax.
    """
    sample = task.sample(seed)
    camera = Camera(sample, model, seed, task.seconds, faults=FAULTS.get(kind, 0.0), tag=task.tag)
    if kind == "grid":
        return _grids(task, model, sample, camera)
    mapper = make(task.strategy, _AXES, tags=model.taxonomy.names, tag=task.tag, seed=seed)
    places = points_of(81)
    truth = truth_of(task, sample, places)

    def measure() -> float:
        return task.score(truth, task.found(mapper, places))

    if kind in ("random", "ax"):
        chooser: Any = _Anywhere(seed) if kind == "random" else AxPlaces(_AXES, str(task.tag), seed)
        limit = limit or task.budget * (4 if kind == "random" else 1)
        trace = []
        while camera.frames < limit:
            batch = chooser.suggest(limit - camera.frames)
            seen = camera.look(batch)
            chooser.ingest(seen)
            tell(mapper, batch, seen)
            trace.append((camera.frames, measure()))
        return _judge(trace, task, None), mapper
    return map_with(mapper, task, camera, sample, limit), mapper


def map_with(mapper: Any, task: MapTask, camera: Camera, sample: Map, limit: int | None = None) -> Run:
    """Let a strategy map a sample; return how it did. Parameters as of `run`."""
    places = points_of(81)
    truth = truth_of(task, sample, places)

    def measure() -> float:
        return task.score(truth, task.found(mapper, places))

    return _judge(*follow(mapper, camera, measure, limit or 3 * task.budget // 2, task))


class _Anywhere:
    """Random places, whatever was seen."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng([seed, 7])

    def suggest(self, most: int) -> np.ndarray:
        """Return the next places, (n, 2), `most` at most."""
        return self._chance.uniform(0, SIZE, (min(20, most), 2))

    def ingest(self, seen: Sequence[Any]) -> None:
        """Leave what was seen alone."""


def follow(strategy: Any, camera: Camera, measure: Callable[[], float], limit: int, task: Any) -> tuple[Any, ...]:
    """Expose where a strategy wants it up to a limit; return the trace, the task and where it would have stopped."""
    trace, stopped = [], None
    while camera.frames < limit:
        (point,) = strategy.suggest()
        (tags,) = camera.look(np.array([[point["x"], point["y"]]]))
        strategy.skip([point]) if tags is None else strategy.ingest([point | tags])
        stop = stopped is None and camera.frames % 5 == 0 and bool(strategy.should_stop())
        if stop or camera.frames % 5 == 0 or camera.frames == task.budget:
            trace.append((camera.frames, measure()))
        if stop:
            stopped = trace[-1]
    return trace, task, stopped


def tell(strategy: Any, places: np.ndarray, seen: Sequence[dict[str, float] | None]) -> None:
    """Tell a strategy what was seen at places that it did not suggest."""
    for (x, y), tags in zip(places.tolist(), seen, strict=True):
        if tags is not None:
            strategy.ingest([{"x": x, "y": y} | tags])


def _judge(trace: Sequence[tuple[int, float]], task: Any, stopped: tuple[int, float] | None) -> Run:
    frames = None
    for number, score in reversed(trace):
        if score < task.bar:
            break
        frames = number
    at_budget = [score for number, score in trace if number <= task.budget]
    return Run(frames, at_budget[-1] if at_budget else trace[0][1], *(stopped or (None, None)), tuple(trace))


def _grids(task: MapTask, model: TagModel, sample: Map, camera: Camera) -> tuple[Run, None]:
    places, trace = points_of(81), []
    truth = truth_of(task, sample, places)
    for side in _SIDES:
        grid = points_of(side)
        seen = [tags for tags in camera.look(grid) if tags is not None]
        if task.tag:
            found = griddata(grid, [tags[task.tag] for tags in seen], places, "linear") > 0.5
        else:
            mapper: Any = make(task.strategy, _AXES, tags=model.taxonomy.names)
            tell(mapper, grid, seen)
            groups = mapper.labels(grid)
            found = griddata(grid, groups, places, "nearest")
        trace.append((side**2, task.score(truth, found)))
        if trace[-1][1] >= task.bar:
            break
    return _judge(trace, task, None), None


@dataclass(frozen=True)
class _SeekBar:
    budget: int
    bar: float = -SEEK_WITHIN


def seek_run(model: TagModel, seed: int, kind: str) -> tuple[Run, Any]:
    """Let `seek` find the best place of three; the score is the distance from it, negative, in units of the range."""
    sample = Peaks(seed)
    limit = SEEK_FRAMES * 3 // 2 if kind in FAULTS else SEEK_FRAMES
    camera = Camera(sample, model, seed, _SEEK_SECONDS, faults=FAULTS.get(kind, 0.0), tag="ring")
    seeker: Any = make("seek", _AXES, tags=model.taxonomy.names, tag="ring", seed=seed)

    def measure() -> float:
        best = seeker.best()
        return -float(np.abs(np.array([best["x"], best["y"]]) - sample.best).max()) / SIZE

    bar = _SeekBar(limit)
    if kind == "adaptive" or kind in FAULTS:
        return _judge(*follow(seeker, camera, measure, limit, bar)), seeker
    places = np.random.default_rng([seed, 7]).uniform(0, SIZE, (limit, 2)) if kind == "random" else points_of(6)
    tell(seeker, places, camera.look(places))
    return _judge([(len(places), measure())], bar, None), seeker


def raster_doses(model: TagModel, seed: int, *, faulty: bool = False) -> dict[str, float]:
    """Let `skip_empty` decide after probes at each place of a raster.

    Returns
    -------
    dict
        `dose`, in units of that of the plain raster; `lost`, the number of places where powder prevails that were not
        exposed in full; `places` where it does; `empty`, the share of all others.
    """
    sample, places = Islands(seed), points_of(RASTER)
    camera = Camera(sample, model, seed, PROBE, faults=FAULTS["faulty"] if faulty else 0.0, tag="empty")
    names = model.taxonomy.names
    empty = condition("empty", names, of_one_frame=True)
    deciders = [SkipEmpty(empty, names, PROBES[faulty]) for _ in places]
    actions, undecided = np.full(len(places), "repeat"), np.arange(len(places))
    while len(undecided):
        for place, tags in zip(undecided, camera.look(places[undecided]), strict=True):
            scores = tags or {}
            accepted = model.taxonomy.accepted(scores.values(), model.thresholds) if tags else ()
            seen = TagRow(row=1, status="ok" if tags else "failed", tags=accepted, scores=scores)
            actions[place] = deciders[place].decide(seen).action
        undecided = np.flatnonzero(actions == "repeat")
    exposed = actions == "expose"
    powder = sample.fractions(places[:, 0], places[:, 1]).argmax(axis=0) == 1
    return {
        "dose": PROBE * camera.frames / len(places) + float(exposed.mean()),
        "lost": int((powder & ~exposed).sum()),
        "places": int(powder.sum()),
        "empty": float(1 - powder.mean()),
    }
