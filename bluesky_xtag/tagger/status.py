"""The Status that a plan waits for when it reads the tagger."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import XTagError
from .ticket import Ticket

__all__ = ["TaggingStatus"]


class TaggingStatus:
    """A Status that ends when all tickets have their outcome, or when the last deadline passes.

    It never fails, since a failed Status would fail the plan; but with `must_succeed`, for tests.
    """

    def __init__(self, tickets: Sequence[Ticket], must_succeed: bool = False) -> None:
        self._tickets = tickets
        self._must_succeed = must_succeed
        self._callbacks: deque[Callable[[Any], None]] = deque()
        self._lock = threading.Lock()
        self._open = len(tickets)
        self._finished = threading.Event()
        self._timer: threading.Timer | None = None
        pending = [ticket for ticket in tickets if not ticket.expire()]
        if pending:
            last = max(ticket.deadline for ticket in pending)
            self._timer = threading.Timer(max(0.0, last - time.monotonic()) + 1e-3, self._expire)
            self._timer.daemon = True
            self._timer.start()
        if not tickets:
            self._finish()
        for ticket in tickets:
            ticket.when_done(self._count_down)

    def _expire(self) -> None:
        for ticket in self._tickets:
            ticket.expire()

    def _count_down(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open:
                return
        self._finish()

    def _finish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
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
        bad = [ticket.tagging for ticket in self._tickets if ticket.tagging.status != "ok"]
        return XTagError(f"{bad[0].status}: {bad[0].reason}") if self._must_succeed and bad else None

    @property
    def done(self) -> bool:
        """Whether the Status has ended."""
        return self._finished.is_set()

    @property
    def success(self) -> bool:
        """Whether it has ended, and well."""
        return self.done and self.exception() is None
