"""Processes that simulate: one thread each, and none that outlives its parent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process

import cv2
from threadpoolctl import threadpool_limits

from ..errors import XTagError

__all__ = ["worker_pool"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def worker_pool(workers: int | None, jobs: int) -> Iterator[Executor]:
    """Give a pool of processes, spawned because TensorFlow must not be forked; one alone is this process itself.

    Where the block is left by an exception, jobs that have not begun are cancelled. Where a process was ended from
    outside, that exception is an XTagError.

    Parameters
    ----------
    workers : int, optional
        How many; as many as there are cores if not given.
    jobs : int
        No more processes than these are started.
    """
    count = max(1, min(workers or os.cpu_count() or 1, jobs))
    with _here() if count == 1 else _spawn(count) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise XTagError(
                "a process that simulates was ended, perhaps for want of memory; what is done is kept: call again, "
                "with fewer workers"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _here() -> Iterator[Executor]:
    with threadpool_limits(1), ThreadPoolExecutor(1, "xtag-simulate") as pool:
        yield pool


@contextmanager
def _spawn(count: int) -> Iterator[Executor]:
    with _single_threads(), ProcessPoolExecutor(count, get_context("spawn"), _start) as pool:
        yield pool


def _start() -> None:
    """Prepare a process: one thread, no say in Ctrl-C, and no life after its parent's."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


@contextmanager
def _single_threads() -> Iterator[None]:
    """Let processes that start meanwhile do linear algebra in one thread: they read this when they load NumPy."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
