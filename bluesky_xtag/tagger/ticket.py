"""The frames of a document on their way to their taggings.

The first outcome that reaches a frame wins, so one whose deadline has passed stays "late" whatever the model says
afterwards. A document may bring 100,000 frames: what is known of each is kept only where it differs from the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..documents import Status, Tagging
from ..frames import Frame, FrameRange

__all__ = ["Ticket"]

_AGAIN = "taken again after a pause"


class Ticket:
    """The frames of one data key that a document brought, by their positions in the document, and their outcomes.

    Parameters
    ----------
    frames : FrameRange
        The frames; their pixels are let go as soon as all outcomes are known.
    seconds : float
        The deadline, in seconds after the arrival (now).
    follow : callable, optional
        Called with the ticket whenever outcomes have become known, on whatever thread.
    """

    def __init__(
        self, frames: FrameRange, seconds: float, follow: Callable[[Ticket], object] = lambda ticket: None
    ) -> None:
        self.frames = frames
        self._follow = follow
        self.arrived = time.monotonic()
        self.deadline = self.arrived + seconds
        self.newest = -1
        """The last position whose outcome is known; -1 if none is."""
        self._lock = threading.Lock()
        self._outcomes: dict[int, _Outcome] = {}
        self._rest: _Outcome | None = None  # of all frames that have no outcome of their own
        self._limit = len(frames)  # the RunEngine rewound and takes the frames from here on again
        self._known = 0  # below the limit
        self._done_before = 0
        self._problems: dict[int, _Problem] = {}  # why pixels could not be read so far
        self._unread: list[Unread] = []
        self._fresh: list[int] = []  # positions whose outcomes became known since somebody asked
        self._fresh_rest = False
        self._watchers: list[_Watcher] = []

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def limit(self) -> int:
        """The position from which on frames are given up, because the RunEngine has rewound and takes them again."""
        return self._limit

    @property
    def done(self) -> bool:
        """Whether all outcomes are known."""
        return self._rest is not None or self._known >= self._limit

    @property
    def done_before(self) -> int:
        """The first position whose outcome is not known yet."""
        if self.done:
            return len(self)
        while self.knows(self._done_before):
            self._done_before += 1
        return self._done_before

    def knows(self, position: int) -> bool:
        """Return whether the outcome of a frame is known."""
        return position in self._outcomes or self._rest is not None or position >= self._limit

    def count_unknown(self, positions: range | frozenset[int]) -> int:
        """Return of how many frames the outcome is not known."""
        if self.done:
            return 0
        if len(positions) < len(self._outcomes):
            return sum(not self.knows(position) for position in positions)
        given_up = sum(position >= self._limit for position in positions) if max(positions) >= self._limit else 0
        return len(positions) - given_up - sum(each in positions for each in self._outcomes if each < self._limit)

    def frame(self, position: int) -> Frame | None:
        """Return a frame, or None once its outcome is known."""
        frames = self.frames
        return None if self.knows(position) else frames[position]

    def tagging(self, position: int) -> Tagging:
        """Return the outcome of a frame; only to be asked for when it is known."""
        outcome = self._outcomes.get(position) or self._rest
        if outcome is None:
            assert position >= self._limit
            outcome = _Outcome("dropped", _AGAIN, time.monotonic() - self.arrived)
        return Tagging(
            self.frames.id(position),
            outcome.status,
            outcome.scores,
            outcome.tags,
            outcome.latency,
            outcome.reason,
            outcome.device,
            outcome.strengths,
        )

    def rows(self, positions: Sequence[int]) -> tuple[dict[str, list[str | int]], list[Tagging]]:
        """Return which frames are at some positions, as columns, and their outcomes; frames may share one.

        Only to be asked for when they are known.
        """
        shared: dict[int, Tagging] = {}
        taggings = []
        for position in positions:
            outcome = self._outcomes.get(position, self._rest)
            if id(outcome) not in shared:
                shared[id(outcome)] = self.tagging(position)
            taggings.append(shared[id(outcome)])
        return self.frames.places(positions), taggings

    def settle(
        self,
        position: int,
        status: Status,
        reason: str = "",
        scores: Sequence[float] = (),
        tags: tuple[str, ...] = (),
        device: str = "",
        strengths: tuple[float, ...] = (),
    ) -> bool:
        """Set the outcome of a frame, unless there is one already; return whether it was the first."""
        latency = time.monotonic() - self.arrived
        scores = tuple(float(score) for score in scores)
        outcome = _Outcome(status, reason, latency, scores, tuple(tags), device, tuple(strengths))
        with self._lock:
            if self.knows(position):
                return False
            self._outcomes[position] = outcome
            self._known += 1
            self._note_unread(position, status, self._problems.pop(position, None))
            self.newest = max(self.newest, position)
            self._fresh.append(position)
            ended = self._end([watcher for watcher in self._watchers if watcher.count(position)])
        self._follow(self)
        for callback in ended:
            callback()
        return True

    def settle_rest(self, status: Status, reason: str = "") -> None:
        """Set the outcome of all frames that have none."""
        latency = time.monotonic() - self.arrived
        with self._lock:
            if self.done:
                return
            for position, problem in self._problems.items() if status == "late" else ():
                self._outcomes[position] = _Outcome("unreadable", problem.reason, latency)
                self._note_unread(position, "unreadable", problem)
            self._rest = _Outcome(status, reason, latency)
            self.newest = self._limit - 1
            self._fresh_rest = True
            ended = self._end(self._watchers)
        self._follow(self)
        for callback in ended:
            callback()

    def note_problem(self, position: int, reason: str, held: str = "") -> None:
        """Note why the pixels of a frame could not be read so far: if that stays so, they are unreadable.

        `held` is the file, if its writer has it open without SWMR.
        """
        with self._lock:
            if not self.knows(position):
                self._problems[position] = _Problem(reason, held)

    def take_unread(self) -> list[Unread]:
        """Return the frames whose pixels could not be read by now, those that were not returned before."""
        with self._lock:
            unread, self._unread = self._unread, []
        return unread

    def take_fresh(self, most: int) -> list[int]:
        """Return the positions whose outcomes became known since the last call; of many the last ones."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
            if self._fresh_rest:
                self._fresh_rest = False
                fresh += [each for each in range(max(self._limit - most, 0), self._limit) if each not in self._outcomes]
        return fresh[-most:]

    def _note_unread(self, position: int, status: Status, problem: _Problem | None) -> None:
        if status == "unreadable" and problem is not None and position < self._limit:
            self._unread.append(Unread(self.frames[position], problem.reason, problem.held))

    def expire(self, early: bool = False) -> bool:
        """Settle all frames if their deadline has passed, or before it; return whether all outcomes are known."""
        if not self.done and (early or time.monotonic() >= self.deadline):
            self.settle_rest("late", "not scored by its deadline")
        return self.done

    def supersede(self, position: int) -> None:
        """Give the frames from a position on up, because the RunEngine has rewound and takes them again."""
        with self._lock:
            self._limit = min(self._limit, position)
            self._known = sum(each < self._limit for each in self._outcomes)
            ended = self._end([watcher for watcher in self._watchers if watcher.recount(self)])
        for callback in ended:
            callback()

    def watch(self, positions: Sequence[int], callback: Callable[[], None]) -> None:
        """Call `callback` once the outcomes of some frames are known (at once if they are), on whatever thread."""
        watcher = _Watcher(positions, callback)
        with self._lock:
            if not watcher.recount(self):
                self._watchers.append(watcher)
                return
        callback()

    def _end(self, watchers: list[_Watcher]) -> list[Callable[[], None]]:
        """Take watchers out, whose callbacks are to be called without the lock; let pixels go that nobody needs."""
        ended = [watcher.callback for watcher in watchers]
        self._watchers = [watcher for watcher in self._watchers if watcher not in watchers]
        if self.done:
            self._problems.clear()
            self.frames = replace(self.frames, mask=None, source=_let_go)
        return ended


