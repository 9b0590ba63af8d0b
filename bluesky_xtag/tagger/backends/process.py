"""Inference in a process of its own: this one only hands frames over."""

from __future__ import annotations

import atexit
import logging
import os
import pickle
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ...documents import FrameId, Tagging
from ...errors import XTagError, XTagValueError
from ...frames import Frame, address_of
from ...model import ModelCard
from ..scoring import BATCH, Outcome, read_frame
from .supervised import Gone, Handed, TaggingProcess, too_much
from .wire import pack

if TYPE_CHECKING:
    from ...model import ServedModel, TagModel

__all__ = ["ProcessBackend", "is_possible", "origin"]

logger = logging.getLogger("bluesky_xtag")

_TOGETHER = 2**26  # bytes of pixels that are handed over together
_FALSE_STARTS = 3  # in a row, after which the next one waits
_REST = 30.0  # seconds at most between two starts that come to nothing


class ProcessBackend:
    """Hands frames to a process that reads, prepares and scores them, and looks after it.

    Frames in files are handed over as addresses; images inside events are copied to memory that both processes share.
    If the process ends, hangs or takes too much memory, another takes its place. The frame that it was reading is tried
    once more, alone: if its process ends again, the frame has failed. The others that it had are scored. Where it is
    not known which frame it was, each is tried alone.

    Parameters
    ----------
    model : TagModel, str or Path, optional
        The model, or its directory; the packaged one if None. Given a directory, this process need not import
        TensorFlow.
    spare : bool
        Have a second process ready, which takes about as much memory as the first, so that no frame waits seconds for
        its start.
    patience : float
        Seconds without progress after which the process counts as hanging: it tells of each frame that it begins, and
        of its answer.
    memory_limit : int, optional
        Bytes of memory beyond which it is replaced.
    humble : bool
        Work only while processors have nothing else to do, and on no GPU. The first process starts as others do, what
        takes its place starts so, too.

    Attributes
    ----------
    keeps : bool
        Whether the process keeps what the network saw of the last frames, for `take_prepared`.
    restarts : int
        How often the process was replaced.
    last_restart : str
        Why it was replaced last, "" if it never was.

    Raises
    ------
    ModelError
        The directory holds no model.
    XTagValueError
        The system is not Linux, or a limit is no positive number.
    """

    loads_model = True  # in the process
    is_elsewhere = True

    def __init__(
        self,
        model: TagModel | str | Path | None = None,
        *,
        spare: bool = False,
        patience: float = 20.0,
        memory_limit: int | None = None,
        humble: bool = False,
    ) -> None:
        if not is_possible():
            raise XTagValueError('backend="process" needs Linux: choose backend="inline"')
        for name, value in (("patience", patience), ("memory_limit", memory_limit)):
            if value is not None and not value > 0:
                raise XTagValueError(f"{name}={value}: give a number above 0")
        model = origin(model)
        self._question = _to_file(self, _first_question(model, "ready" if humble else ""))
        self._again = _to_file(self, _first_question(model, "start")) if humble else self._question
        self._patience, self._memory_limit = patience, memory_limit
        self.keeps = False
        self.restarts = 0
        self.last_restart = ""
        self._device = ""
        self._closed = False
        self._false_starts = 0
        self._not_before = 0.0  # when another process may be started
        self._asking = threading.Lock()
        self._swapping = threading.Lock()
        self._ready = threading.Event()
        self._process = self._start()
        self._spare = self._start() if spare else None
        self._has_spare = spare
        card = ModelCard.load(model) if model is None or isinstance(model, str | Path) else model
        self.model: ServedModel = _Served(card, self, model)
        _ALL.add(self)

    def __str__(self) -> str:
        held = ", ".join(f"{number / 2**20:.0f} MiB" for number in self.memory())
        why = f", the last time because it {self.last_restart}" if self.last_restart else ""
        times = "once" if self.restarts == 1 else f"{self.restarts} times"
        return f"{self.pid} with {held}; replaced {times}{why}"

    def report_lines(self) -> list[str]:
        """Return, for a report, what the process holds and how often it was replaced."""
        return [f"process   {self}"]

    def tag(self, frames: Iterable[Frame]) -> Iterator[Outcome]:
        """Yield what came of each frame, in their order; a few are handed over together."""
        for batch in _batches(frames):
            wanted = [frame for frame, pixels in batch if not isinstance(pixels, _DONE)]
            found = iter(self._tag([pair for pair in batch if not isinstance(pair[1], _DONE)]) if wanted else ())
            for _, pixels in batch:
                yield pixels if isinstance(pixels, _DONE) else next(found)

    def tag_prepared(self, prepared: Mapping[FrameId, Mapping[str, np.ndarray]]) -> list[Outcome]:
        """Return what came of frames that another model prepared, given what its network saw of each."""
        none: Any = None
        return self._tag([(Frame(frame, None, None, none), inputs) for frame, inputs in prepared.items()])

    def take_prepared(self, most: int) -> dict[FrameId, dict[str, np.ndarray]]:
        """Return what the network saw of the last frames, at most so many, if `keeps` is true; and forget it."""
        process = self._process
        if not self.keeps or self._closed or not process.is_ready:
            return {}
        try:
            with self._asking:
                return process.take_prepared(most, self._patience)
        except Gone as gone:
            with suppress(XTagError):
                self._replace(process, gone)
            return {}

    def _tag(self, batch: Sequence[Handed]) -> list[Outcome]:
        """Return what came of frames; where the process ends over them, those to blame are tried alone, and last."""
        try:
            return self._ask(batch)
        except Gone as gone:
            blamed = range(len(batch)) if gone.position is None else [gone.position]
            reasons = dict.fromkeys(blamed, str(gone))
        found: dict[int, Outcome] = {}
        others = [number for number in range(len(batch)) if number not in reasons]
        if others:
            found |= zip(others, self._tag([batch[number] for number in others]), strict=True)
        for number, reason in reasons.items():
            found[number] = self._tag_alone(batch[number], reason)
        return [found[number] for number in range(len(batch))]

    def _tag_alone(self, handed: Handed, reason: str) -> Outcome:
        """Return what came of a frame over which a process may have ended before."""
        try:
            (result,) = self._ask([handed])
        except Gone as gone:
            again = "" if str(gone) == reason else f", and before that: {reason}"
            reason = f"the tagging process {gone}, twice over this frame{again}"
            return Tagging(handed[0].id, "failed", reason=reason)
        return result

    def _ask(self, batch: Sequence[Handed]) -> list[Outcome]:
        """Return what came of frames; Gone once the process that ended over them has been replaced."""
        process = self._running()
        try:
            with self._asking:
                outcomes = process.ask(batch, self._patience, self._memory_limit, keep=self.keeps)
        except Gone as gone:
            self._replace(process, gone)
            if process.device is None:  # no frame is to blame for the end of a process that had none yet
                return self._ask(batch)
            raise
        if self._memory_limit is not None and (held := process.memory()) > self._memory_limit:
            self._replace(process, Gone(too_much(held, self._memory_limit)))
        return outcomes

    def _running(self) -> TaggingProcess:
        """Return the process; where starts came to nothing, another one after a while.

        Raises
        ------
        XTagError
            There is none.
        """
        with self._swapping:
            if self._closed:
                raise XTagError("the tagging process was closed")
            if self._not_before:
                if time.monotonic() < self._not_before:
                    raise XTagError(f"the tagging process {self.last_restart}")
                self._not_before = 0.0
                self._process = self._start()
            return self._process

    def _replace(self, process: TaggingProcess, gone: Gone) -> None:
        """Put another process in the place of one that is gone; XTagError if none is started now."""
        with self._swapping:
            if self._closed:
                raise XTagError("the tagging process was closed")
            if process is self._spare:
                self._spare = None
            elif process is not self._process:  # it was replaced already
                return
            process.close()
            self._false_starts = 0 if process.device is not None else self._false_starts + 1
            if gone.unloadable or self._false_starts >= _FALSE_STARTS:
                rest = _REST if gone.unloadable else min(_REST, 2.0 ** (self._false_starts - _FALSE_STARTS))
                self._not_before = time.monotonic() + rest
                self.last_restart = str(gone)
                self._ready.set()
                raise XTagError(f"the tagging process {gone}")
            if process is self._process:
                self.restarts += 1
                self.last_restart = str(gone)
                logger.warning("the tagging process %s; another takes its place", gone)
                self._process, self._spare = self._spare or self._start(), None
            if self._has_spare and self._spare is None:
                self._spare = self._start()

    def _start(self) -> TaggingProcess:
        note = weakref.WeakMethod(self._note)

        def follow(process: TaggingProcess) -> None:
            noted = note()
            if noted is not None:
                noted(process)

        process = TaggingProcess(self._question.fileno(), follow)
        self._question = self._again
        if not process.is_watched:  # nobody would tell when it is ready
            self._ready.set()
        return process

    def _note(self, process: TaggingProcess) -> None:
        """Note that a process is ready; or that it has ended: also where nobody asks it, another takes its place."""
        if process.is_running:
            self._device = process.device or ""
            self._ready.set()
            return
        with self._asking if process is self._process else nullcontext():  # who asks sees it, and knows better why
            gone = process.end()
        with suppress(XTagError):
            self._replace(process, gone)

    @property
    def is_ready(self) -> bool:
        """Whether the first process has its model ready, or never will."""
        return self._ready.is_set()

    @property
    def has_spare_ready(self) -> bool:
        """Whether a second process stands by with its model ready."""
        spare = self._spare
        return spare is not None and spare.is_ready

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def device(self) -> str:
        """What the model runs on; "unknown" until the first process is ready."""
        return self._device or "unknown"

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until the first process has its model ready, or never will; return whether it is so."""
        return self._ready.wait(timeout)

    def memory(self) -> list[int]:
        """Return the memory that each process has now, bytes."""
        return [process.memory() for process in (self._process, self._spare) if process is not None]

    def peak_memory(self) -> list[int]:
        """Return the most memory that each process has had so far, bytes."""
        return [process.peak_memory() for process in (self._process, self._spare) if process is not None]

    def close(self) -> None:
        """End the processes."""
        self._closed = True
        with self._swapping:
            for process in (self._process, self._spare):
                if process is not None:
                    process.close()


def is_possible() -> bool:
    """Return whether this system has what two processes share."""
    return hasattr(os, "memfd_create")


def origin(model: Any) -> Any:
    """Return what a model was loaded from that another process serves; any other model as it is."""
    return model.given if isinstance(model, _Served) else model


_DONE = Outcome


def _batches(frames: Iterable[Frame]) -> Iterator[list[Handed]]:
    """Yield frames that are handed over together, with those pixels that only this process can read."""
    batch: list[Handed] = []
    size = 0
    for frame in frames:
        pixels = None
        if address_of(frame) is None:
            found = read_frame(frame, time.perf_counter(), packed=False)
            pixels = found if isinstance(found, _DONE) else np.asanyarray(found)
            size += pixels.nbytes if isinstance(pixels, np.ndarray) else 0
        batch.append((frame, pixels))
        if len(batch) == BATCH or size > _TOGETHER:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _to_file(owner: object, question: bytes) -> IO[bytes]:
    """Return a file that each process of an owner reads."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its owner
    weakref.finalize(owner, file.close).atexit = False  # as long as another process may be started
    file.write(question)
    file.flush()
    return file


def _first_question(model: TagModel | str | Path | None, humble: str) -> bytes:
    question: dict[str, Any] = {"path": list(sys.path), "directory": None, "pickled": None, "humble": humble}
    if model is None or isinstance(model, str | Path):
        from ...model import DEFAULT

        question["directory"] = str(DEFAULT if model is None else Path(model).absolute())
    else:
        question["pickled"] = pickle.dumps(model)
    return pack(question)


class _Served:
    """What is known of the model that another process serves."""

    def __init__(self, card: Any, backend: ProcessBackend, given: Any) -> None:
        self.name, self.version, self.sha256 = card.name, card.version, card.sha256
        self.taxonomy, self.thresholds, self.preparation = card.taxonomy, card.thresholds, card.preparation
        self.given = given  # a directory, None for the packaged model, or a model
        self._backend = weakref.ref(backend)

    @property
    def device(self) -> str:
        """What it runs on; "unknown" until the process is ready."""
        backend = self._backend()
        return "unknown" if backend is None else backend.device

    @property
    def restarts(self) -> int:
        """How often the process was replaced so far."""
        backend = self._backend()
        return 0 if backend is None else backend.restarts


_ALL: weakref.WeakSet[ProcessBackend] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for backend in list(_ALL):
        backend.close()
