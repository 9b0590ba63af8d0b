"""From a frame to its tagging: read, prepare, score, and say what went wrong; the same for live tagging and replays."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from ..documents import FrameId, Status, Tagging
from ..errors import CatalogError, FrameError, FrameNotReady, XTagValueError
from ..frames import Frame

if TYPE_CHECKING:
    from ..model import PackedImage, Taxonomy

__all__ = ["BATCH", "NotReady", "Outcome", "Scorer", "batches", "finish", "say", "tag_frame", "tag_together"]

logger = logging.getLogger("bluesky_xtag")

BATCH = 16  # frames that are scored together, and that a replay writes down together
_T = TypeVar("_T")


@dataclass(frozen=True)
class NotReady:
    """A frame whose pixels cannot be read yet.

    Parameters
    ----------
    frame : FrameId
        Which frame.
    reason : str
        What is not there.
    """

    frame: FrameId
    reason: str


Outcome = Tagging | NotReady


class Scorer(Protocol):
    """What scores pixels: a `bluesky_xtag.TagModel`, or what behaves like one.

    One that has an attribute `unpacks` that is true is given images that are still compressed, too, see
    `bluesky_xtag.model.PackedImage`.
    """

    taxonomy: Taxonomy
    thresholds: np.ndarray

    def predict(
        self,
        images: Sequence[np.ndarray | PackedImage],
        beam_centres: Sequence[tuple[float, float] | None],
        masks: Sequence[np.ndarray | None],
    ) -> np.ndarray:
        """Return scores, shape (n, tags), of n raw images (rows, columns)."""
        ...


def tag_frame(model: Scorer, frame: Frame) -> Outcome:
    """Read, prepare and score one frame; what fails becomes the tagging's status.

    Raises
    ------
    CatalogError
        The server that has the pixels is away: nothing is known of the frame.
    """
    (outcome,) = tag_together(model, [frame])
    return outcome


def tag_together(model: Scorer, frames: Iterable[Frame]) -> list[Outcome]:
    """Read frames one after the other and score them in one call; where that fails, each alone.

    Arguments and errors are those of `tag_frame`. The outcomes have the order of the frames.
    """
    outcomes: list[Outcome | None] = []
    read: list[_Read] = []
    for frame in frames:
        begin = time.perf_counter()
        found = _read(frame, begin, packed=getattr(model, "unpacks", False))
        if isinstance(found, Tagging | NotReady):
            outcomes.append(found)
        else:
            read.append(_Read(len(outcomes), frame, found, begin))
            outcomes.append(None)
    for each, outcome in zip(read, _score(model, read), strict=True):
        outcomes[each.place] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def finish(outcome: Outcome) -> Tagging:
    """Return the tagging where nobody waits for a frame that is not ready: it is unreadable."""
    return Tagging(outcome.frame, "unreadable", reason=outcome.reason) if isinstance(outcome, NotReady) else outcome


def say(error: BaseException) -> str:
    """Return an error as the reason of a row."""
    return f"{type(error).__name__}: {error}"


def batches(items: Iterable[_T], size: int = BATCH) -> Iterator[list[_T]]:
    """Yield lists of up to `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


@dataclass(frozen=True, eq=False, slots=True)
class _Read:
    place: int
    frame: Frame
    pixels: np.ndarray | PackedImage
    begin: float

    def tagging(
        self, status: Status, reason: str = "", scores: Sequence[float] = (), tags: Sequence[str] = ()
    ) -> Tagging:
        latency = time.perf_counter() - self.begin
        return Tagging(self.frame.id, status, tuple(map(float, scores)), tuple(tags), latency, reason)


def _read(frame: Frame, begin: float, packed: bool) -> np.ndarray | PackedImage | Outcome:
    try:
        return frame.packed() if packed else frame.pixels()
    except CatalogError:
        raise
    except FrameNotReady as error:
        return NotReady(frame.id, say(error))
    except Exception as error:  # noqa: BLE001 - handlers are foreign code: whatever they raise, it cannot be read
        return Tagging(frame.id, "unreadable", latency=time.perf_counter() - begin, reason=say(error))


def _score(model: Scorer, read: Sequence[_Read]) -> list[Outcome]:
    if not read:
        return []
    frames = [each.frame for each in read]
    try:
        scores = np.asarray(
            model.predict(
                [each.pixels for each in read],
                [frame.beam_centre for frame in frames],
                [frame.mask for frame in frames],
            )
        )
        if scores.shape != (len(read), len(model.taxonomy)):
            raise XTagValueError(f"the model returned scores of shape {scores.shape}")
    except Exception as error:
        if len(read) > 1:  # find the frame that is to blame; the others keep their tags
            return [outcome for each in read for outcome in _score(model, [each])]
        if isinstance(error, FrameNotReady):  # an image that was still compressed
            return [NotReady(read[0].frame.id, say(error))]
        if isinstance(error, FrameError):
            return [read[0].tagging("unreadable", say(error))]
        logger.warning("frame %s could not be scored: %s", read[0].frame.id, say(error))
        return [read[0].tagging("failed", say(error))]
    return [
        each.tagging("ok", scores=row, tags=model.taxonomy.accepted(row, model.thresholds))
        for each, row in zip(read, scores, strict=True)
    ]