@dataclass(frozen=True, slots=True)
class Unread:
    """A frame whose pixels could not be read in time.

    Parameters
    ----------
    frame : Frame
        The frame.
    reason : str
        Why not.
    held : str
        The file, if its writer has it open without SWMR.
    """

    frame: Frame
    reason: str
    held: str


@dataclass(frozen=True, slots=True)
class _Problem:
    reason: str
    held: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: Status
    reason: str
    latency: float
    scores: tuple[float, ...] = ()
    tags: tuple[str, ...] = ()
    device: str = ""
    strengths: tuple[float, ...] = ()


class _Watcher:
    """Counts the frames at some positions whose outcome is not known."""

    def __init__(self, positions: Sequence[int], callback: Callable[[], None]) -> None:
        self.callback = callback
        self._positions = positions if isinstance(positions, range) else frozenset(positions)
        self._left = 0

    def count(self, position: int) -> bool:
        """Note that an outcome is known; return whether all are."""
        self._left -= position in self._positions
        return self._left <= 0

    def recount(self, ticket: Ticket) -> bool:
        """Count again; return whether all outcomes are known."""
        self._left = 0 if ticket.done else ticket.count_unknown(self._positions)
        return self._left <= 0


def _let_go(event: int) -> object:
    raise LookupError("the outcome of this frame is known, and its pixels were let go")
