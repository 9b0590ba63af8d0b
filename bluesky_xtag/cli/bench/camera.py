"""A simulated sample in front of the model, with the faults that a night at the beam may have."""

from __future__ import annotations

import numpy as np

from ...model import TagModel
from ...simulate import SIZE, Exposed, Map

__all__ = ["FAULTS", "Camera"]

FAULTS = {"faulty": 0.05, "very_faulty": 0.1}
"""Share of the frames that are tagged wrongly, and of those that are not tagged at all, by kind of scan."""


class Camera:
    """Exposes frames with counting noise, and tags them with a model.

    Parameters
    ----------
    what : Map
        The sample.
    model : TagModel
    seed : int
        Of the noise and of the faults.
    seconds : float
        Exposure of a frame.
    faults : float
        Share of the frames whose tags are left out, and of those that get wrong ones.
    tag : str, optional
        A wrong frame has 1 - p in place of the probability p of this tag. If it is not given, a wrong frame has the
        tags of another phase, seen at another place.

    Attributes
    ----------
    frames : int
        How many were exposed, those without tags included.
    """

    def __init__(
        self, what: Map, model: TagModel, seed: int, seconds: float, *, faults: float = 0.0, tag: str | None = None
    ) -> None:
        self.map, self.frames = what, 0
        self._model, self._seconds, self._tag = model, seconds, tag
        self._exposed = Exposed(what, seed, model.preparation)
        self._chance = np.random.default_rng([seed, 6])
        self._faults = faults

    def look(self, places: np.ndarray) -> list[dict[str, float] | None]:
        """Return the tags of a frame at each place (n, 2) in mm; None where there are none."""
        wrong, missing = (self._chance.random(len(places)) < self._faults for _ in range(2))
        seen = np.array(places, float)
        for row in np.flatnonzero(wrong) if self._tag is None else ():
            seen[row] = self._elsewhere(places[row])
        scores = self._model.infer([self._exposed(x, y, self._seconds) for x, y in seen])
        self.frames += len(places)
        rows = [dict(zip(self._model.taxonomy.names, map(float, row), strict=True)) for row in scores]
        if self._tag is not None:
            for row, lie in zip(rows, wrong, strict=True):
                row[self._tag] = 1 - row[self._tag] if lie else row[self._tag]
        return [None if lost else row for row, lost in zip(rows, missing, strict=True)]

    def _elsewhere(self, place: np.ndarray) -> np.ndarray:
        here = self.map.fractions(*place).argmax()
        while True:
            other = self._chance.uniform(0, SIZE, 2)
            if self.map.fractions(*other).argmax() != here:
                return other
