"""From a frame to its tagging: read, prepare, score, and say what went wrong; the same for live tagging and replays."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from ..documents import STATUSES, FrameId, Status, Tagging
from ..errors import CatalogError, FileHeld, FrameError, FrameNotReady, XTagValueError, hide_secrets
from ..frames import Frame, is_first, warm, without_hint
from ..model import unbroken

if TYPE_CHECKING:
    from ..model import Inputs, PackedImage, TagModel, Taxonomy

__all__ = [
    "BATCH",
    "NotReady",
    "Outcome",
    "Scorer",
    "batches",
    "check_scores",
    "keeps_inputs",
    "finish",
    "prepare_frame",
    "read_frame",
    "say",
    "score_prepared",
    "tag_frame",
    "tag_together",
    "warm_for",
]

logger = logging.getLogger("bluesky_xtag")

_LOOKS = 3  # frames of a run whose numbers are looked at for a word in the log
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
    held : str
        The file, if its writer has it open without SWMR: trying again is in vain until it is closed.
    """

    frame: FrameId
    reason: str
    held: str = ""


Outcome = Tagging | NotReady


class Scorer(Protocol):
    """What scores pixels: a `bluesky_xtag.TagModel`, or what behaves like one.

    One that has an attribute `unpacks` that is true is given images that are still compressed, too, see
    `bluesky_xtag.model.PackedImage`. One whose taxonomy has graded tags has a method `predict_all`, too, as a
    `TagModel` has it, which returns scores and strengths.
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


@unbroken()
def tag_together(model: Scorer, frames: Iterable[Frame], kept: dict[FrameId, Inputs] | None = None) -> list[Outcome]:
    """Read frames one after the other and score them in one call; where that fails, each alone.

    Arguments and errors are those of `tag_frame`. The outcomes have the order of the frames. If `kept` is given, it
    gets what the network saw of the frames, if the model prepares them itself (see `keeps_inputs`).
    """
    outcomes: list[Outcome | None] = []
    read: list[_Read] = []
    for frame in frames:
        begin = time.perf_counter()
        found = read_frame(frame, begin, packed=getattr(model, "unpacks", False))
        if isinstance(found, Tagging | NotReady):
            outcomes.append(found)
        else:
            read.append(_Read(len(outcomes), frame, found, begin))
            outcomes.append(None)
    for each, outcome in zip(read, _score(model, read, kept), strict=True):
        outcomes[each.place] = outcome
    for each in read:
        _say_what_numbers_are(each)
    return [outcome for outcome in outcomes if outcome is not None]


def keeps_inputs(model: Any) -> bool:
    """Tell whether a model prepares frames itself and can score what another one has prepared."""
    return callable(getattr(model, "infer_all", None)) and callable(getattr(model, "preparation", None))


@unbroken()
def prepare_frame(model: TagModel, frame: Frame) -> Inputs | Outcome:
    """Read and prepare a frame; return what the network sees of it, or what came of it if that cannot be had.

    Raises
    ------
    CatalogError
        The server that has the pixels is away: nothing is known of the frame.
    """
    begin = time.perf_counter()
    found = read_frame(frame, begin, packed=getattr(model, "unpacks", False))
    if isinstance(found, Tagging | NotReady):
        return found
    read = _Read(0, frame, found, begin)
    try:
        inputs = model.preparation(found, frame.beam_centre, frame.mask)
    except Exception as error:  # noqa: BLE001 - whatever the pixels do to it
        return _fault(read, error)
    _say_what_numbers_are(read)
    return inputs


@unbroken()
def score_prepared(model: TagModel, frames: Sequence[FrameId], prepared: Sequence[Inputs]) -> list[Outcome]:
    """Score frames that `prepare_frame` prepared, one after the other."""
    begin = time.perf_counter()
    network: Any = _Network(model)
    none: Any = None
    return [
        _score(network, [_Read(0, Frame(identity, None, None, none), cast(Any, inputs), begin)])[0]
        for identity, inputs in zip(frames, prepared, strict=True)
    ]


def finish(outcome: Outcome, device: str = "") -> Tagging:
    """Return the tagging where nobody waits for a frame that is not ready: it is unreadable.

    `device` scored the frame if the outcome does not say what did.
    """
    if isinstance(outcome, NotReady):
        return Tagging(outcome.frame, "unreadable", reason=outcome.reason)
    tagging = check_scores(outcome)
    if device and tagging.status == "ok" and not tagging.device:
        return replace(tagging, device=device)
    return tagging


def check_scores(tagging: Tagging, taxonomy: Taxonomy | None = None) -> Tagging:
    """Return a tagging as it is, or as "failed" if its status or its scores are none, whatever gave them.

    A score is a number from 0 to 1, and a strength is finite; `taxonomy` says how many there must be.
    """
    if tagging.status in STATUSES and tagging.status != "ok":
        return tagging
    bad = next((score for score in tagging.scores if not 0.0 <= score <= 1.0), None)  # NaN is not between any two
    if tagging.status != "ok":
        reason = f"the backend gave the status {tagging.status!r}, which is none"
    elif bad is not None:
        reason = f"the model gave the score {bad:g}: a score is a number from 0 to 1"
    elif not all(map(math.isfinite, tagging.strengths)):
        reason = "the model gave a strength that is not a number"
    elif taxonomy is not None and len(tagging.scores) != len(taxonomy):
        reason = f"the backend gave {len(tagging.scores)} scores for {len(taxonomy)} tags"
    elif taxonomy is not None and len(tagging.strengths) != len(taxonomy.graded):
        reason = f"the backend gave {len(tagging.strengths)} strengths for {len(taxonomy.graded)} graded tags"
    else:
        return tagging
    return replace(tagging, status="failed", scores=(), tags=(), reason=reason, device="", strengths=())


def say(error: BaseException) -> str:
    """Return an error as the reason of a row."""
    return hide_secrets(f"{type(error).__name__}: {without_hint(error)}")


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
        self,
        status: Status,
        reason: str = "",
        scores: Sequence[float] = (),
        tags: Sequence[str] = (),
        device: str = "",
        strengths: Sequence[float] = (),
    ) -> Tagging:
        latency = time.perf_counter() - self.begin
        numbers = tuple(map(float, scores)), tuple(map(float, strengths))
        return Tagging(self.frame.id, status, numbers[0], tuple(tags), latency, reason, device, numbers[1])


def read_frame(frame: Frame, begin: float, packed: bool) -> np.ndarray | PackedImage | Outcome:
    """Return the pixels of a frame, or what came of it if they cannot be read; `begin` is when it was taken up.

    Raises
    ------
    CatalogError
        The server that has the pixels is away: nothing is known of the frame.
    """
    try:
        return frame.packed() if packed else frame.pixels()
    except CatalogError:
        raise
    except FrameNotReady as error:
        return NotReady(frame.id, say(error), _held(error))
    except Exception as error:  # noqa: BLE001 - handlers are foreign code: whatever they raise, it cannot be read
        return Tagging(frame.id, "unreadable", latency=time.perf_counter() - begin, reason=say(error))


def warm_for(model: TagModel) -> None:
    """Import what reading and scoring need in this process, so that the first frame is as quick as the others."""
    warm(packed=getattr(model, "unpacks", False))
    from ..model import describe_counts  # noqa: F401


def _say_what_numbers_are(read: _Read) -> None:
    """Log once a run what is assumed of numbers that are no counts; nothing that it meets costs the frame its tags."""
    frame = read.frame
    if not any(is_first(frame.id, f"numbers {look}") for look in range(_LOOKS)):
        return
    try:
        from ..model import describe_counts

        told = describe_counts(_some_rows(read.pixels))
    except Exception:
        logger.debug("it is not known what the numbers of %s are", frame.id, exc_info=True)
        return
    if told and is_first(frame.id, "numbers told"):
        logger.warning("The numbers of %s in run %s %s", frame.id.key or "the images", frame.id.run, told)


def _some_rows(image: np.ndarray | PackedImage) -> np.ndarray:
    """Return an image without what is masked; of one that is still compressed, the first rows."""
    if isinstance(image, np.ma.MaskedArray):
        return image.filled(0)
    if isinstance(image, np.ndarray):
        return image
    rows = np.empty((-(-image.shape[0] // 3), image.shape[1]), image.dtype)
    with image.rows() as source:
        source.fill(rows)
    if image.mask is not None:
        rows[image.mask[: len(rows)]] = 0
    return rows


def _score(model: Scorer, read: Sequence[_Read], kept: dict[FrameId, Inputs] | None = None) -> list[Outcome]:
    if not read:
        return []
    frames = [each.frame for each in read]
    inputs: dict[int, Inputs] | None = {} if kept is not None and keeps_inputs(model) else None
    try:
        scores, strengths = _predict(
            model,
            [each.pixels for each in read],
            [frame.beam_centre for frame in frames],
            [frame.mask for frame in frames],
            kept=inputs,
        )
    except Exception as error:
        if len(read) > 1:  # find the frame that is to blame; the others keep their tags
            return [outcome for each in read for outcome in _score(model, [each], kept)]
        return [_fault(read[0], error)]
    if kept is not None:
        kept.update((frames[number].id, each) for number, each in sorted((inputs or {}).items()))
    device = str(getattr(model, "device", ""))
    return [
        check_scores(each.tagging("ok", "", row, model.taxonomy.accepted(row, model.thresholds), device, strong))
        for each, row, strong in zip(read, scores, strengths, strict=True)
    ]


def _predict(
    model: Any, *of_frames: Sequence[Any], kept: dict[int, Inputs] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores and the strengths of frames."""
    count, taxonomy = len(of_frames[0]), model.taxonomy
    if kept is not None:
        scores, strengths = model.predict_all(*of_frames, kept=kept)
    elif taxonomy.graded:
        scores, strengths = map(np.asarray, model.predict_all(*of_frames))
    else:
        scores, strengths = np.asarray(model.predict(*of_frames)), np.empty((count, 0))
    for found, names, what in ((scores, taxonomy.names, "scores"), (strengths, taxonomy.graded, "strengths")):
        if found.shape != (count, len(names)):
            raise XTagValueError(f"the model returned {what} of shape {found.shape}")
    return scores, strengths


def _fault(read: _Read, error: Exception) -> Outcome:
    """Return what came of a frame that could not be prepared or scored."""
    if isinstance(error, FrameNotReady):  # an image that was still compressed
        return NotReady(read.frame.id, say(error), _held(error))
    if isinstance(error, FrameError):
        return read.tagging("unreadable", say(error))
    logger.warning("frame %s could not be scored: %s", read.frame.id, say(error))
    return read.tagging("failed", say(error))


@dataclass(frozen=True)
class _Network:
    """Scores what is prepared already."""

    model: TagModel

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def predict(self, prepared: Sequence[Inputs], centres: Any, masks: Any) -> np.ndarray:
        """Return the scores, shape (n, tags)."""
        return self.model.infer(prepared)

    def predict_all(self, prepared: Sequence[Inputs], centres: Any, masks: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores, (n, tags), and the strengths, (n, graded tags)."""
        return self.model.infer_all(prepared)


def _held(error: FrameNotReady) -> str:
    return error.path if isinstance(error, FileHeld) else ""
