"""Threads for which a session does not wait at its end: what they run may never end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any
from weakref import finalize

__all__ = ["DaemonThreads"]

_Task = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


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
                future.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001 - whoever waits for it hears of it
                future.set_exception(error)
        del task, future, function, arguments  # frames are large
