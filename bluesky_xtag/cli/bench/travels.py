"""How long maps take with motors that need time, next to the best order of their places in hindsight."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model import TagModel
from ...plans import Axis, Motion, make
from ...simulate import SIZE
from .camera import Camera
from .hindsight import shortest_seconds
from .tasks import TASKS, map_with

__all__ = ["MOTIONS", "travel_run"]

MOTIONS = {
    "slow": Motion(velocity=1.0, acceleration=0.2, settling=0.1, frame=1.0),
    "fast": Motion(velocity=5.0, acceleration=0.2, settling=0.1, frame=0.2),
}
"""Both motors of a stage: a slow one with frames of a second, and a fast one with frames of 0.2 s; mm and seconds."""


def travel_run(model: TagModel, name: str, motion: Motion, seed: int) -> dict[str, Any]:
    """Let a strategy that knows the motors make a map, and one that does not.

    Returns
    -------
    dict
        Of the strategy that knows them: `frames` to the bar of the map, None if it was not reached; `seconds` for these
        frames and the travel between them; `best`, the same in the best order of the same places; and `unaware`, what
        the strategy that does not know them needs to its own bar.
    """
    frames, seconds, best = _mapped(model, name, motion, seed, knows=True)
    _, unaware, _ = _mapped(model, name, motion, seed, knows=False)
    return {"frames": frames, "seconds": seconds, "best": best, "unaware": unaware}


def _mapped(model: TagModel, name: str, motion: Motion, seed: int, *, knows: bool) -> tuple[int | None, float, float]:
    task = TASKS[name]
    axes = {axis: Axis(axis, 0.0, SIZE, motion=motion if knows else None) for axis in ("x", "y")}
    camera = _Recorder(task.sample(seed), model, seed, task.seconds, tag=task.tag)
    mapper = make(task.strategy, axes, tags=model.taxonomy.names, tag=task.tag, seed=seed)
    outcome = map_with(mapper, task, camera, task.sample(seed))
    places = np.array(camera.places[: outcome.frames])
    distances = np.abs(places[:, None] - places[None])
    moves = motion.seconds(distances).max(axis=-1)  # motors move at the same time
    exposing = motion.frame * len(places)
    taken = float(np.diagonal(moves, 1).sum())
    return outcome.frames, taken + exposing, (shortest_seconds(moves) if knows else taken) + exposing


class _Recorder(Camera):
    """A camera that knows where its frames were taken."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.places: list[list[float]] = []

    def look(self, places: np.ndarray) -> list[dict[str, float] | None]:
        """Return the tags of a frame at each place."""
        self.places += places.tolist()
        return super().look(places)
