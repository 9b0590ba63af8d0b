"""What happens to a frame between its document and its tagging, off the RunEngine's thread.

The `FrameQueue` is bounded. The `Worker` hands frames to the backend and settles tickets; nothing that it meets can
reach the RunEngine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
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
    """A bounded queue of tickets.

    Parameters
    ----------
    size : int
        How many frames may wait; a frame in the event itself keeps its pixels in memory while it waits.
    policy : {"drop_oldest", "drop_newest", "block"}
        What gives way when the queue is full. "block" holds the RunEngine back, until the frame's deadline at most.
    """

    def __init__(self, size: int = 64, policy: Policy = "drop_oldest") -> None:
        if not (isinstance(size, int) and size >= 1):
            raise XTagValueError(f"queue_size is {size}; a queue needs room for a whole number of frames, at least 1")
        if policy not in get_args(Policy):
            raise XTagValueError(f"policy {policy!r} is not known; choose one of {', '.join(get_args(Policy))}")
        self._size = size
        self._policy = policy
        self._tickets: deque[Ticket] = deque()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._tickets)

    def put(self, ticket: Ticket) -> None:
        """Append a ticket; when the queue is full, the one that the policy names is settled as "dropped"."""
        with self._changed:
            if len(self._tickets) >= self._size:
                self._tickets = deque(waiting for waiting in self._tickets if not waiting.done)
            if self._policy == "block":
                self._changed.wait_for(
                    lambda: len(self._tickets) < self._size, timeout=ticket.deadline - time.monotonic()
                )
            loser = self._make_room(ticket)
            if loser is not ticket:
                self._tickets.append(ticket)
            self._changed.notify_all()
        if loser is not None:
            loser.settle("dropped", f"the queue of {self._size} frames was full ({self._policy})")

    def _make_room(self, ticket: Ticket) -> Ticket | None:
        if len(self._tickets) < self._size:
            return None
        return self._tickets.popleft() if self._policy == "drop_oldest" else ticket

    def take(self, most: int, timeout: float | None) -> list[Ticket]:
        """Return up to `most` tickets, waiting up to `timeout` seconds (None: for ever) for the first."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._tickets), timeout)
            taken = [self._tickets.popleft() for _ in range(min(most, len(self._tickets)))]
            self._changed.notify_all()
        return taken


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
