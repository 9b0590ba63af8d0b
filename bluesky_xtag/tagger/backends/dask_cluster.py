"""Frames on the workers of a Dask cluster; here, where the cluster does not answer."""

from __future__ import annotations

import hashlib
import logging
import pickle
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import dask.config
from distributed import Future, LocalCluster
from distributed.security import Security

from ...documents import Tagging
from ...errors import XTagError, XTagValueError, hide_secrets
from ...frames import Frame
from ..scoring import Outcome, batches
from .backend import Backend, peak_memory
from .cluster_address import refuse_open_scheduler
from .dask_parcels import Parcels
from .dask_tasks import Question, tag
from .dask_workers import ClientOfCluster, ClusterWorkers, Worker
from .inline import InlineBackend
from .wire import outcome

if TYPE_CHECKING:
    from ...model import ServedModel, TagModel

__all__ = ["MEMORY", "DaskBackend"]

logger = logging.getLogger("bluesky_xtag")

MEMORY = "2 GiB"  # of a local worker, beyond which Dask ends it and starts another
_AHEAD = 2  # calls that a thread of a worker may have, so that none waits for the next
_FEW = 4  # frames of a burst that are worth a call of their own
_REACH = 30.0  # seconds to reach a scheduler that must be there
_TRY = 5.0  # seconds for each attempt to reach one that need not
_START = 180.0  # seconds for the first worker to load a model that must be there
_LOCAL = {
    "distributed.worker.multiprocessing-method": "spawn",  # never forked, since TensorFlow does not survive that
    # Dask's pages tell every user of the machine what runs, without a password.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # It looks at every thread a hundred times a second, on cores that have frames to score.
    "distributed.worker.profile.enabled": False,
    # Dask's own has the allocator give memory back at once, so that each frame would be paged in anew.
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
}


