"""Inference in threads of this process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ...frames import Frame
from ...model import DaemonThreads
from ..scoring import Outcome, batches, tag_frame
from .backend import peak_memory

if TYPE_CHECKING:
    from ...model import TagModel

__all__ = ["ThreadsBackend"]


class ThreadsBackend:
    """Runs the model in all cores: while one frame is read, another is scored. Each thread holds one frame at a time.

    Parameters
    ----------
    model : TagModel
        The model; it is warmed here, so that the first frame need not wait.
    """

    def __init__(self, model: TagModel) -> None:
        self.model = model
        model.warm()
        self._pool = DaemonThreads(os.cpu_count() or 1, "xtag-frames")

    def tag(self, frames: Iterable[Frame]) -> Iterator[Outcome]:
        """Yield what came of each frame, in their order."""
        for batch in batches(frames):
            yield from self._pool.map(lambda frame: tag_frame(self.model, frame), batch)

    def peak_memory(self) -> list[int]:
        """Return the most memory that this process has had so far, bytes."""
        return [peak_memory()]

    def close(self) -> None:
        """Nothing to free: the threads end with their last reference."""
