"""What happens to a frame between its document and its tagging, off the RunEngine's thread.

The `FrameQueue` is bounded. The `Worker` hands frames to the backend and settles tickets; nothing that it meets can
reach the RunEngine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import XTagValueError
from ..frames import Frame
from .backends import Backend
from .scoring import BATCH, NotReady, Outcome, say
from .ticket import Ticket

__all__ = ["FrameQueue", "Policy", "Worker"]

logger = logging.getLogger("bluesky_xtag")

Policy = Literal["block", "drop_oldest", "drop_newest"]
_RETRY = 0.02  # seconds between two attempts to read a frame whose file is not there yet


class FrameQueue:
    """A bounded queue of tickets, grouped by the document that brought them.

    Frames that lie in files cost nothing while they wait, and a document may bring hundreds at once: so documents are
    counted, and the bytes of pixels that lie in them.

    Parameters
    ----------
    size : int
        How many documents with frames may wait.
    policy : {"drop_oldest", "drop_newest", "block"}
        What gives way when the queue is full: the frames of the oldest document, or those of the new one. "block" holds
        the RunEngine back, until the deadline of the document's frames at most.
    most_bytes : int
        How many bytes of pixels may wait. One document alone may bring more.
    """

    def __init__(self, size: int = 64, policy: Policy = "drop_oldest", most_bytes: int = 2**30) -> None:
        for name, value in (("queue_size", size), ("queue_bytes", most_bytes)):
            if not (isinstance(value, int) and value >= 1):
                raise XTagValueError(f"{name} is {value}; a queue needs a whole number, at least 1")
        if policy not in get_args(Policy):
            raise XTagValueError(f"policy {policy!r} is not known; choose one of {', '.join(get_args(Policy))}")
        self._size = size
        self._most_bytes = most_bytes
        self._policy = policy
        self._documents: deque[_Document] = deque()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return sum(len(document.tickets) for document in list(self._documents))

    def put(self, tickets: Sequence[Ticket], held: int = 0) -> None:
        """Append the tickets of a document; when the queue is full, those that the policy names are "dropped".

        Parameters
        ----------
        tickets : sequence of Ticket
            The tickets.
        held : int
            Bytes of pixels that the document keeps in memory while its frames wait.
        """
        if not tickets:
            return
        new = _Document(deque(tickets), held)
        losers: list[Ticket] = []
        with self._changed:
            if not self._has_room(new):
                self._forget_done()
            if self._policy == "block":
                self._changed.wait_for(lambda: self._has_room(new), timeout=tickets[0].deadline - time.monotonic())
            while not self._has_room(new):
                if self._policy != "drop_oldest":
                    losers, new = list(tickets), None
                    break
                losers += self._documents.popleft().tickets
            if new is not None:
                self._documents.append(new)
            self._changed.notify_all()
        for loser in losers:
            limits = f"{self._size} documents and {self._most_bytes / 2**20:.0f} MiB"
            loser.settle("dropped", f"the queue of {limits} was full ({self._policy})")

    def _has_room(self, new: _Document | None) -> bool:
        if new is None or not self._documents:
            return True
        held = sum(document.held for document in self._documents)
        return len(self._documents) < self._size and (not new.held or held + new.held <= self._most_bytes)

    def _forget_done(self) -> None:
        for document in self._documents:
            document.tickets = deque(waiting for waiting in document.tickets if not waiting.done)
        self._documents = deque(document for document in self._documents if document.tickets)

    def take(self, most: int, timeout: float | None) -> list[Ticket]:
        """Return up to `most` tickets, waiting up to `timeout` seconds (None: for ever) for the first."""
        taken: list[Ticket] = []
        with self._changed:
            self._changed.wait_for(lambda: bool(self._documents), timeout)
            while self._documents and len(taken) < most:
                document = self._documents[0]
                taken.append(document.tickets.popleft())
                if not document.tickets:
                    self._documents.popleft()
            self._changed.notify_all()
        return taken


@dataclass(eq=False)
class _Document:
    """The tickets of a document that wait, and the bytes of pixels that it holds in memory."""

    tickets: deque[Ticket]
    held: int


class Worker:
    """The thread that turns tickets into taggings.

    Parameters
    ----------
    backend : Backend
        Where inference runs.
    queue : FrameQueue
        Where the tickets come from.
    head_start : float
        Seconds that the RunEngine gets after a frame's document before work on the frame begins: its thread and this
        one take turns in Python, and what it does right after a document is to start the next move or exposure.
    """

    def __init__(self, backend: Backend, queue: FrameQueue, head_start: float = 0.0) -> None:
        self._backend = backend
        self._queue = queue
        self._head_start = head_start
        self._not_ready: list[Ticket] = []
        self._stopped = threading.Event()
        # A daemon, so that a model that hangs cannot keep the session from ending.
        self._thread = threading.Thread(target=self._run, name="xtag-worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the thread tag what waits, close the backend and end; return without waiting for it."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set() or self._not_ready or self._queue:
            tickets = self._queue.take(BATCH, timeout=_RETRY if self._not_ready else 0.2)
            retried, self._not_ready = self._not_ready, []
            if tickets:
                time.sleep(max(0.0, tickets[-1].arrived + self._head_start - time.monotonic()))
            try:
                self._tag(retried + tickets)
            except Exception as error:  # whatever it is, the frames must have their outcome
                logger.exception("the tagging of %d frames failed", len(tickets))
                for ticket in retried + tickets:
                    ticket.settle("failed", say(error))
        self._backend.close()

    def _tag(self, tickets: list[Ticket]) -> None:
        handed: deque[Ticket] = deque()
        for outcome in self._backend.tag(_still_wanted(tickets, handed)):
            self._settle(handed.popleft(), outcome)
        for ticket in handed:
            ticket.settle("failed", f"{type(self._backend).__name__} gave no outcome")

    def _settle(self, ticket: Ticket, outcome: Outcome) -> None:
        if isinstance(outcome, NotReady):
            ticket.problem = outcome.reason
            self._not_ready.append(ticket)
        elif outcome.status != "ok" or not ticket.expire():
            ticket.settle(outcome.status, outcome.reason, outcome.scores, outcome.tags)


def _still_wanted(tickets: Iterable[Ticket], handed: deque[Ticket]) -> Iterator[Frame]:
    """Yield the frames of tickets without an outcome, looking only when each is asked for; note which these are."""
    for ticket in tickets:
        frame = ticket.frame
        if frame is not None and not ticket.expire():
            handed.append(ticket)
            yield frame
