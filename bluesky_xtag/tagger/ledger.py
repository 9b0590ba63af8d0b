"""Which frames of which run still wait for their row in the "tags" stream.

The RunEngine may take points again: after a pause it rewinds to the last checkpoint and emits sequence numbers a
second time, replaying the very messages that were sent before. So a row is asked for by its `FrameId`, which
the replayed message carries too, and an id always leads to the frame that was taken last.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ..documents import FrameId
from .ticket import Ticket

__all__ = ["Ledger"]


class Ledger:
    """Tickets by run and frame id, and those among them that have no row yet, in order of arrival.

    Its methods may be called from any thread: monitored streams emit documents from threads of their own.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tickets: dict[str, dict[FrameId, Ticket]] = {}
        self._unwritten: dict[str, dict[FrameId, None]] = {}

    def open(self, run: str) -> None:
        """Start the account of a run."""
        with self._lock:
            self._tickets[run] = {}
            self._unwritten[run] = {}

    def is_open(self, run: str) -> bool:
        """Return whether the account of a run was opened and not closed yet."""
        with self._lock:
            return run in self._tickets

    def forget_written(self) -> None:
        """Let the tickets go whose rows are written."""
        with self._lock:
            for run, unwritten in self._unwritten.items():
                self._tickets[run] = {frame: self._tickets[run][frame] for frame in unwritten}

    def close(self, run: str) -> list[Ticket]:
        """End the account of a run; return the tickets that never got a row."""
        with self._lock:
            tickets = self._tickets.pop(run, {})
            return [tickets[frame] for frame in self._unwritten.pop(run, {})]

    def add(self, ticket: Ticket) -> int:
        """Enter a ticket; return how many frames it supersedes.

        When a sequence number of a stream comes again, the RunEngine has rewound: the frames of that number and
        later that have no row yet will be taken again, so they are forgotten.
        """
        new = ticket.id
        with self._lock:
            tickets = self._tickets.setdefault(new.run, {})
            unwritten = self._unwritten.setdefault(new.run, {})
            gone: list[FrameId] = []
            if new in tickets:
                tickets[new].supersede()
                gone = [frame for frame in unwritten if _not_before(frame, new)]
            for frame in gone:
                del unwritten[frame]
                tickets[frame].supersede()
            tickets[new] = ticket
            unwritten[new] = None
        return len(gone)

    def unwritten(self, run: str) -> list[FrameId]:
        """Return the frames without a row, in order of arrival."""
        with self._lock:
            return list(self._unwritten.get(run, ()))

    def newest(self) -> FrameId | None:
        """Return the frame to read when nobody said which: the oldest unwritten one of the newest run."""
        with self._lock:
            for run in reversed(self._unwritten):
                if self._unwritten[run]:
                    return next(iter(self._unwritten[run]))
        return None

    def tickets(self, frames: Iterable[FrameId]) -> list[Ticket]:
        """Return the tickets of these frames; those of runs that are closed lead nowhere."""
        with self._lock:
            return [self._tickets[frame.run][frame] for frame in frames if frame in self._tickets.get(frame.run, {})]

    def note_written(self, frame: FrameId) -> bool:
        """Note that a row was given for this frame; return False if it had one already."""
        with self._lock:
            unwritten = self._unwritten.get(frame.run, {})
            if frame not in unwritten:
                return False
            del unwritten[frame]
            return True


def _not_before(frame: FrameId, new: FrameId) -> bool:
    same_images = (frame.stream, frame.key) == (new.stream, new.key)
    return same_images and (frame.seq_num, frame.index) >= (new.seq_num, new.index)
