"""What tagging needs of a place where inference runs."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from typing import Protocol

from ...frames import Frame
from ...model import ServedModel
from ..scoring import Outcome

__all__ = ["Backend", "peak_memory"]


class Backend(Protocol):
    """A place where inference runs.

    It is handed frames, which are addresses of pixels, and reads these itself, wherever it is. Live tagging hands over
    a few frames at a time, from one thread of its own and never from the RunEngine's; a replay hands over all frames of
    a run.
    """

    @property
    def model(self) -> ServedModel:
        """The model whose tags these are; its network need not be in this process."""
        ...

    def tag(self, frames: Iterable[Frame]) -> Iterator[Outcome]:
        """Yield what came of each frame, in their order.

        Frames are taken only as they are needed, so that memory stays bounded however many there are. Nothing that
        happens to one frame may change what comes of another.

        Raises
        ------
        CatalogError
            The server that has the pixels is away: nothing is known of the frames that were not yielded.
        XTagError
            The backend itself is gone.
        """
        ...

    def peak_memory(self) -> list[int]:
        """Return the most memory that each process which tags has had so far, bytes."""
        ...

    def close(self) -> None:
        """Free what the backend holds; more calls do no harm."""
        ...


def peak_memory() -> int:
    """Return the most memory that this process has had so far, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
