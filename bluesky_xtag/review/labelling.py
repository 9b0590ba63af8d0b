"""Labels from nothing: frames of files, one after the other, whose tags a person decides with a key for each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Any, Literal

import numpy as np

from ..errors import FrameError, XTagError
from ..frames import Frame, LabelledFrame, LabelStore, as_source
from ..view import LabelPage, TagLine
from .candidates import Candidate, Proposer, say
from .label_keys import COMMANDS, assign_keys

__all__ = ["Labelling", "is_labelled", "source_of"]

_AGAIN = {"space": "enter", "tab": "right", "c-z": "backspace", "c-c": "escape", "c-d": "escape"}
_COUNTER = re.compile(r"[-_. ]*\d+$")


@dataclass(frozen=True)
class _Step:
    """What a person did with a frame, to be undone, and the tags before that."""

    what: Literal["kept", "skipped", "cleared"]
    at: int
    lines: tuple[TagLine, ...]
    stored: str = ""  # the name of the frame in the store


class Labelling:
    """The frames that a person labels in one session, and what each key does.

    Whatever shows them calls `press` with the name of each key and draws `page` then.

    Parameters
    ----------
    candidates : iterable of Candidate
        The frames, in their order. They are taken as they are needed.
    store : LabelStore
        Takes each frame as soon as its labels are kept.
    tags : sequence of str
        The tags that are asked for, all of which the store knows. The others stay uncertain.
    proposer : Proposer
        Says what is chosen at first.
    total : int
        How many frames shall be labelled, with those that are labelled.
    done : int
        How many are labelled.
    by : str
        Who labels.
    source : str or None
        What all frames come from; if None, see `source_of`.
    singles : frozenset of str
        The files with one image each.

    Attributes
    ----------
    page : LabelPage
        What is to be shown now.
    finished : bool
        Whether it is over: enough frames are labelled, there are no more, or the person stopped.
    stopped : bool
        Whether frames were left when it ended, or it has not ended.
    added, skipped, known : int
        How many frames were labelled and skipped, and were left out because the store has the same pixels.
    unreadable : dict of str to str
        The frames that could not be read, and the reasons.
    """

    def __init__(
        self,
        candidates: Iterable[Candidate],
        store: LabelStore,
        tags: Sequence[str],
        proposer: Proposer,
        *,
        total: int,
        done: int = 0,
        by: str = "",
        source: str | None = None,
        singles: frozenset[str] = frozenset(),
    ) -> None:
        self._waiting = iter(candidates)
        self._taken: list[Candidate] = []
        self._store, self._proposer = store, proposer
        self._keys = assign_keys(tags)
        self._total, self._done, self._by = total, done, by
        self._source, self._singles = source, singles
        self._digests = {str(about["pixels_digest"]) for about in store.frames.values() if "pixels_digest" in about}
        self._steps: list[_Step] = []
        self.skipped = self.known = self.added = 0
        self.unreadable: dict[str, str] = {}
        self.finished, self.stopped = False, True
        self._explains = False  # whether the next tag is not changed, but explained
        self._at = -1
        self._pixels, self._digest = np.empty((0, 0)), ""
        self.page = LabelPage("", "", None, (), done, total)
        self._advance()

    def press(self, key: str) -> None:
        """Do what a key is for; keys without a meaning do nothing.

        Parameters
        ----------
        key : str
            A character; or "enter", "space", "right", "tab", "backspace", "escape", "c-c", "c-d", "c-z".
        """
        key = _AGAIN.get(key, key)
        named = [line.tag for line in self.page.lines if line.key == key]
        if self.finished or not (named or key in COMMANDS):
            return
        explains, self._explains = self._explains, False
        self.page = replace(self.page, message="")
        if key in COMMANDS:
            commands = {"enter": self._keep, "right": self._skip, "backspace": self._undo, ".": self._clear}
            commands["?"] = partial(self._ask_which, again=explains)
            commands.get(key, self._stop)()
        elif explains:
            self._explain(*named)
        else:
            lines = tuple(_press(line) if line.key == key else line for line in self.page.lines)
            self.page = replace(self.page, lines=lines)

    def _stop(self) -> None:
        self.finished = True

    def _ask_which(self, again: bool) -> None:
        self._explains = not again
        self.page = replace(self.page, message="" if again else "the key of which tag? It says when the tag holds")

    def _explain(self, tag: str) -> None:
        definition = self._store.definition(tag) or "nobody has said it"
        self.page = replace(self.page, message=f"{tag} holds when: {definition}")

    def _keep(self) -> None:
        lines, frame = self.page.lines, self._taken[self._at].frame
        if all(line.holds is None for line in lines):
            self.page = replace(self.page, message="no tag is decided: press the key of one, or → to skip the frame")
            return
        labelled = self._labelled(frame, {line.tag: line.holds for line in lines if line.holds is not None})
        try:
            self._store.add(labelled)
        except XTagError as error:
            self.page = replace(self.page, message=str(error))
            return
        self._digests.add(self._digest)
        self._steps.append(_Step("kept", self._at, lines, labelled.name))
        self.added += 1
        self._done += 1
        self._advance()

    def _skip(self) -> None:
        self._steps.append(_Step("skipped", self._at, self.page.lines))
        self.skipped += 1
        self._advance()

    def _undo(self) -> None:
        if not self._steps:
            self.page = replace(self.page, message="there is nothing to undo in this session")
            return
        step = self._steps[-1]
        if step.what == "cleared":  # which is of the frame that is shown
            self._steps.pop()
            self.page = replace(self.page, lines=step.lines, message="undone: the tags are as they were before")
            return
        try:
            pixels = self._taken[step.at].frame.pixels()
            if step.stored:
                self._digests.discard(str(self._store.frames[step.stored]["pixels_digest"]))
                self._store.remove(step.stored)
        except (FrameError, XTagError) as error:
            self.page = replace(self.page, message=f"not undone: {say(error)}")
            return
        self._steps.pop()
        self.added -= bool(step.stored)
        self._done -= bool(step.stored)
        self.skipped -= not step.stored
        self._at = step.at
        self._show(pixels, step.lines, message=f"undone: {'its labels are' if step.stored else 'it was'} taken back")

    def _clear(self) -> None:
        lines = tuple(replace(line, holds=None, proposed=None) for line in self.page.lines)
        if lines != self.page.lines:
            self._steps.append(_Step("cleared", self._at, self.page.lines))
        self.page = replace(self.page, lines=lines, message="all undecided: only what you press now counts")

    def _advance(self) -> None:
        """Show the next frame that can be read and is not in the store; finish if there is none."""
        while self._done < self._total:
            self._at += 1
            if self._at == len(self._taken):
                candidate = next(self._waiting, None)
                if candidate is None:
                    break
                self._taken.append(candidate)
            if self._try(self._taken[self._at]):
                return
        self.finished, self.stopped = True, False
        self.page = replace(self.page, pixels=None, lines=(), done=self._done)

    def _try(self, candidate: Candidate) -> bool:
        frame = candidate.frame
        try:
            if candidate.reason:
                raise FrameError(candidate.reason)
            pixels = frame.pixels()
            if frame.mask is not None and frame.mask.shape != pixels.shape:
                raise FrameError(f"it has the shape {pixels.shape}, but its mask {frame.mask.shape}")
        except Exception as error:  # readers of formats are foreign code
            self.unreadable[frame_name(frame)] = say(error)
            return False
        if _digest_of(pixels) in self._digests:
            self.known += 1
            return False
        message = f"{len(self.unreadable)} frames could not be read so far" if self.unreadable else ""
        self._show(pixels, self._first_lines(candidate), message)
        return True

    def _first_lines(self, candidate: Candidate) -> tuple[TagLine, ...]:
        proposals = self._proposer.propose(candidate.scores)
        lines = []
        for tag, key in self._keys.items():
            holds, score = proposals.get(tag, (None, np.nan))
            lines.append(TagLine(key, tag, holds, score, proposed=holds))
        return tuple(lines)

    def _show(self, pixels: np.ndarray, lines: tuple[TagLine, ...], message: str = "") -> None:
        frame = self._taken[self._at].frame
        self._pixels, self._digest = pixels, _digest_of(pixels)
        rows, columns = pixels.shape
        about = f"{rows} x {columns}, source: {self._source_of(frame)}"
        shown = pixels if frame.mask is None else _masked(pixels, frame.mask)
        commands = dict(COMMANDS.values())
        self.page = LabelPage(frame_name(frame), about, shown, lines, self._done, self._total, message, commands)

    def _source_of(self, frame: Frame) -> str:
        return self._source or source_of(frame, frame.id.run in self._singles)

    def _labelled(self, frame: Frame, truth: Mapping[str, bool]) -> LabelledFrame:
        path, dataset, index = place_of(frame)
        stem = os.path.splitext(os.path.basename(path))[0] or "frame"
        single = frame.id.run in self._singles
        name = stem if single else f"{stem}_{index:05d}"
        pixels = self._pixels
        about = {
            "by": self._by,
            "labelled": datetime.now(UTC).isoformat(timespec="seconds"),
            "proposals": self._proposer.name,
            "file": path,
            "dataset": dataset,
            "index": index,
            "pixels_digest": self._digest,
        }
        return LabelledFrame(
            self._store.free_name(name),
            pixels,
            truth,
            frame.beam_centre,
            frame.mask,
            source=self._source_of(frame),
            attributes=about,
        )


def frame_name(frame: Frame) -> str:
    """Return how a frame is called where a person reads it."""
    dataset = f" {frame.id.key}" if frame.id.key else ""
    return f"{os.path.basename(frame.id.run)}{dataset} [{frame.id.index}]"


def place_of(frame: Frame) -> tuple[str, str, int]:
    """Return the file, data set and index of a frame of a file, the same whatever names lead to it."""
    return os.path.realpath(frame.id.run), frame.id.key, frame.id.index


def is_labelled(frames: Iterable[Frame], store: LabelStore) -> Iterator[bool]:
    """Yield of each frame whether the store has it."""
    places = {
        (str(about["file"]), str(about["dataset"]), int(about["index"]))
        for about in store.frames.values()
        if {"file", "dataset", "index"} <= about.keys()
    }
    return (place_of(frame) in places for frame in frames)


def source_of(frame: Frame, single: bool) -> str:
    """Return what a frame of a file is taken to come from: its file and the directory of that.

    Parameters
    ----------
    frame : Frame
        The frame.
    single : bool
        Whether its file has one image only. Then its name without the number at its end counts, so that the files of a
        series are one source.
    """
    path = os.path.realpath(frame.id.run)
    name = os.path.splitext(os.path.basename(path))[0]
    if single:
        name = _COUNTER.sub("", name)
    return as_source("/".join(part for part in (os.path.basename(os.path.dirname(path)), name) if part))


def _press(line: TagLine) -> TagLine:
    """Return a tag after its key: the other answer, then undecided, then what was proposed."""
    first = line.proposed
    turns: list[bool | None] = [None, True, False] if first is None else [first, not first, None]
    return replace(line, holds=turns[(turns.index(line.holds) + 1) % 3])


def _masked(pixels: Any, mask: np.ndarray) -> np.ma.MaskedArray:
    return np.ma.MaskedArray(np.ma.getdata(pixels), np.ma.getmaskarray(pixels) | mask)


def _digest_of(pixels: np.ndarray) -> str:
    """Return what tells pixels apart from others, whatever file they lie in."""
    plain = np.ascontiguousarray(np.ma.filled(pixels, 0))
    return blake2b(plain.data, digest_size=16, person=f"{plain.dtype.str}{plain.shape}"[:16].encode()).hexdigest()
