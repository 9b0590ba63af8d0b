"""What turns frames into taggings: threads of this process; the workers of a cluster do it in `cluster`."""

from __future__ import annotations

import logging
import os
import resource
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..documents import Status, Tagging
from ..errors import CatalogError, FrameError
from ..frames import Frame

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["BATCH", "Engine", "Threads", "batches", "peak_memory", "tag_frame"]

logger = logging.getLogger("bluesky_xtag")

BATCH = 16  # frames between two entries in the journal: what a kill costs at most, for each worker

_T = TypeVar("_T")


class Engine(Protocol):
    """Something that tags frames."""

    def tag(self, frames: Iterable[Frame]) -> Iterator[list[Tagging]]:
        """Yield the taggings of the frames in their order, a few at a time."""
        ...

    def peak_memory(self) -> list[int]:
        """Return the most memory that each process which tags has had so far, bytes."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


def peak_memory() -> int:
    """Return the most memory that this process has had so far, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Threads:
    """Tags frames in this process: while one is read, another is scored. Each thread holds one frame at a time.

    Parameters
    ----------
    model : TagModel
        The model.
    """

    def __init__(self, model: TagModel) -> None:
        self._model = model
        self._pool = ThreadPoolExecutor(os.cpu_count(), "xtag-replay")

    def tag(self, frames: Iterable[Frame]) -> Iterator[list[Tagging]]:
        """Yield the taggings of the frames in their order."""
        for batch in batches(frames):
            yield list(self._pool.map(lambda frame: tag_frame(self._model, frame), batch))

    def peak_memory(self) -> list[int]:
        """Return the most memory that this process has had so far, bytes."""
        return [peak_memory()]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def tag_frame(model: TagModel, frame: Frame) -> Tagging:
    """Read, prepare and score one frame, as live tagging does; what fails becomes the tagging's status.

    Raises
    ------
    CatalogError
        The server that has the pixels is away: nothing is known of the frame.
    """
    begin = time.perf_counter()

    def outcome(
        status: Status, reason: str = "", scores: tuple[float, ...] = (), tags: tuple[str, ...] = ()
    ) -> Tagging:
        seconds = time.perf_counter() - begin
        return Tagging(frame.id, status, scores, tags, latency=seconds, reason=reason)

    try:
        pixels = frame.pixels()
    except CatalogError:
        raise
    except Exception as error:  # noqa: BLE001 - handlers are foreign code: whatever they raise, it cannot be read
        return outcome("unreadable", f"{type(error).__name__}: {error}")
    try:
        (scores,) = model.predict([pixels], [frame.beam_centre], [frame.mask])
    except FrameError as error:
        return outcome("unreadable", f"{type(error).__name__}: {error}")
    except Exception as error:
        logger.exception("frame %s could not be scored", frame.id)
        return outcome("failed", f"{type(error).__name__}: {error}")
    tags = model.taxonomy.accepted(scores, model.thresholds)
    return outcome("ok", scores=tuple(float(score) for score in scores), tags=tags)


def batches(items: Iterable[_T], size: int = BATCH) -> Iterator[list[_T]]:
    """Yield lists of up to `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
