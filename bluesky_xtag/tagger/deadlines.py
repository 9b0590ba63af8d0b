"""Calls things at their deadlines, from one thread that is there before a scan begins.

A `threading.Timer` is a new thread for each frame, and a system at its limit gives none: then the plan would fail.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from itertools import count
from weakref import WeakMethod

__all__ = ["Deadlines"]

logger = logging.getLogger("bluesky_xtag")

_FEW = 1024  # deadlines that may wait before one looks which of them are still wanted
_IDLE = 60.0  # seconds; how long the thread sleeps where nothing is due


class Deadlines:
    """Methods to call at given times.

    The thread ends after `stop`, once all that was asked for before has been called. What is asked for later starts
    another one.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, WeakMethod[Callable[[], object]]]] = []
        self._count = count()
        self._look_at = _FEW
        self._changed = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None
        with self._changed:
            self._start()

    def call_at(self, when: float, method: Callable[[], object]) -> None:
        """Call a method at a time of `time.monotonic`, if its object still exists then; never raises.

        Where no thread can be had to wait for it, the method is called at once.
        """
        with self._changed:
            heapq.heappush(self._due, (when, next(self._count), WeakMethod(method)))
            self._forget_gone()
            self._changed.notify_all()
            if self._thread is not None:
                return
            try:
                self._start()
                return
            except RuntimeError:  # the system gives no more threads
                self._due.clear()
        logger.warning("no thread can be started to wait for a deadline: what is not known by now is late")
        method()

    def stop(self) -> None:
        """Let the thread end when nothing is left to call; return without waiting for it."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _forget_gone(self) -> None:
        """Leave out what has ended before its deadline, which may be hours away."""
        if len(self._due) >= self._look_at:
            self._due = [each for each in self._due if each[2]() is not None]
            heapq.heapify(self._due)
            self._look_at = max(_FEW, 2 * len(self._due))

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="xtag-deadlines", daemon=True)
        thread.start()
        self._thread = thread

    def _run(self) -> None:
        while (methods := self._wait()) is not None:
            for reference in methods:
                method = reference()
                if method is not None:
                    self._call(method)
                del method

    def _call(self, method: Callable[[], object]) -> None:
        try:
            method()
        except Exception:
            logger.exception("what was to be done at a deadline failed")

    def _wait(self) -> list[WeakMethod[Callable[[], object]]] | None:
        """Return what is due, when it is; None at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                due = []
                while self._due and self._due[0][0] <= now:
                    due.append(heapq.heappop(self._due)[2])
                if due:
                    return due
                if self._stopped and not self._due:
                    self._thread = None
                    return None
                self._changed.wait(min(self._due[0][0] - now, _IDLE) if self._due else _IDLE)
