"""The Status that a plan waits for when it reads the tagger."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import XTagError
from .deadlines import Deadlines
from .ledger import Part

__all__ = ["TaggingStatus"]


class TaggingStatus:
    """A Status that ends when all frames have their outcome, or when the last deadline passes.

    It never fails, since a failed Status would fail the plan; but with `must_succeed`, for tests.

    Parameters
    ----------
    parts : sequence of Part
        What it waits for: frames of tickets.
    deadlines : Deadlines
        What calls it at the last deadline.
    must_succeed : bool
        Whether it fails unless all frames are "ok".
    run : str
        Uid of the run in which the plan triggered the tagger, "" if it is not known.
    """

    def __init__(self, parts: Sequence[Part], deadlines: Deadlines, must_succeed: bool = False, run: str = "") -> None:
        self.run = run
        self._parts = parts
        self._must_succeed = must_succeed
        self._callbacks: deque[Callable[[Any], None]] = deque()
        self._lock = threading.Lock()
        self._open = len(parts)
        self._finished = threading.Event()
        pending = [part.ticket for part in parts if not part.ticket.expire()]
        if pending:
            deadlines.call_at(max(ticket.deadline for ticket in pending) + 1e-3, self._expire)
        if not parts:
            self._finish()
        for part in parts:
            part.ticket.watch(part.positions, self._count_down)

    def _expire(self) -> None:
        """Settle what is not settled yet; before the deadlines, where nothing can wait for them."""
        for part in self._parts:
            part.ticket.expire(early=True)

    def _count_down(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open:
                return
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._finished.set()
        while self._callbacks:
            self._callbacks.popleft()(self)

    def add_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback(self)` at the end, at once if it has come."""
        with self._lock:
            if not self._finished.is_set():
                self._callbacks.append(callback)
                return
        callback(self)

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """Return None: nothing that happens to a frame may fail the plan."""
        if not self._finished.wait(timeout):
            raise TimeoutError("the tags are not there yet")
        if not self._must_succeed:
            return None
        taggings = (part.ticket.tagging(position) for part in self._parts for position in part.positions)
        bad = next((tagging for tagging in taggings if tagging.status != "ok"), None)
        return XTagError(f"{bad.status}: {bad.reason}") if bad else None

    @property
    def done(self) -> bool:
        """Whether the Status has ended."""
        return self._finished.is_set()

    @property
    def success(self) -> bool:
        """Whether it has ended, and well."""
        return self.done and self.exception() is None
