"""Label the images of files from nothing: which tags, which frames, and where the labels go."""

from __future__ import annotations

import getpass
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import XTagValueError
from ..frames import Frame, FrameSelection, LabelStore, Mask, RootMap, each_once, matching_files
from .candidates import (
    Candidate,
    LabelOrder,
    Proposer,
    check_order,
    draw_frames,
    order_candidates,
    score_frame,
    score_frames,
)
from .labelling import Labelling, is_labelled

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["LabelledFiles", "label_files"]

_FEWEST_DRAWN, _DRAWN_EACH = 200, 10  # frames that are scored, for each that shall be labelled
_BY_SCORES = ("novel", "uncertain")

Track = Callable[[Iterator[Candidate], int], Iterable[Candidate]]


@dataclass(frozen=True)
class LabelledFiles:
    """What came of a session.

    Parameters
    ----------
    labelled : int
        How many frames the file of labels has now.
    added, skipped, known : int
        How many frames were labelled and skipped, and how many were left out because the file has the same pixels.
    sources : int
        How many sources the frames of the file have.
    left : int
        How many frames are still to be labelled, of those that were asked for.
    stopped : bool
        Whether the person stopped before there were no more frames.
    unreadable : mapping of str to str
        The frames that could not be read, and the reasons.
    """

    labelled: int
    added: int
    skipped: int
    known: int
    sources: int
    left: int
    stopped: bool
    unreadable: Mapping[str, str] = field(default_factory=dict)


def label_files(
    files: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    show: Callable[[Labelling], None],
    n: int = 30,
    order: LabelOrder | str = "novel",
    seed: int = 0,
    tags: Mapping[str, str] | Sequence[str] | None = None,
    model: TagModel | str | Path | None = None,
    blind: bool = False,
    by: str | None = None,
    source: str | None = None,
    key: str | None = None,
    beam_centre: tuple[float, float] | None = None,
    mask: Mask | Mapping[str, Mask] | None = None,
    root_map: Mapping[str, str] | None = None,
    track: Track = lambda candidates, count: candidates,
) -> LabelledFiles:
    """Let a person label images of files, and keep the labels of each as soon as they are given.

    Nothing is asked twice: frames that `out` has are left out, and the same call goes on where the last one ended.

    Parameters
    ----------
    files, key, beam_centre, mask, root_map
        As in `bluesky_xtag.replay.tag_files`. If `out` is among the files, it is left out.
    out : str or Path
        The HDF5 file of labels, see `bluesky_xtag.frames.labelled`. If it exists, frames are added to it.
    show : callable
        Shows the frames and takes the keys until it is finished: `label_in_terminal`, `label_in_window`, or one of
        your own.
    n : int
        How many frames of these files shall be labelled, those counted that `out` has.
    order : {"novel", "uncertain", "random", "files"}
        Which frames come first, see `order_candidates` and `draw_frames`.
    seed : int
        The same one proposes the same frames.
    tags : mapping of str to str, or sequence of str, optional
        The tags to ask for, with what each means; for tags that the model or `out` knows this may be "". If None, the
        tags of `out`, or else those of the model. Tags that `out` does not have are added to it.
    model : TagModel, str or Path, optional
        The model that proposes, or its directory. If None, the packaged model.
    blind : bool
        Propose nothing and show no scores, so that the labels owe nothing to the model.
    by : str, optional
        Who labels. If None, the name of the user.
    source : str, optional
        What the frames come from, such as a sample. If None, each file is a source, see `source_of`.
    track : callable
        Gets the frames while they are scored, and how many there are, and passes them on.

    Raises
    ------
    XTagValueError
        An argument does not fit, no file matches, or the labels cannot be written there.
    ModelError
        The directory does not hold a model.
    """
    check_order(order)
    selection = FrameSelection(key=key, beam_centre=beam_centre, mask=mask)
    roots = RootMap(root_map)
    card = _card(model)
    store = LabelStore(out)
    asked = _asked_tags(tags, store, card)
    store.require(asked)
    paths = _paths(files, Path(out))
    frames = list({frame.id: frame for frame in each_once(paths, selection, roots)}.values())
    done = sum(is_labelled(frames, store))
    counts = Counter(frame.id.run for frame in frames)
    drawn = draw_frames(frames, order, max(_FEWEST_DRAWN, _DRAWN_EACH * n), seed)
    labelled = list(is_labelled(drawn, store))
    if order in _BY_SCORES:
        candidates = _ordered(drawn, labelled, model, card, order, track)
    else:
        candidates = _as_they_come(compress(drawn, [not each for each in labelled]), None if blind else (model,))
    session = Labelling(
        candidates if done < n else (),
        store,
        tuple(asked),
        Proposer("" if blind else f"{card.name} {card.version}", card.taxonomy, card.thresholds),
        total=n,
        done=done,
        by=_user() if by is None else by,
        source=source,
        singles=frozenset(path for path, count in counts.items() if count == 1),
    )
    if not session.finished:
        show(session)
    return LabelledFiles(
        labelled=len(store.frames),
        added=session.added,
        skipped=session.skipped,
        known=session.known,
        sources=len({str(about.get("source", name)) for name, about in store.frames.items()}),
        left=max(0, n - done - session.added),
        stopped=session.stopped,
        unreadable=session.unreadable,
    )


def _user() -> str:
    """Return the name of the user, "" if the machine does not know it."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        return ""


def _card(model: Any) -> Any:
    """Return what is known of a model before its network is loaded, which takes seconds."""
    from ..model import ModelCard  # takes long to import, and commands that only read tags need none

    if model is not None and not isinstance(model, str | Path):
        return model
    return ModelCard.load() if model is None else ModelCard.load(Path(model))


def _asked_tags(tags: Mapping[str, str] | Sequence[str] | None, store: LabelStore, card: Any) -> dict[str, str]:
    """Return the tags that are asked for with their definitions."""
    known = {tag.name: tag.definition for tag in card.taxonomy.tags}
    known |= {tag: store.definition(tag) or known.get(tag, "") for tag in store.tags}
    if not tags:
        return {tag: known[tag] for tag in store.tags or card.taxonomy.names}
    given = dict(tags) if isinstance(tags, Mapping) else dict.fromkeys(tags, "")
    for tag, definition in given.items():
        if tag not in known and not definition:
            raise XTagValueError(
                f"no tag {tag!r} is known: choose of {', '.join(known)}; "
                f"or, for a tag of your own, say when it holds: '{tag}=when it holds'"
            )
    return {tag: definition or known[tag] for tag, definition in given.items()}


def _paths(files: str | Path | Iterable[str | Path], out: Path) -> list[str]:
    own = os.path.realpath(out)
    paths = [path for path in dict.fromkeys(matching_files(files)) if os.path.realpath(path) != own]
    if not paths:
        raise XTagValueError(f"there is no file to label: name the files with the frames before {out}")
    return paths


def _ordered(
    drawn: Sequence[Frame], labelled: Sequence[bool], model: Any, card: Any, order: str, track: Track
) -> Iterator[Candidate]:
    """Yield the frames that are not labelled, after all were scored."""
    from ..model import load_model

    candidates = list(track(score_frames(load_model(model), drawn), len(drawn)))
    yield from order_candidates(candidates, order, card.thresholds, labelled)


def _as_they_come(frames: Iterable[Frame], model: tuple[Any] | None) -> Iterator[Candidate]:
    """Yield frames, each scored when it is due; not at all if there is no model."""
    if model is None:
        yield from map(Candidate, frames)
    else:
        from ..model import load_model

        network = load_model(*model)
        yield from (score_frame(network, frame) for frame in frames)
