"""All tagged frames of some runs as columns, so that a page can filter and sort them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..documents import MODEL
from ..model import DEFAULT_TAXONOMY
from .run_frames import RunFrames

__all__ = ["FrameColumns"]


@dataclass(frozen=True, eq=False)
class FrameColumns:
    """All frames of some runs as columns.

    Parameters
    ----------
    runs : sequence of RunFrames
        In the order of their numbers; the columns are joined in this order.
    version : int
        Grows whenever something in them changes.
    """

    runs: Sequence[RunFrames]
    version: int

    @cached_property
    def tags(self) -> list[str]:
        """Every tag of any run: those of the default taxonomy first, in its order."""
        known = dict.fromkeys(tag for run in self.runs for tag in run.names)
        first = [tag for tag in DEFAULT_TAXONOMY.names if tag in known]
        return [*first, *(tag for tag in known if tag not in DEFAULT_TAXONOMY.names)]

    @cached_property
    def run(self) -> np.ndarray:
        """(frames,) int32, the number of each frame's run."""
        return self._join([np.full(len(run), run.number, np.int32) for run in self.runs], np.int32)

    @cached_property
    def position(self) -> np.ndarray:
        """(frames,) int32, the position of each frame in its run."""
        return self._join([np.arange(len(run), dtype=np.int32) for run in self.runs], np.int32)

    @cached_property
    def time(self) -> np.ndarray:
        """(frames,) float64, seconds since 1970."""
        return self._join([run.times for run in self.runs], float)

    @cached_property
    def began(self) -> np.ndarray:
        """(frames,) float64, when the run of each frame began."""
        return self._join([np.full(len(run), run.about["time"]) for run in self.runs], float)

    @cached_property
    def status(self) -> np.ndarray:
        """(frames,) int8, positions in `STATUSES`."""
        return self._join([run.statuses for run in self.runs], np.int8)

    @cached_property
    def scores(self) -> np.ndarray:
        """(frames, tags) float32; NaN for tags that the model of a frame does not know."""
        found = np.full((len(self.run), len(self.tags)), np.nan, np.float32)
        for run, rows in self._parts():
            found[rows, [self._at[tag] for tag in run.tags]] = run.scores
        return found

    @cached_property
    def accepted(self) -> np.ndarray:
        """(frames, tags) bool, after corrections."""
        found = np.zeros((len(self.run), len(self.tags)), bool)
        for run, rows in self._parts():
            found[rows, [self._at[tag] for tag in run.names]] = run.held
        return found

    @cached_property
    def decided(self) -> np.ndarray:
        """(frames,) of str: "model", or who corrected the frame last."""
        return self._join([run.decided for run in self.runs], object)

    @cached_property
    def corrected(self) -> np.ndarray:
        """(frames,) bool."""
        return self.decided != MODEL

    @cached_property
    def doubt(self) -> np.ndarray:
        """(frames,) the expected number of wrong tags, see `bluesky_xtag.review`; 0 where somebody decided."""
        wrong = np.nan_to_num(np.where(self.accepted, 1 - self.scores, self.scores), nan=0.0).sum(axis=1)
        return np.where(self.corrected, 0.0, wrong)

    @cached_property
    def novelty(self) -> np.ndarray:
        """(frames,) distance of the scores to the nearest corrected frame, or to the mean of all if there is none."""
        from scipy.spatial import KDTree

        vectors = np.nan_to_num(self.scores)
        if not len(vectors):
            return np.zeros(0)
        known = vectors[self.corrected & (self.status == 0)]
        near = KDTree(known if len(known) else vectors.mean(axis=0, keepdims=True))
        return np.where(self.status == 0, near.query(vectors, workers=1)[0], 0.0)

    @cached_property
    def motors(self) -> list[str]:
        """The names of all motors that moved in any run."""
        return list(dict.fromkeys(motor for run in self.runs for motor in run.moved))

    def motor(self, name: str) -> np.ndarray:
        """Return the positions of a motor, (frames,) float64; NaN for runs that did not move it."""
        nothing = [np.full(len(run), np.nan) for run in self.runs]
        return self._join([run.moved.get(name, none) for run, none in zip(self.runs, nothing, strict=True)], float)

    @cached_property
    def _at(self) -> dict[str, int]:
        return {tag: place for place, tag in enumerate(self.tags)}

    def _parts(self) -> Iterator[tuple[RunFrames, slice]]:
        """Yield each run, and where its frames are in the columns."""
        first = 0
        for run in self.runs:
            yield run, slice(first, first + len(run))
            first += len(run)

    @staticmethod
    def _join(parts: list[np.ndarray], dtype: Any) -> np.ndarray:
        return np.concatenate(parts) if parts else np.zeros(0, dtype)
