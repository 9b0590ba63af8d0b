"""One process that tags, as its session sees it: how it is started, asked, watched and ended."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from ...documents import FrameId
from ...frames import Frame, address_of
from ..scoring import Outcome
from .shared_memory import SharedMemory
from .wire import as_array, frame_id, of_array, of_frame_id, outcome, pack, unpack

__all__ = ["Gone", "Handed", "TaggingProcess", "too_much"]

logger = logging.getLogger("bluesky_xtag")

_START = 300.0  # seconds within which a process must have its model ready; the first time, loops are compiled
_LOOK = 0.1  # seconds between two looks after a process that works
_STUCK = 10.0  # seconds after which half a message counts as none: the other end was stopped in the middle of it
_MASKS = 4  # that a process keeps
_DEATH = 1.0  # seconds in which a killed process is gone, unless it waits for a mount that does not answer

Handed = tuple[Frame, "np.ndarray | Outcome | Mapping[str, np.ndarray] | None"]
"""A frame; its pixels if only this process can read them, what a network sees of it, or what came of it already."""


class Gone(Exception):
    """A process ended or had to be ended; in words what follows "the tagging process".

    Parameters
    ----------
    reason : str
        Why.
    position : int, optional
        Which of the frames it was asked for it was reading; None if that is not known.
    unloadable : bool
        Whether it told that it cannot load the model, so that another one could not either.
    """

    def __init__(self, reason: str, position: int | None = None, unloadable: bool = False) -> None:
        super().__init__(reason)
        self.position = position
        self.unloadable = unloadable


class TaggingProcess:
    """One process that tags.

    Parameters
    ----------
    question : int
        Descriptor of a file with what it is told first.
    follow : callable
        Called with this object when the model is ready, and when the process has ended, on a thread of its own.

    Attributes
    ----------
    is_watched : bool
        Whether there is such a thread.
    """

    def __init__(self, question: int, follow: Callable[[TaggingProcess], object]) -> None:
        self._shared = SharedMemory()
        ours, its = socket.socketpair()
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(_STUCK), 0))
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - what it says while it ends
        given = its.fileno(), self._shared.descriptor, question
        self._running = subprocess.Popen(
            [
                *(sys.executable, "-m", "bluesky_xtag.tagger.backends.tagging_process"),
                *map(str, (*given, os.getpid())),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._words,
            pass_fds=given,
            start_new_session=True,  # Ctrl-C is for the session
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        its.close()
        self._connection = Connection(ours.detach())
        self._device: str | None = None
        self._failed: Gone | None = None  # why it never became ready
        self._masks: dict[int, tuple[int, np.ndarray]] = {}  # by identity; held, so that it stays theirs
        self._counted = 0
        self._said_full = False
        self._starting = threading.Lock()
        self._ends = weakref.finalize(
            self, _end, os.getpid(), self._running, self._connection, self._shared, self._words
        )
        self._ends.atexit = False  # the backend ends it, and starts no other then
        watch = threading.Thread(
            target=_follow, args=(weakref.ref(self), self._running.pid, follow), name="xtag-watch", daemon=True
        )
        self.is_watched = True
        try:
            watch.start()
        except RuntimeError:  # the system gives no more threads: who asks waits for the start, and sees the end
            self.is_watched = False

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._running.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._running.poll() is None

    def end(self) -> Gone:
        """Return why the process, which has ended, did so."""
        with suppress(Gone):
            self.wait_ready()
        return self._failed or Gone(self._end_in_words())

    @property
    def device(self) -> str | None:
        """What the model runs on; None until it is ready."""
        return self._device

    def wait_ready(self) -> str:
        """Wait until the model is ready; return what it runs on.

        Raises
        ------
        Gone
            It will not be.
        """
        with self._starting:
            if self._device is None and self._failed is None:
                try:
                    kind, text = self._answer(_START, None)
                except Gone as gone:
                    self._failed = Gone(f"{gone} while it started")
                else:
                    if kind == "ready":
                        self._device = str(text)
                    else:
                        self._failed = Gone(f"cannot load the model: {text}", unloadable=True)
            if self._device is None:
                raise self._failed or Gone("never was ready")
            return self._device

    @property
    def is_ready(self) -> bool:
        """Whether the model is ready; it may have ended since."""
        return self._device is not None

    def take_prepared(self, most: int, patience: float) -> dict[FrameId, dict[str, np.ndarray]]:
        """Return what the network saw of the newest frames that were asked for with `keep`, at most so many.

        Raises
        ------
        Gone
            The process ended, or had to be ended.
        """
        try:
            self._connection.send_bytes(pack({"take": most}))
            kind, found = self._answer(patience, None)
            if kind != "inputs":
                raise Gone("answered something else")
            return {frame_id(of): {name: as_array(sent) for name, sent in each.items()} for of, each in found}
        except OSError:
            raise Gone(self._end_in_words()) from None
        except (TypeError, ValueError) as error:
            raise Gone(f"answered something else ({error})") from None

    def ask(
        self, batch: Sequence[Handed], patience: float, memory_limit: int | None, keep: bool = False
    ) -> list[Outcome]:
        """Return what came of frames; with `keep`, what the network sees of them is kept for `take_prepared`.

        Raises
        ------
        Gone
            The process ended, or had to be ended.
        """
        self.wait_ready()
        begin = self._shared.mark
        try:
            self._shared.clear()
            masks: list[Any] = []
            questions = [self._question(frame, pixels, masks) for frame, pixels in batch]
            question = {"frames": questions, "masks": masks, "forget": self._forget(), "keep": keep}
            self._connection.send_bytes(pack(question))
            kind, found = self._answer(patience, memory_limit)
            if kind != "outcomes":
                raise Gone(f"raised {found}" if kind == "raised" else "answered something else")
            return [outcome(frame.id, values) for (frame, _), values in zip(batch, found, strict=True)]
        except BlockingIOError:
            raise Gone(f"took no frames for {_STUCK:g} s") from None
        except OSError:
            raise Gone(self._end_in_words()) from None
        except Gone as gone:
            position = self._shared.mark - begin - 1
            raise Gone(str(gone), position if 0 <= position < len(batch) else None) from None
        except (TypeError, ValueError) as error:
            raise Gone(f"gave other outcomes than it was asked for ({error})") from None

    def _question(self, frame: Frame, pixels: Any, masks: list[Any]) -> list[Any]:
        centre = None if frame.beam_centre is None else [float(part) for part in frame.beam_centre]
        mask = None if frame.mask is None else self._mask(frame.mask, masks)
        address = address_of(frame) if pixels is None else None
        place = own = None
        if isinstance(pixels, Mapping):
            place = {name: self._put(array) for name, array in pixels.items()}
            return [of_frame_id(frame.id), None, None, None, {"prepared": place}, None]
        if pixels is not None:
            if isinstance(pixels, np.ma.MaskedArray):
                own = self._put(np.ma.getmaskarray(pixels))
            place = self._put(np.asarray(pixels))
        return [of_frame_id(frame.id), centre, mask, address, place, own]

    def _mask(self, mask: np.ndarray, masks: list[Any]) -> int:
        """Return the number of a mask, which is sent when it is first used."""
        known = self._masks.pop(id(mask), None)
        if known is None:
            self._counted += 1
            known = self._counted, mask
            masks.append([self._counted, self._put(np.asarray(mask, bool))])
        self._masks[id(mask)] = known  # the last that was used
        return known[0]

    def _forget(self) -> list[int]:
        """Return the numbers of masks that were not used for longest, which both processes forget."""
        old = list(self._masks)[:-_MASKS]
        return [self._masks.pop(identity)[0] for identity in old]

    def _put(self, array: np.ndarray) -> Any:
        """Return what tells the process where an array is, or the array itself where no memory can be shared."""
        try:
            return self._shared.put(array)
        except OSError as error:
            if not self._said_full:
                logger.warning("no memory can be shared with the tagging process (%s): images are sent to it", error)
                self._said_full = True
            return of_array(array)

    def _answer(self, patience: float, memory_limit: int | None) -> tuple[str, Any]:
        mark, last = self._shared.mark, time.monotonic()
        while True:
            try:
                if self._connection.poll(_LOOK):
                    kind, content, said = unpack(self._connection.recv_bytes())
                    for name, level, message in said:
                        logging.getLogger(name).log(level, "%s", message)
                    return kind, content
            except (EOFError, OSError):
                raise Gone(self._end_in_words()) from None
            except (TypeError, ValueError) as error:
                raise Gone(f"answered something else ({error})") from None
            if self._shared.mark != mark:
                mark, last = self._shared.mark, time.monotonic()
            if self._running.poll() is not None and not self._connection.poll():
                raise Gone(self._end_in_words())
            if time.monotonic() - last > patience:
                raise Gone(f"did not answer for {patience:g} s")
            if memory_limit is not None and (held := self.memory()) > memory_limit:
                raise Gone(too_much(held, memory_limit))

    def _end_in_words(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._running.wait(1)
        code = self._running.returncode
        if code is None:
            return "closed its connection"
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return how + self._last_words()

    def _last_words(self) -> str:
        with suppress(OSError, ValueError):
            self._words.seek(0)
            lines = self._words.read()[-4096:].decode(errors="replace").strip().splitlines()
            return f" ({lines[-1][:200]})" if lines else ""
        return ""

    def memory(self) -> int:
        """Return the memory that it has now, bytes."""
        return self._memory("VmRSS")

    def peak_memory(self) -> int:
        """Return the most memory that it has had so far, bytes."""
        return self._memory("VmHWM")

    def _memory(self, what: str) -> int:
        with suppress(OSError):
            for line in Path(f"/proc/{self._running.pid}/status").read_text().splitlines():
                if line.startswith(what):
                    return 1024 * int(line.split()[1])
        return 0

    def close(self) -> None:
        """End it."""
        self._ends()


def too_much(held: int, memory_limit: int) -> str:
    """Return in words that a process held more memory than it may, bytes."""
    return f"held {held / 2**20:.0f} MiB, more than memory_limit={memory_limit / 2**20:.0f} MiB"


def _follow(reference: weakref.ref[TaggingProcess], number: int, follow: Callable[[TaggingProcess], object]) -> None:
    """Tell when a process is ready, and when it has ended; it is not kept alive for that."""
    with suppress(OSError):  # it is gone already, or the system is too old: who asks sees it
        descriptor = os.pidfd_open(number)
        try:
            process = reference()
            if process is not None:
                with suppress(Gone):
                    process.wait_ready()
                    follow(process)
            del process
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            ended.poll()
        finally:
            os.close(descriptor)
    process = reference()
    if process is not None:
        follow(process)


def _end(
    owner: int, running: subprocess.Popen[bytes], connection: Connection, shared: SharedMemory, words: Any
) -> None:
    if os.getpid() != owner:  # a copy of the session that was forked: the process is not its own
        return
    with suppress(OSError):  # one that works only where nothing else does could not even end where there is much to do
        for thread in Path(f"/proc/{running.pid}/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, int(thread.name), os.getpriority(os.PRIO_PROCESS, 0))
    with suppress(OSError):
        running.kill()  # it keeps nothing that must be written
    with suppress(subprocess.TimeoutExpired):
        running.wait(_DEATH)
    with suppress(OSError):
        connection.close()
    shared.close()
    words.close()
