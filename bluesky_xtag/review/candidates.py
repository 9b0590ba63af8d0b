"""Which frames of files a person is asked about, in which order, and what a model proposes for them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ..errors import FrameError, XTagValueError, hide_secrets
from ..frames import Frame, without_hint
from .propose import doubts, farthest_first

if TYPE_CHECKING:
    from ..model import PackedImage, TagModel, Taxonomy

__all__ = [
    "Candidate",
    "LabelOrder",
    "Proposer",
    "check_order",
    "draw_frames",
    "order_candidates",
    "say",
    "score_frame",
    "score_frames",
]

logger = logging.getLogger("bluesky_xtag")

LabelOrder = Literal["novel", "uncertain", "random", "files"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A frame that may be labelled.

    Parameters
    ----------
    frame : Frame
        The frame.
    scores : numpy.ndarray
        (tags,) in the order of the model's taxonomy; empty if it was not scored.
    reason : str
        Why it cannot be read, "" if it can.
    """

    frame: Frame
    scores: np.ndarray = field(default_factory=lambda: np.empty(0))
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Proposer:
    """What a model says of a frame before a person does.

    Parameters
    ----------
    name : str
        Name and version of the model, "" if it says nothing.
    taxonomy : Taxonomy
        Its tags, in the order of the scores.
    thresholds : numpy.ndarray
        (tags,) from which score on it proposes a tag.
    """

    name: str
    taxonomy: Taxonomy
    thresholds: np.ndarray

    def propose(self, scores: np.ndarray) -> dict[str, tuple[bool, float]]:
        """Return for each tag whether the model accepts it, and the score; nothing for a frame without scores."""
        if not (self.name and scores.size):
            return {}
        each = zip(self.taxonomy.names, scores, self.thresholds, strict=True)
        return {tag: (bool(score >= threshold), float(score)) for tag, score, threshold in each}


def check_order(order: str) -> None:
    """Raise XTagValueError if there is no such order."""
    if order not in get_args(LabelOrder):
        raise XTagValueError(f"order={order!r} is not known: choose one of {', '.join(get_args(LabelOrder))}")


def draw_frames(frames: Sequence[Frame], order: LabelOrder | str, count: int, seed: int) -> list[Frame]:
    """Return the frames that are looked at.

    Parameters
    ----------
    frames : sequence of Frame
        All frames of all files.
    order : {"novel", "uncertain", "random", "files"}
        "files": all, as they are. "random": all, shuffled: each frame has the same chance. The others choose among
        `count` frames that are drawn from all files in turn, so that a long file does not crowd out the others.
    count : int
        How many frames scores are worth computing for.
    seed : int
        The same one draws the same frames from the same files.
    """
    if order == "files":
        return list(frames)
    rng = np.random.default_rng(seed)
    shuffled = [frames[at] for at in rng.permutation(len(frames))]
    if order == "random":
        return shuffled
    files: dict[str, list[Frame]] = {}
    for frame in shuffled:
        files.setdefault(frame.id.run, []).append(frame)
    turns = zip_longest(*files.values())
    return [frame for turn in turns for frame in turn if frame is not None][:count]


def score_frames(model: TagModel, frames: Iterable[Frame]) -> Iterator[Candidate]:
    """Read and score frames, some at a time side by side; their order stays."""
    waiting = iter(frames)
    with ThreadPoolExecutor(os.cpu_count(), "xtag-label") as threads:
        while some := list(islice(waiting, 2 * (os.cpu_count() or 1))):
            yield from threads.map(lambda frame: score_frame(model, frame), some)


def order_candidates(
    candidates: Sequence[Candidate], order: LabelOrder | str, thresholds: np.ndarray, labelled: Sequence[bool]
) -> list[Candidate]:
    """Return the candidates that are not labelled, those first that a person should look at first.

    Parameters
    ----------
    candidates : sequence of Candidate
        Those that cannot be read come last.
    order : {"novel", "uncertain", "random", "files"}
        "novel": the frames whose scores are farthest from those of labelled ones and of those before them, see
        `farthest_first`. "uncertain": those with the largest expected number of wrong proposals, see `doubts`.
        The others leave the order as it is.
    thresholds : numpy.ndarray
        (tags,) from which score on the model proposes a tag.
    labelled : sequence of bool
        Of each candidate, whether it is labelled.
    """
    open_ = [each for each, done in zip(candidates, labelled, strict=True) if not done]
    if order not in ("novel", "uncertain"):
        return open_
    scored = [each for each in open_ if each.scores.size]
    rest = [each for each in open_ if not each.scores.size]
    if not scored:
        return rest
    scores = np.array([each.scores for each in scored])
    if order == "uncertain":
        first = np.argsort(-doubts(scores, scores >= thresholds).sum(axis=1), kind="stable")
    else:
        every = [each.scores for each in candidates if each.scores.size]
        known = [each.scores for each, done in zip(candidates, labelled, strict=True) if done and each.scores.size]
        # The mean is known from the start, so that a session that goes on has the order of one that never stopped.
        first, _ = farthest_first(scores, np.array([np.mean(every, axis=0), *known]), len(scores))
    return [scored[at] for at in first] + rest


def score_frame(model: TagModel, frame: Frame) -> Candidate:
    """Read and score one frame; why it cannot be read, if so, is in the candidate."""
    try:
        image: np.ndarray | PackedImage = frame.packed() if getattr(model, "unpacks", False) else frame.pixels()
    except Exception as error:  # readers of formats are foreign code
        return Candidate(frame, reason=say(error))
    try:
        return Candidate(frame, model.predict([image], [frame.beam_centre], [frame.mask])[0])
    except FrameError as error:
        return Candidate(frame, reason=say(error))
    except Exception:  # people can label it without
        logger.warning("%s could not be scored, so nothing is proposed for it", frame.id.run, exc_info=True)
        return Candidate(frame)


def say(error: BaseException) -> str:
    """Return why a frame cannot be read."""
    return hide_secrets(without_hint(error))
