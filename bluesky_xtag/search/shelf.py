"""Summaries on this machine until a catalogue has them: on disk, so that no end of the process loses them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .kept import forget, keep, read_summary

__all__ = ["Shelf"]

logger = logging.getLogger("bluesky_xtag")


class _Summary(NamedTuple):
    doc: Mapping[str, Any]
    exact: bool


class Shelf:
    """Keeps summaries in a directory.

    Files are written by a thread of its own, because a directory may be on a server that does not answer. Whoever puts
    a summary here waits for the file, but not longer than `patience`, and not at all while an earlier file is waited
    for. What cannot be written stays in memory.

    Parameters
    ----------
    directory : Path
        Where the files are.
    patience : float
        Seconds.
    room : int
        How many summaries memory holds at most. Beyond that, the oldest is lost, with a warning.
    """

    def __init__(self, directory: Path, patience: float = 0.5, room: int = 1000) -> None:
        self.directory = directory
        self._patience = patience
        self._room = room
        self._memory: dict[str, _Summary] = {}
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[str, threading.Event] | None] = queue.SimpleQueue()
        self._slow = self._told = False
        self._thread = threading.Thread(target=self._work, name="xtag-shelf", daemon=True)
        self._thread.start()

    def put(self, run: str, summary: Mapping[str, Any], exact: bool) -> None:
        """Keep the summary of a run, see `bluesky_xtag.search.kept.keep`."""
        lost = None
        with self._lock:
            self._memory[run] = _Summary(summary, exact)
            if len(self._memory) > self._room:
                lost = next(iter(self._memory))
                del self._memory[lost]
        if lost is not None:
            logger.warning("no room is left for the summary of run %s: `xtag summarise` makes it from the rows", lost)
        if not self._thread.is_alive():  # closed, or the process was forked
            self._write(run)
            return
        written = threading.Event()
        self._queue.put((run, written))
        if not self._slow and not written.wait(self._patience):
            self._slow = True
            logger.warning("%s does not answer: summaries wait in memory until it does", self.directory)

    def get(self, run: str) -> _Summary | None:
        """Return a summary; None if it is not here any more."""
        with self._lock:
            if run in self._memory:
                return self._memory[run]
        found = read_summary(self.directory, run)
        return None if found is None else _Summary(found.doc, found.exact)

    def remove(self, run: str) -> None:
        """Forget a summary, because the catalogue has it."""
        with self._lock:
            self._memory.pop(run, None)
        try:
            forget(self.directory, run)
        except OSError as error:  # `xtag recover` removes it
            logger.info("the summary of run %s is stored, but its file stays: %s", run, error)

    def on_disk(self, run: str) -> bool:
        """Return whether a summary is in its file; try once more if it is not."""
        with self._lock:
            waits = run in self._memory
        if waits and not self._slow:
            self._write(run)
        with self._lock:
            return run not in self._memory

    def drop(self, run: str) -> None:
        """Forget a summary that could not be written."""
        with self._lock:
            self._memory.pop(run, None)

    def close(self, timeout: float = 1.0) -> None:
        """End the thread once all files are written, if that is soon."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            run, written = item
            self._write(run)
            written.set()
            self._slow = False

    def _write(self, run: str) -> None:
        with self._lock:
            summary = self._memory.get(run)
        if summary is None:
            return
        try:
            keep(self.directory, run, summary.doc, exact=summary.exact)
        except Exception as error:  # noqa: BLE001 - it stays in memory, whatever it was
            if not self._told:
                self._told = True
                logger.warning("summaries cannot be kept in %s (%s): they wait in memory", self.directory, error)
            return
        self._told = False
        with self._lock:
            stored = self._memory.pop(run, None) is None
        if stored:  # meanwhile
            self.remove(run)
