"""What happens to a frame between its document and its tagging, off the RunEngine's thread.

The `FrameQueue` is bounded. The `Worker` hands frames to the backend and settles tickets; nothing that it meets can
reach the RunEngine. While no frame of a scan waits, it tags those that could not be read earlier.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ..documents import Status
from ..errors import XTagError, XTagValueError
from ..frames import Frame
from .backends import Backend
from .scoring import BATCH, NotReady, Outcome, check_scores, say
from .ticket import Ticket

if TYPE_CHECKING:
    from .shadow import Prepared, Shadow

__all__ = ["FrameQueue", "Policy", "Worker"]

logger = logging.getLogger("bluesky_xtag")

Policy = Literal["block", "drop_oldest", "drop_newest"]
_RETRY = 0.02  # seconds between two attempts to read a frame whose file is not there yet
# Seconds that a writer may have a file open without SWMR: before it switches SWMR on, or closes a file of one frame.
_MOMENT = 0.25
_HELD_KEPT = 256  # files


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

    def __bool__(self) -> bool:
        return bool(self._documents)

    def __len__(self) -> int:
        return len(self._documents)

    @property
    def size(self) -> int:
        """How many documents may wait."""
        return self._size

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
            loser.settle_rest("dropped", f"the queue of {limits} was full ({self._policy})")

    def _has_room(self, new: _Document | None) -> bool:
        if new is None or not self._documents:
            return True
        held = sum(document.held for document in self._documents)
        return len(self._documents) < self._size and (not new.held or held + new.held <= self._most_bytes)

    def _forget_done(self) -> None:
        for document in self._documents:
            document.forget_done()
        self._documents = deque(document for document in self._documents if document.tickets)

    def take(self, most: int, timeout: float | None) -> list[Taken]:
        """Return up to `most` frames, waiting up to `timeout` seconds (None: for ever) for the first."""
        taken: list[Taken] = []
        with self._changed:
            self._changed.wait_for(lambda: bool(self._documents), timeout)
            while self._documents and len(taken) < most:
                taken += self._documents[0].take(most - len(taken))
                if not self._documents[0].tickets:
                    self._documents.popleft()
            self._changed.notify_all()
        return taken


Taken: TypeAlias = tuple[Ticket, int]  # a frame: its ticket, and its position there


@dataclass(eq=False)
class _Document:
    """The tickets of a document that wait, and the bytes of pixels that it holds in memory."""

    tickets: deque[Ticket]
    held: int
    position: int = 0  # of the first ticket, from which on frames wait

    def forget_done(self) -> None:
        """Let tickets go whose outcomes are all known."""
        first = self.tickets[0] if self.tickets else None
        self.tickets = deque(waiting for waiting in self.tickets if not waiting.done)
        if self.tickets and self.tickets[0] is not first:
            self.position = 0

    def take(self, most: int) -> list[Taken]:
        """Take out up to `most` frames of the first ticket."""
        ticket = self.tickets[0]
        stop = min(self.position + most, ticket.limit)
        taken = [] if ticket.done else [(ticket, position) for position in range(self.position, stop)]
        self.position = stop
        if ticket.done or stop >= ticket.limit:
            self.tickets.popleft()
            self.position = 0
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
        self._not_ready: list[Taken] = []
        self._held: dict[str, float] = {}  # since when files are known to be held by their writer
        self._later: SimpleQueue[tuple[Sequence[Frame], Future[list[Outcome]]]] = SimpleQueue()
        self.shadow: Shadow | None = None
        self._stopped = threading.Event()
        # A daemon, so that a model that hangs cannot keep the session from ending.
        self._thread = threading.Thread(target=self._run, name="xtag-worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the thread tag what waits, close the backend and end; return without waiting for it."""
        self._stopped.set()

    def tag_later(self, frames: Sequence[Frame]) -> Future[list[Outcome]]:
        """Tag frames that nobody waits for, as soon as no frame of a scan waits; few at a time, so that none will."""
        future: Future[list[Outcome]] = Future()
        self._later.put((frames, future))
        return future

    def _run(self) -> None:
        busy = False  # with frames that nobody waits for: the next of them come in a moment
        while not self._stopped.is_set() or self._not_ready or self._queue:
            patience = _RETRY if self._not_ready or busy else 0.2
            taken = self._queue.take(BATCH, timeout=patience if self._later.empty() else 0.0)
            retried, self._not_ready = self._not_ready, []
            if not taken and not retried:
                busy = self._tag_later()
                continue
            if taken:
                time.sleep(max(0.0, taken[-1][0].arrived + self._head_start - time.monotonic()))
            try:
                self._tag(retried + taken)
            except XTagError as error:  # the backend is gone, and says why
                logger.warning("%d frames could not be tagged: %s", len(retried + taken), error)
                for ticket, position in retried + taken:
                    self._note(ticket, position, "failed", say(error))
            except BaseException as error:  # whatever it is, the frames must have their outcome
                logger.exception("the tagging of %d frames failed", len(taken))
                for ticket, position in retried + taken:
                    self._note(ticket, position, "failed", say(error))
        while not self._later.empty():
            self._later.get()[1].cancel()
        self._backend.close()

    def _tag_later(self) -> bool:
        """Tag a few frames that nobody waits for; return whether there were any."""
        try:
            frames, future = self._later.get_nowait()
        except Empty:
            return False
        try:
            future.set_result(list(self._backend.tag(frames)))
        except Exception as error:
            future.set_exception(error)
        return True

    def _tag(self, taken: list[Taken]) -> None:
        handed: deque[Taken] = deque()
        frames: deque[Frame] = deque()
        scored: list[tuple[Frame, float]] = []
        for outcome in self._backend.tag(_still_wanted(taken, handed, frames)):
            (ticket, position), frame = handed.popleft(), frames.popleft()
            self._settle(ticket, position, outcome)
            if getattr(outcome, "status", "") == "ok":
                scored.append((frame, ticket.arrived))
        if self.shadow is not None and scored:
            self._offer(self.shadow, scored)
        for ticket, position in handed:
            self._note(ticket, position, "failed", f"{type(self._backend).__name__} gave no outcome")

    def _offer(self, shadow: Shadow, scored: list[tuple[Frame, float]]) -> None:
        """Let the shadow model score the newest frames, if no other frame waits; the others are skipped."""
        try:
            room = 0 if self._queue or self._not_ready else shadow.room
            prepared: Prepared | None = {}  # of which frames nothing is known, these are skipped
            if room:
                backend: Any = self._backend
                prepared = backend.take_prepared(room) if shadow.shares else None
            shadow.offer(scored, prepared)
        except Exception:  # its own rows are all that it may cost
            logger.exception("%d frames could not be given to the shadow model", len(scored))

    def _settle(self, ticket: Ticket, position: int, outcome: Outcome) -> None:
        if isinstance(outcome, NotReady):
            ticket.note_problem(position, outcome.reason, outcome.held)
            if outcome.held and self._is_settled(outcome.held):
                self._note(ticket, position, "unreadable", outcome.reason)
            else:
                self._not_ready.append((ticket, position))
        elif outcome.status != "ok" or not ticket.expire():
            model = self._backend.model
            outcome = check_scores(outcome, model.taxonomy)
            device = (outcome.device or model.device) if outcome.status == "ok" else ""
            found = outcome.scores, outcome.tags, device, outcome.strengths
            self._note(ticket, position, outcome.status, outcome.reason, *found)

    def _note(self, ticket: Ticket, position: int, status: Status, reason: str, *scored: Any) -> None:
        if not ticket.settle(position, status, reason, *scored):
            logger.debug("%s came after the outcome of frame %s", status, ticket.frames.id(position))

    def _is_settled(self, path: str) -> bool:
        """Tell whether a file that its writer holds was held a moment ago, too: then it will not open soon."""
        now = time.monotonic()
        since = self._held.setdefault(path, now)
        if len(self._held) > _HELD_KEPT:
            del self._held[next(iter(self._held))]
        return now - since >= _MOMENT


def _still_wanted(taken: Iterable[Taken], handed: deque[Taken], frames: deque[Frame]) -> Iterator[Frame]:
    """Yield the frames without an outcome, looking only when each is asked for; note which these are."""
    for ticket, position in taken:
        frame = None if ticket.expire() else ticket.frame(position)
        if frame is not None:
            handed.append((ticket, position))
            frames.append(frame)
            yield frame
