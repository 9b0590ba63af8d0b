"""Frames on the workers of a Dask cluster, where a model is loaded once for each worker."""

from __future__ import annotations

import hashlib
import logging
import pickle
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import dask.config
import numpy as np
from distributed import Client, Future, LocalCluster, get_worker
from distributed.comm.core import CommClosedError
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.scheduler import KilledWorker

from ...catalog import ServedValue
from ...documents import Tagging
from ...errors import CatalogError, FrameError, XTagError
from ...frames import Frame
from ...model import without_build_notes
from ..scoring import Outcome, batches, say, tag_frame
from .backend import peak_memory

if TYPE_CHECKING:
    from ...model import TagModel

__all__ = ["MEMORY", "DaskBackend"]

MEMORY = "2 GiB"  # of a local worker, beyond which Dask ends it and starts another
_AHEAD = 2  # batches that a worker may have, so that none waits for the next
_PATIENCE = 30  # seconds to reach a scheduler


class DaskBackend:
    """Tags frames on a Dask cluster.

    A worker holds the model, and one frame at a time for each of its threads. Frames travel as the names of their
    files, so all workers must see these; images inside events, or that a Tiled server reads, travel themselves.

    Parameters
    ----------
    model : TagModel
        The model; it is sent to the workers, which need no copy of its directory.
    scheduler : str, optional
        Address of the scheduler of a cluster that runs, such as ``tcp://host:8786``.
    workers : int
        Without a scheduler: how many processes to start on this machine, each with one thread and up to `MEMORY`.

    Raises
    ------
    XTagError
        The scheduler cannot be reached.
    """

    def __init__(self, model: TagModel, scheduler: str | None = None, workers: int = 1) -> None:
        self.model = model
        self._local = None
        if scheduler is None:
            # Never forked, since TensorFlow does not survive that.
            with dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}):
                self._local = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    memory_limit=MEMORY,
                    dashboard_address=cast(Any, None),
                    silence_logs=logging.ERROR,
                )
        try:
            # Not Dask's default: Tiled's client computes with Dask in this process, and its data may not travel.
            self._client = Client(cast(Any, self._local or scheduler), timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise XTagError(
                f"the Dask scheduler {scheduler} cannot be reached ({error}): give the address that `dask scheduler` "
                "prints, such as tcp://host:8786"
            ) from error
        parts = pickle.dumps(model)
        self._plugin = f"xtag-{hashlib.sha256(parts).hexdigest()[:16]}"
        self._client.register_plugin(_ModelPlugin(parts), name=self._plugin)

    def tag(self, frames: Iterable[Frame]) -> Iterator[Outcome]:
        """Yield what came of each frame, in their order."""
        waiting: deque[tuple[list[Frame | Tagging], Future | None]] = deque()
        try:
            for batch in batches(frames):
                parcels = [_parcel(frame) for frame in batch]
                sent = [parcel for parcel in parcels if isinstance(parcel, Frame)]
                future = self._client.submit(_tag, sent, self._plugin, pure=False) if sent else None
                waiting.append((parcels, future))
                if len(waiting) >= _AHEAD * self._threads():
                    yield from _collect(*waiting.popleft())
            while waiting:
                yield from _collect(*waiting.popleft())
        except (KilledWorker, CommClosedError, CancelledError, TimeoutError) as error:
            raise XTagError(
                f"the Dask cluster gave up ({type(error).__name__}: {error}): see that its workers run and have "
                f"enough memory, then call again"
            ) from error
        finally:
            self._client.cancel([future for *_, future in waiting if future is not None])

    def peak_memory(self) -> list[int]:
        """Return the most memory that each worker has had so far, bytes."""
        return list(cast("dict[str, int]", self._client.run(peak_memory)).values())

    def _threads(self) -> int:
        """Return how many threads the workers have by now: a cluster may grow."""
        threads = cast("dict[str, int]", self._client.nthreads())
        return max(sum(threads.values()), 1)

    def close(self) -> None:
        """Leave the cluster; end it if it was started here."""
        self._client.close()
        if self._local is not None:
            self._local.close()


def _collect(parcels: Sequence[Frame | Tagging], future: Future | None) -> list[Outcome]:
    back = iter(future.result() if future is not None else ())
    return [next(back) if isinstance(parcel, Frame) else parcel for parcel in parcels]


@dataclass(frozen=True)
class _Pixels:
    """An image that was read already."""

    image: np.ndarray
    size: None = None

    def read(self, index: int) -> np.ndarray:
        """Return it."""
        return self.image


def _parcel(frame: Frame) -> Frame | Tagging:
    """Return a frame that can travel: pixels that only this process can read travel with it; or its tagging, if not."""
    value = getattr(frame.source, "value", None)
    if value is None or not isinstance(value, ServedValue | np.ndarray | list | tuple):
        return frame
    try:
        return replace(frame, source=_Pixels(frame.pixels()))
    except CatalogError:
        raise
    except FrameError as error:
        return Tagging(frame.id, "unreadable", reason=say(error))


def _tag(frames: Sequence[Frame], plugin: str) -> list[Outcome]:
    """Tag frames, on a worker."""
    model = cast(_ModelPlugin, get_worker().plugins[plugin]).model
    return [tag_frame(model, frame) for frame in frames]


class _ModelPlugin(WorkerPlugin):
    """Holds a model on a worker, loaded when the first frame comes."""

    def __init__(self, parts: bytes) -> None:
        self._parts = parts

    def setup(self, worker: Any) -> None:
        """Take place on a worker."""
        self._lock = threading.Lock()

    @property
    def model(self) -> TagModel:
        """The model, of all threads of the worker."""
        with self._lock:
            return self._loaded

    @cached_property
    def _loaded(self) -> TagModel:
        with without_build_notes():
            model: TagModel = pickle.loads(self._parts)  # noqa: S301 - from the process that sends the frames
            model.warm()
        return model
