"""Inference in this process, on the thread that asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ...frames import Frame
from ..scoring import BATCH, Outcome, tag_together
from .backend import peak_memory

if TYPE_CHECKING:
    from ...model import TagModel

__all__ = ["InlineBackend"]


class InlineBackend:
    """Runs the model in this process; the preparation and the network let other threads run meanwhile.

    Parameters
    ----------
    model : TagModel
        The model; it is warmed here, so that the first frame need not wait.
    """

    def __init__(self, model: TagModel) -> None:
        self.model = model
        model.warm()

    def tag(self, frames: Iterable[Frame]) -> Iterator[Outcome]:
        """Yield what came of each frame, in their order; a few are read and scored together."""
        wanted = iter(frames)
        while outcomes := tag_together(self.model, islice(wanted, BATCH)):
            yield from outcomes

    def peak_memory(self) -> list[int]:
        """Return the most memory that this process has had so far, bytes."""
        return [peak_memory()]

    def close(self) -> None:
        """Nothing to free: the model goes with its last reference."""
