"""What is sent of a frame to a Dask worker: where its file is, or what the network sees of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...documents import Tagging
from ...frames import Frame, address_of
from ...model import DaemonThreads
from ..scoring import NotReady, Outcome, prepare_frame, read_frame
from .dask_tasks import Question, packed_mask, sees
from .dask_workers import ClusterWorkers, Worker
from .wire import of_frame_id

if TYPE_CHECKING:
    from ...model import Inputs, TagModel

__all__ = ["Parcels"]

_ASK_AGAIN = 60.0  # seconds after which a directory that a worker did not see is looked for again


class Parcels:
    """Makes what is sent of frames.

    Parameters
    ----------
    model : TagModel
        Prepares frames whose files the worker does not see. Of a model that prepares nothing, pixels are sent.
    cluster : ClusterWorkers
        The workers.
    patience : float
        Seconds to ask a worker whether it sees a file.
    lose : callable
        Called with a worker that did not answer, and why not.
    """

    def __init__(
        self, model: TagModel, cluster: ClusterWorkers, patience: float, lose: Callable[[Worker, Exception], None]
    ) -> None:
        self._model, self._cluster, self._patience, self._lose = model, cluster, patience, lose
        self._prepares = callable(getattr(model, "infer", None)) and callable(model.preparation)

    def of(self, frames: Sequence[Frame], worker: Worker) -> tuple[list[Question | Outcome], list[Any]]:
        """Return a question for each frame, or what came of it if it cannot be used; and the masks they refer to.

        Raises
        ------
        CatalogError
            The server that has the pixels is away.
        """
        masks: list[np.ndarray] = []
        asked = [self._by_address(frame, worker, masks) for frame in frames]
        missing = [frame for frame, question in zip(frames, asked, strict=True) if question is None]
        each = map if len(missing) < 2 else self._pool.map
        made = iter(list(each(self._prepared if self._prepares else _pixels, missing)))
        parcels = [next(made) if question is None else question for question in asked]
        return parcels, [packed_mask(np.asarray(mask, bool)) for mask in masks]

    @cached_property
    def _pool(self) -> DaemonThreads:
        """Prepares frames side by side."""
        return DaemonThreads(os.cpu_count() or 1, "xtag-prepare")

    def _by_address(self, frame: Frame, worker: Worker, masks: list[np.ndarray]) -> Question | None:
        """Return the question for a frame whose file the worker sees; None for others."""
        address = address_of(frame)
        if address is None or not self._sees(worker, str(address[2 if address[0] in ("file", "series") else 1])):
            return None
        number = None
        if frame.mask is not None:
            number = next((number for number, known in enumerate(masks) if known is frame.mask), len(masks))
            masks[number:] = masks[number:] or [frame.mask]
        return [of_frame_id(frame.id), _centre(frame), number, address, None, None]

    def _sees(self, worker: Worker, path: str) -> bool:
        """Return whether a worker sees a file; it is asked once for each directory."""
        directory = os.path.dirname(path)
        known, at = worker.seen.get(directory, (None, 0.0))
        if known or (known is False and time.monotonic() - at < _ASK_AGAIN):
            return bool(known)
        try:
            inode = os.stat(path).st_ino
        except OSError:  # not here either, or not yet
            return False
        future = self._cluster.send(worker, sees, path, inode) if worker.is_ready else None
        if future is None:
            return False
        try:
            found = bool(self._cluster.result(worker, future, time.monotonic() + self._patience))
        except Exception as error:  # noqa: BLE001 - it may be anything that a cluster meets
            self._lose(worker, error)
            return False
        worker.seen[directory] = found, time.monotonic()
        return found

    def _prepared(self, frame: Frame) -> Question | Outcome:
        found: Inputs | Outcome = prepare_frame(self._model, frame)
        if isinstance(found, Tagging | NotReady):
            return found
        return [of_frame_id(frame.id), None, None, None, dict(vars(found)), None]


def _pixels(frame: Frame) -> Question | Outcome:
    """Return the question for a model that prepares nothing itself: pixels, without those that masks hide."""
    found = read_frame(frame, time.perf_counter(), packed=False)
    if isinstance(found, Tagging | NotReady):
        return found
    image = np.asanyarray(found)
    own = np.ma.getmaskarray(image) if isinstance(image, np.ma.MaskedArray) else None
    return [of_frame_id(frame.id), _centre(frame), frame.mask, None, None, (np.asarray(image), own)]


def _centre(frame: Frame) -> list[float] | None:
    return None if frame.beam_centre is None else [float(part) for part in frame.beam_centre]
