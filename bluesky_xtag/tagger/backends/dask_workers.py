"""The workers of a Dask cluster that answer. A thread of its own looks after them, so that nobody waits for one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, cast

from distributed import Client, Future

from ...errors import hide_secrets
from .dask_tasks import load

__all__ = ["ClientOfCluster", "ClusterWorkers", "Worker"]

logger = logging.getLogger("bluesky_xtag")

_LOOK = 0.5  # seconds between two looks at the cluster
_LONGEST_PAUSE = 30.0  # seconds until a worker that failed is asked again
_HERE = version("bluesky_xtag")
_PARTING = 2.0  # seconds to leave a cluster that does not answer


class ClientOfCluster(Client):
    """Dask's client, which leaves nothing behind; arguments are those of `distributed.Client`.

    Where Dask's own cannot connect, its thread stays. And the garbage collector closes what is not closed by then, in
    whatever thread it runs, perhaps the RunEngine's: it would wait there for a scheduler that does not answer, and for
    a lock that is held while another client is made.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            super().__init__(*arguments, **options)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Close it and end its thread, also where the cluster does not answer; nothing is raised."""
        with suppress(Exception):
            self.close(timeout=_PARTING)
        with suppress(Exception):
            self._loop_runner.stop()

    def __del__(self) -> None:
        pass


@dataclass(eq=False)
class Worker:
    """A worker of the cluster.

    Attributes
    ----------
    address : str
        Its address.
    threads : int
        How many calls it works on at once.
    device : str
        What its model runs on; empty until it is loaded.
    is_ready : bool
        Whether it has the model and answered the last time.
    waiting : int
        How many calls it has not answered yet.
    answered : float
        When it answered last, of `time.monotonic`.
    seen : dict
        Whether it sees the files of a directory, and when that was asked.
    """

    address: str
    threads: int
    device: str = ""
    is_ready: bool = False
    waiting: int = 0
    answered: float = 0.0
    seen: dict[str, tuple[bool, float]] = field(default_factory=dict)
    trouble: str = ""
    _probe: Future | None = None
    _has_model: bool = False
    _pause: float = _LOOK
    _next_probe: float = 0.0

    def probe(self, client: Client, key: str, parts: bytes, follow: Callable[[], object]) -> bool:
        """Ask for the model without waiting, load it where it is not; return whether the worker became ready."""
        if self.is_ready:
            return False
        if self._probe is None:
            if time.monotonic() >= self._next_probe:
                sent = b"" if self._has_model else parts
                options = {"workers": [self.address], "allow_other_workers": False, "pure": False}
                self._probe = probe = client.submit(load, key, sent, **options)
                probe.add_done_callback(lambda _: follow())
            return False
        if not self._probe.done():
            return False
        probe, self._probe = self._probe, None
        try:
            device, there = probe.result(timeout=_LOOK)
        except Exception as error:  # noqa: BLE001 - whatever a machine that is not ours raises
            self._has_model = False
            if not isinstance(error, LookupError):  # it is another process by now: it gets the model
                self.delay(f"{type(error).__name__}: {error}")
            return False
        if there != _HERE:
            self.delay(f"it has bluesky_xtag {there}, and this process {_HERE}: install the same")
            return False
        self.device, self.is_ready, self._has_model, self.trouble = device, True, True, ""
        return True

    def delay(self, trouble: str) -> None:
        """Note a trouble; the longer it lasts, the later the worker is asked again."""
        if trouble != self.trouble:
            logger.warning("the Dask worker %s cannot be used: %s", self.address, hide_secrets(trouble))
        self.trouble, self.is_ready = trouble, False
        self._next_probe = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def doubt(self) -> None:
        """Use it no more until it has answered once more, which it is asked at once."""
        self.is_ready = False

    def note_answer(self) -> None:
        """Note that it answered."""
        self.answered, self._pause = time.monotonic(), _LOOK


class ClusterWorkers:
    """The workers that answer, of a cluster that may come and go.

    Parameters
    ----------
    connect : callable
        Returns a client of the cluster; raises what Dask raises where it cannot be reached.
    key : str
        By which the workers keep the model.
    parts : bytes
        The pickled model.
    patience : float
        Seconds after which the scheduler counts as lost.
    """

    def __init__(self, connect: Callable[[], ClientOfCluster], key: str, parts: bytes, patience: float) -> None:
        self._connect, self._key, self._parts, self._patience = connect, key, parts, patience
        self._client: ClientOfCluster | None = None
        self._workers: dict[str, Worker] = {}
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._look_now = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="xtag-dask", daemon=True)
        self._thread.start()

    def choose(self) -> Worker | None:
        """Return the worker that answers and has least to do; None if there is none."""
        with self._changed:
            ready = self._ready()
            # In turns where they have equally little to do, so that one that hangs is noticed.
            return min(ready, key=lambda worker: (worker.waiting / worker.threads, worker.answered), default=None)

    def threads(self) -> int:
        """Return how many calls the workers that answer work on at once."""
        with self._changed:
            return sum(worker.threads for worker in self._ready())

    def count(self) -> tuple[int, int]:
        """Return how many workers answer, and how many there are."""
        with self._changed:
            return len(self._ready()), len(self._workers)

    def ready(self) -> list[Worker]:
        """Return the workers that answer."""
        with self._changed:
            return self._ready()

    def why(self) -> str:
        """Return why no worker can be used."""
        with self._changed:
            troubles = [worker.trouble for worker in self._workers.values() if worker.trouble]
            return self._trouble or next(iter(troubles), "its workers have not loaded the model yet")

    def wait(self, count: int, timeout: float) -> bool:
        """Wait until so many workers answer; return whether they do."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._ready()) >= count or self._stopped.is_set(), timeout)

    def send(self, worker: Worker, function: Callable[..., Any], *arguments: Any) -> Future | None:
        """Call a function on a worker without waiting; return None if the cluster is gone."""
        client = self._client
        if client is None or client.status != "running":
            return None
        options = {"workers": [worker.address], "allow_other_workers": False, "pure": False}
        try:
            future = client.submit(function, *arguments, **options)
        except Exception as error:  # noqa: BLE001 - a client that is just closing raises anything
            self.lose(worker, f"{type(error).__name__}: {error}")
            return None
        worker.waiting += 1
        return future

    def result(self, worker: Worker, future: Future, until: float) -> Any:
        """Return what a call gave; raises what it raised, or TimeoutError. It counts as answered or given up."""
        try:
            found = future.result(timeout=max(until - time.monotonic(), 0.001))
            worker.note_answer()
            return found
        finally:
            worker.waiting -= 1

    def lose(self, worker: Worker, reason: str) -> None:
        """Use a worker no more until it answers again; the others are asked at once, as it may be the scheduler."""
        with self._changed:
            if worker.is_ready:
                worker.delay(reason)
            for other in self._workers.values():
                other.doubt()
            self._look_now.set()

    def close(self) -> None:
        """Leave the cluster; return soon, also where it does not answer."""
        self._stopped.set()
        self._look_now.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(5)

    def _ready(self) -> list[Worker]:
        client = self._client
        if client is None or client.status != "running":
            return []
        return [worker for worker in self._workers.values() if worker.is_ready]

    # The thread

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._look()
            except TimeoutError:
                self._lose_all("its scheduler does not answer")
            except Exception as error:
                self._lose_all(str(error) or type(error).__name__)
                logger.debug("the Dask cluster", exc_info=True)
            self._look_now.wait(_LOOK)
            self._look_now.clear()
        self._leave()

    def _look(self) -> None:
        """Connect if need be, see which workers there are, and ask those that are not ready."""
        client = self._client
        if client is None or client.status == "closed":
            self._leave()
            client = self._client = self._connect()
        if client.status != "running":
            raise ConnectionError("the connection to the scheduler is lost")
        scheduler, patience = cast(Any, client.scheduler), max(self._patience, 1.0)
        cores = cast("dict[str, int]", client.sync(scheduler.ncores, workers=None, callback_timeout=patience))
        with self._changed:
            self._trouble = "" if cores else "it has no workers"
            for gone in set(self._workers) - set(cores):
                del self._workers[gone]
            for address in set(cores) - set(self._workers):
                self._workers[address] = Worker(address, cores[address])
            known = list(self._workers.values())
        for worker in known:
            if worker.probe(client, self._key, self._parts, self._look_now.set):
                with self._changed:
                    self._changed.notify_all()

    def _lose_all(self, trouble: str) -> None:
        if trouble != self._trouble and not self._stopped.is_set():
            logger.warning("the Dask cluster cannot be used, so frames are tagged here: %s", hide_secrets(trouble))
        with self._changed:
            self._trouble = trouble
            for worker in self._workers.values():
                worker.doubt()

    def _leave(self) -> None:
        client, self._client = self._client, None
        with self._changed:
            self._workers.clear()
        if client is not None:
            client.leave()
