"""Inference in this process, on the thread that asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ...frames import Frame
from ..scoring import BATCH, Outcome, tag_together
from .backend import peak_memory
from .prepared import forget_oldest, take_newest

if TYPE_CHECKING:
    import numpy as np

    from ...documents import FrameId
    from ...model import Inputs, TagModel

__all__ = ["InlineBackend"]


class InlineBackend:
    """Runs the model in this process; the preparation and the network let other threads run meanwhile.

    Parameters
    ----------
    model : TagModel
        The model; it is warmed here, so that the first frame need not wait.
    """

    keeps = False  # what the network saw of the last frames, for `take_prepared`

    def __init__(self, model: TagModel) -> None:
        self.model = model
        model.warm()
        self._kept: dict[FrameId, Inputs] = {}

    def tag(self, frames: Iterable[Frame]) -> Iterator[Outcome]:
        """Yield what came of each frame, in their order; a few are read and scored together."""
        wanted = iter(frames)
        kept = self._kept if self.keeps else None
        while outcomes := tag_together(self.model, islice(wanted, BATCH), kept):
            forget_oldest(self._kept)
            yield from outcomes

    def take_prepared(self, most: int) -> dict[FrameId, dict[str, np.ndarray]]:
        """Return what the network saw of the last frames, at most so many, if `keeps` is true; and forget it."""
        return take_newest(self._kept, most)

    def peak_memory(self) -> list[int]:
        """Return the most memory that this process has had so far, bytes."""
        return [peak_memory()]

    def close(self) -> None:
        """Nothing to free: the model goes with its last reference."""
