"""Threads for which a session does not wait at its end, but for a moment: what they run may never end."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import ContextDecorator
from queue import SimpleQueue
from typing import Any
from weakref import finalize

__all__ = ["DaemonThreads", "unbroken"]

_Task = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]
_PATIENCE = 2.0  # seconds that a session waits at its end for steps that are under way


class _Steps:
    """The steps that are under way in this process; once it ends, no other begins."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew, in a process that was forked, too: the threads of the other one are not in it."""
        self._changed = threading.Condition()
        self._under_way = 0
        self._ending = False

    def enter(self) -> None:
        """Begin a step; at the end only as a part of one that is under way, else this thread waits for ever."""
        with self._changed:
            self._changed.wait_for(lambda: not self._ending or self._under_way)
            self._under_way += 1

    def leave(self) -> None:
        """End a step."""
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def end(self) -> None:
        """Wait a moment until no step is under way, and let no other begin."""
        with self._changed:
            self._ending = True
            calm = self._changed.wait_for(lambda: not self._under_way, _PATIENCE)
        if not calm:  # a step that hangs; should it wake up and stop the process, at least nothing printed is lost
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()


_steps = _Steps()
atexit.register(_steps.end)
os.register_at_fork(after_in_child=_steps.clear)


class unbroken(ContextDecorator):  # noqa: N801 - used as a context and as a decorator
    """Work of a daemon thread that leaves Python: reading, preparing, scoring and drawing frames.

    Python 3.11 to 3.13 stop a daemon thread, once the session ends, where it comes back to Python. In a library in C++
    (TensorFlow, OpenCV, pybind11) that stops the whole process, with "terminate called without an active exception" and
    the exit status 134. Therefore the session waits up to two seconds for what is under way, and begins nothing else.
    """

    def __enter__(self) -> None:
        _steps.enter()

    def __exit__(self, *error: object) -> None:
        _steps.leave()


class DaemonThreads:
    """Calls a function for many arguments side by side.

    Python waits at its end for the threads of `concurrent.futures.ThreadPoolExecutor`: for ever, where a GPU or a mount
    does not answer.

    Parameters
    ----------
    count : int
        How many threads; each is started when there is work for it.
    name : str
        First part of their names.
    """

    def __init__(self, count: int, name: str) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._count, self._name = count, name
        self._started = 0
        self._starting = threading.Lock()

    def map(self, function: Callable[..., Any], *arguments: Iterable[Any]) -> list[Any]:
        """Return what a function gives for each argument, in their order; raise what it raises first.

        Where the system gives no more threads, those that are there do the work, or this one.
        """
        calls = list(zip(*arguments, strict=True))
        if not self._start(len(calls)):
            return [function(*each) for each in calls]
        futures: list[Future[Any]] = [Future() for _ in calls]
        try:
            for future, each in zip(futures, calls, strict=True):
                self._tasks.put((future, function, each))
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _start(self, wanted: int) -> bool:
        """Start threads up to as many as are wanted; return whether there is any."""
        with self._starting:
            while self._started < min(wanted, self._count):
                name = f"{self._name}_{self._started}"
                thread = threading.Thread(target=_work, args=(self._tasks,), name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    break
                self._started += 1
                finalize(self, self._tasks.put, None).atexit = False
            return self._started > 0


def _work(tasks: SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        future, function, arguments = task
        if future.set_running_or_notify_cancel():
            try:
                with unbroken():
                    future.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001 - whoever waits for it hears of it
                future.set_exception(error)
        del task, future, function, arguments  # frames are large
