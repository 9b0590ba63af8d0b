"""Work that must not hold up the RunEngine: a bounded queue, and a thread that lives while there is work."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Background"]

logger = logging.getLogger("bluesky_xtag")

_T = TypeVar("_T")
_TICK = 0.2  # seconds between two looks at what waits
_IDLE = 1.0  # seconds without work after which the thread ends


class Background(Generic[_T]):
    """Handles items one after the other in a thread.

    Parameters
    ----------
    handle : callable
        Takes an item. What it raises is logged.
    tick : callable
        Does what waits, and returns whether something still waits; called after each item, and a few times a second as
        long as something waits.
    moves : callable
        Returns whether `tick` is to be called a few times a second although nothing waits.
    size : int
        How many items may wait.
    what : str
        What is handled, in words, for the log.
    """

    def __init__(
        self,
        handle: Callable[[_T], object],
        tick: Callable[[], bool],
        moves: Callable[[], bool],
        size: int,
        what: str = "the live table",
    ) -> None:
        self._what = what
        self._handle = handle
        self._tick = tick
        self._moves = moves
        self._size = size
        self._items: deque[_T] = deque()
        self._dropped = 0
        self._changed = threading.Condition()
        self._done = threading.Event()
        self._done.set()
        self._thread: threading.Thread | None = None
        self._refused = False

    def put(self, item: _T, must: bool = False) -> None:
        """Hand an item over; never waits and never raises.

        Where too many items wait, it is dropped and counted, unless it must be handled.
        """
        with self._changed:
            if len(self._items) >= self._size and not must:
                self._dropped += 1
                return
            self._items.append(item)
            self._done.clear()
            self._changed.notify_all()
            if self._thread is None:
                self._start()

    def take_dropped(self) -> int:
        """Return how many items were dropped since the last call."""
        with self._changed:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def wait(self, timeout: float) -> bool:
        """Wait until nothing waits any more, and return whether that is so."""
        return self._done.wait(timeout)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="xtag-live", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads; the next item tries again
            if not self._refused:
                logger.warning("no thread can be started for %s: it leaves things out; the scan goes on", self._what)
            self._refused = True
        else:
            self._thread = thread

    def _run(self) -> None:
        waits, idle_since = False, time.monotonic()
        while True:
            with self._changed:
                if not self._items:
                    self._changed.wait(_TICK if waits or self._moves() else _IDLE)
                if not self._items and not waits and not self._moves() and time.monotonic() - idle_since >= _IDLE:
                    self._thread = None
                    return
                item = [self._items.popleft()] if self._items else []
            if item or waits:
                idle_since = time.monotonic()
            try:
                for each in item:
                    self._handle(each)
                waits = self._tick()
            except Exception:
                logger.exception("%s could not go on", self._what)
                waits = False
            with self._changed:
                if not self._items and not waits:
                    self._done.set()