class DaskBackend:
    """Tags frames on a Dask cluster, and in this process where the cluster does not answer in time.

    Each worker loads the model once. What travels is small: addresses of frames whose files a worker sees, else what
    the network sees of a frame, which is prepared here. A worker that is lost or slow is left out until it answers
    again; its frames, and all frames while no worker answers, are tagged here.

    Parameters
    ----------
    model : TagModel
        The model; it is sent to the workers, which need no copy of its directory, and trust it as this process does.
    scheduler : str, optional
        Address of the scheduler of a cluster that runs, such as ``tls://host:8786``. Dask's own configuration names the
        certificates (``distributed.comm.tls``).
    workers : int
        Without a scheduler: how many processes to start on this machine, each with one thread and up to `MEMORY`. They
        talk by TLS with certificates of their own, so that no other user of the machine can give them work.
    insecure : bool
        Also use a scheduler beyond this machine without TLS. Dask runs what anybody sends it, and the model and the
        frames travel as they are.
    patience : float
        Seconds for a call to the cluster, then its frames are tagged here.
    required : bool
        Wait for the cluster, and raise an error if it is not there. If false, frames are tagged here until it is.

    Attributes
    ----------
    there, here : int
        How many frames were tagged on the cluster, and in this process.
    losses : int
        How often a worker did not give what it was asked for.

    Raises
    ------
    XTagValueError
        The scheduler is beyond this machine, without TLS; or `patience` is not a positive number.
    XTagError
        The scheduler cannot be reached, or has no worker that can load the model, and it is required.
    """

    def __init__(
        self,
        model: TagModel,
        scheduler: str | None = None,
        workers: int = 1,
        insecure: bool = False,
        patience: float = 1.0,
        required: bool = False,
    ) -> None:
        if not patience > 0:
            raise XTagValueError(f"patience={patience}: give a number of seconds above 0")
        if scheduler is not None and not insecure:
            refuse_open_scheduler(scheduler)
        self._scored_here: Backend = InlineBackend(model)  # warm: a cluster may be lost at any moment
        self._patience, self._required = patience, required or scheduler is None
        self.there = self.here = self.losses = 0
        self._last_loss = ""
        self._local = _start_workers(workers) if scheduler is None else None
        self._address = scheduler or cast(LocalCluster, self._local).scheduler_address
        self.model: ServedModel = cast("ServedModel", _Elsewhere(model, self._address))
        parts = pickle.dumps(model)
        key = f"xtag-{hashlib.sha256(parts).hexdigest()[:16]}"
        self._workers: ClusterWorkers | None = None
        try:
            if self._required:
                self._connect(_REACH).leave()
            self._workers = ClusterWorkers(lambda: self._connect(_TRY), key, parts, patience)
            if self._required and not self._workers.wait(1, _START):
                raise XTagError(
                    f"no worker of the Dask scheduler {self._address} can be used ({self._trouble()}): start one with "
                    '`dask worker`, in an environment with pip install "bluesky_xtag[dask]"'
                )
        except BaseException:
            self.close()
            raise
        self._key = key
        self._parcels = Parcels(model, self._workers, patience / 2, self._note_loss)

    def tag(self, frames: Iterable[Frame]) -> Iterator[Outcome]:
        """Yield what came of each frame, in their order."""
        waiting: deque[_Sent] = deque()
        try:
            for batch in batches(frames):
                for piece in self._pieces(batch):
                    waiting.append(self._send(piece))
                while len(waiting) > max(_AHEAD * self._cluster.threads(), 1):
                    yield from self._collect(waiting.popleft())
            while waiting:
                yield from self._collect(waiting.popleft())
        finally:
            for sent in waiting:
                if sent.future is not None and sent.worker is not None:
                    sent.worker.waiting -= 1

    def wait(self, workers: int, timeout: float = _START) -> bool:
        """Wait until so many workers have the model; return whether they do."""
        return self._cluster.wait(workers, timeout)

    def report_lines(self) -> list[str]:
        """Return, for a report, how many workers answer, and where frames were tagged."""
        ready, known = self._cluster.count()
        trouble = "" if ready else f" ({self._trouble()})"
        lines = [
            f"cluster   {self._address}: {ready} of {known} workers answer{trouble}; "
            f"{self.there} frames tagged there, {self.here} in this process"
        ]
        if self.losses:
            lines.append(f"lost      {self.losses} times; the last time {self._last_loss}")
        return lines

    def peak_memory(self) -> list[int]:
        """Return the most memory that each worker that answers has had so far, bytes; of this process without any."""
        asked, found = [], []
        for worker in self._cluster.ready():
            asked.append((worker, self._cluster.send(worker, peak_memory)))
        for worker, future in asked:
            try:
                if future is not None:
                    found.append(self._cluster.result(worker, future, time.monotonic() + self._patience))
            except Exception as error:
                logger.debug("the worker %s did not tell its memory: %s", worker.address, error)
        return found or self._scored_here.peak_memory()

    def close(self) -> None:
        """Leave the cluster; end it if it was started here."""
        if self._workers is not None:
            self._workers.close()
        if self._local is not None:
            self._local.close()
        self._scored_here.close()

    @property
    def _cluster(self) -> ClusterWorkers:
        assert self._workers is not None
        return self._workers

    def _connect(self, patience: float) -> ClientOfCluster:
        try:
            # Not Dask's default: Tiled's client computes with Dask in this process, and its data may not travel.
            return ClientOfCluster(self._local or self._address, timeout=patience, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise XTagError(
                f"the Dask scheduler {self._address} cannot be reached ({error}): give the address that "
                "`dask scheduler` prints, such as tls://host:8786; for TLS, name the certificates in Dask's "
                "configuration (distributed.comm.tls)"
            ) from error

    def _trouble(self) -> str:
        return hide_secrets(self._cluster.why()) if self._workers is not None else "it is not known yet"

    def _pieces(self, batch: list[Frame]) -> list[list[Frame]]:
        """Return what goes in one call: a burst is divided among workers, an archive is not."""
        threads = 1 if self._required else min(self._cluster.threads(), len(batch) // _FEW)
        return list(batches(batch, -(-len(batch) // max(threads, 1)))) if threads > 1 else [batch]

    def _send(self, frames: list[Frame]) -> _Sent:
        """Send frames to a worker; those that cannot be used have their outcome at once."""
        worker = self._cluster.choose()
        if worker is None:
            return _Sent(frames)
        parcels, masks = self._parcels.of(frames, worker)
        if not worker.is_ready:  # it was lost meanwhile
            return _Sent(frames)
        sent = _Sent(frames, parcels, worker)
        if questions := [parcel for parcel in parcels if isinstance(parcel, list)]:
            sent.future = self._cluster.send(worker, tag, self._key, questions, masks)
        return sent

    def _collect(self, sent: _Sent) -> list[Outcome]:
        worker = sent.worker
        questions = [isinstance(parcel, list) for parcel in sent.parcels]
        if worker is None or (any(questions) and sent.future is None):
            return self._tag_here(sent.frames)
        found: list[Any] = []
        if sent.future is not None:
            since = max(sent.at, worker.answered) if self._required else sent.at
            try:
                found = self._cluster.result(worker, sent.future, since + self._patience)
                if len(found) != sum(questions):
                    raise ValueError(f"{len(found)} outcomes for {sum(questions)} frames")
            except Exception as error:  # noqa: BLE001 - it may be anything that a cluster meets
                self._note_loss(worker, error)
                return self._tag_here(sent.frames)
        answers = iter(found)
        return [
            self._outcome(frame, parcel, next(answers), worker) if isinstance(parcel, list) else parcel
            for frame, parcel in zip(sent.frames, sent.parcels, strict=True)
        ]

    def _outcome(self, frame: Frame, question: Question, values: Any, worker: Worker) -> Outcome:
        result = outcome(frame.id, values)
        if isinstance(result, Tagging) and result.status == "unreadable" and question[3] is not None:
            (result,) = self._tag_here([frame])  # a file of it may be here only
            return result
        self.there += 1
        if isinstance(result, Tagging) and result.status == "ok":
            return replace(result, device=f"{worker.device} at {worker.address}")
        return result

    def _tag_here(self, frames: Sequence[Frame]) -> list[Outcome]:
        self.here += len(frames)
        return list(self._scored_here.tag(frames))

    def _note_loss(self, worker: Worker, error: Exception) -> None:
        late = isinstance(error, TimeoutError)
        reason = f"did not answer for {self._patience:g} s" if late else f"{type(error).__name__}: {error}"
        self.losses += 1
        self._last_loss = f"at {time.strftime('%H:%M:%S')}: {worker.address} {hide_secrets(reason)}"
        self._cluster.lose(worker, f"{reason}; frames are tagged in this process until it answers")


@dataclass(eq=False)
class _Sent:
    """Frames, what was sent of each, or its outcome, and who is to answer; nobody, if they are to be tagged here."""

    frames: list[Frame]
    parcels: Sequence[Question | Outcome] = ()
    worker: Worker | None = None
    future: Future | None = None

    def __post_init__(self) -> None:
        self.at = time.monotonic()


class _Elsewhere:
    """What is known of the model that workers serve."""

    def __init__(self, model: TagModel, address: str) -> None:
        self.name, self.version, self.sha256 = model.name, model.version, model.sha256
        self.taxonomy, self.thresholds, self.preparation = model.taxonomy, model.thresholds, model.preparation
        self.unpacks = getattr(model, "unpacks", False)
        self.device = f"Dask at {address}"


def _start_workers(count: int) -> LocalCluster:
    with dask.config.set(_LOCAL):
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=MEMORY,
            host="127.0.0.1",
            protocol="tls://",
            security=Security.temporary(),
            dashboard_address=cast(Any, None),
            # Else the scheduler's server of pages is at a port that another user's may have.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.ERROR,
        )
