"""Which frames of which run still wait for their row in the "tags" stream.

The RunEngine may take points again: after a pause it rewinds to the last checkpoint and emits sequence numbers a
second time, replaying the very messages that were sent before. So a row is asked for by its `FrameId`, which
the replayed message carries too, and an id always leads to the frame that was taken last.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import overload

from ..documents import FrameId
from .ticket import Ticket

__all__ = ["Addresses", "Ledger", "Part"]


@dataclass(frozen=True, eq=False)
class Part:
    """Frames of one ticket, by their positions in it."""

    ticket: Ticket
    positions: Sequence[int]

    def ids(self) -> Iterator[FrameId]:
        """Yield which frames they are."""
        return self.ticket.frames.ids(self.positions)


class Addresses(Sequence[FrameId]):
    """Which frames, in their order; each id is made when it is asked for."""

    def __init__(self, parts: Iterable[Part] = ()) -> None:
        self.parts = tuple(part for part in parts if part.positions)

    def __len__(self) -> int:
        return sum(len(part.positions) for part in self.parts)

    def __iter__(self) -> Iterator[FrameId]:
        return (frame for part in self.parts for frame in part.ids())

    @overload
    def __getitem__(self, place: int) -> FrameId: ...

    @overload
    def __getitem__(self, place: slice) -> Addresses: ...

    def __getitem__(self, place: int | slice) -> FrameId | Addresses:
        if isinstance(place, int):
            place = range(len(self))[place]
            (frame,) = self[place : place + 1]
            return frame
        first, stop, step = place.indices(len(self))
        assert step == 1, "frames have one order"
        parts, before = [], 0
        for part in self.parts:
            of_part = part.positions[max(first - before, 0) : max(stop - before, 0)]
            parts.append(Part(part.ticket, of_part))
            before += len(part.positions)
        return Addresses(parts)

    def __repr__(self) -> str:
        return f"<{len(self)} frames>"


@dataclass(eq=False)
class _Entry:
    """A ticket, and which of its frames have their row."""

    ticket: Ticket
    order: int
    first: int = 0  # all before have their row
    written: set[int] = field(default_factory=set)  # so have these

    def unwritten(self) -> Sequence[int]:
        positions = range(self.first, self.ticket.limit)
        return [each for each in positions if each not in self.written] if self.written else positions

    def write(self, positions: Sequence[int]) -> Sequence[int]:
        """Note rows; return the positions that had none, and that were not given up."""
        limit = self.ticket.limit
        if isinstance(positions, range) and positions[0] == self.first and not self.written:
            new = range(self.first, min(positions[-1] + 1, limit))
            self.first = max(self.first, new.stop)
            return new
        new = [each for each in positions if self.first <= each < limit and each not in self.written]
        self.written.update(new)
        while self.first in self.written:
            self.written.remove(self.first)
            self.first += 1
        return new


class _Images:
    """The entries of one data key of one stream, by sequence number."""

    def __init__(self) -> None:
        self.single: dict[int, _Entry] = {}
        self.several: list[tuple[int, int, _Entry]] = []  # those of many numbers: first, order, entry; by the first

    def add(self, entry: _Entry) -> int | None:
        """Enter a ticket; return the first of its numbers that was there before, if any."""
        frames = entry.ticket.frames
        first, stop = frames.first, frames.first + frames.events
        if frames.events == 1:
            known = [first] if self.find(first) else []
            self.single[first] = entry
            return known[0] if known else None
        numbers = range(first, stop)
        known = [number for number in numbers if number in self.single] if len(numbers) < len(self.single) else []
        known = known or [number for number in self.single if number in numbers]
        known += [max(first, each) for each, _, other in self._tail(first) if each < stop and _stop(other) > first]
        again = min(known, default=None)
        if again is not None:  # what came from there on before is never asked for any more
            self.several = [each for each in self.several if each[0] < again]
        insort(self.several, (first, entry.order, entry), key=lambda each: each[:2])
        return again

    def cut(self, seq_num: int, new: Ticket) -> None:
        """Give up what entries of many numbers have from a number on, whether their rows are written or not."""
        for _, _, entry in self._tail(seq_num):
            if entry.ticket is not new and _stop(entry) > seq_num:
                entry.ticket.supersede(max(entry.ticket.frames.position(seq_num), 0))

    def find(self, seq_num: int) -> _Entry | None:
        """Return the entry that was made last of those that have a number."""
        single = self.single.get(seq_num)
        place = bisect_right(self.several, seq_num, key=lambda each: each[0])
        for _, _, entry in reversed(self.several[max(place - _OVERLAP, 0) : place]):
            if seq_num < _stop(entry):
                return entry if single is None or single.order < entry.order else single
        return single

    def _tail(self, seq_num: int) -> list[tuple[int, int, _Entry]]:
        """Return the entries of many numbers that may reach beyond a number."""
        place = bisect_right(self.several, seq_num, key=lambda each: each[0])
        return self.several[max(place - _OVERLAP, 0) :]


_OVERLAP = 2  # entries of many numbers that may have the same one: that before a rewinding, and that after it


def _stop(entry: _Entry) -> int:
    return entry.ticket.frames.first + entry.ticket.frames.events


class _Account:
    """The tickets of a run."""

    def __init__(self) -> None:
        self.waiting: dict[Ticket, _Entry] = {}  # with frames that have no row, in order of arrival
        self.images: defaultdict[tuple[str, str], _Images] = defaultdict(_Images)

    def enter(self, entry: _Entry) -> int | None:
        """Enter a ticket; return the first of its numbers that was there before, if any."""
        frames = entry.ticket.frames
        return self.images[frames.stream, frames.key].add(entry)


class Ledger:
    """Tickets by run, and those of their frames that have no row yet, in order of arrival.

    Its methods may be called from any thread: monitored streams emit documents from threads of their own.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._accounts: dict[str, _Account] = {}
        self._order = count()

    def open(self, run: str) -> None:
        """Start the account of a run."""
        with self._lock:
            self._accounts[run] = _Account()

    def is_open(self, run: str) -> bool:
        """Return whether the account of a run was opened and not closed yet."""
        with self._lock:
            return run in self._accounts

    def forget_written(self) -> None:
        """Let the tickets go whose rows are written."""
        with self._lock:
            for account in self._accounts.values():
                account.images.clear()
                for entry in account.waiting.values():
                    account.enter(entry)

    def close(self, run: str) -> int:
        """End the account of a run; return how many frames never got a row."""
        with self._lock:
            lost = len(self.unwritten(run))
            self._accounts.pop(run, None)
            return lost

    def add(self, ticket: Ticket) -> int:
        """Enter a ticket; return how many frames it supersedes.

        When a sequence number of a stream comes again, the RunEngine has rewound: the frames of that number and
        later that have no row yet will be taken again, so they are forgotten.
        """
        frames = ticket.frames
        with self._lock:
            account = self._accounts.setdefault(frames.run, _Account())
            entry = _Entry(ticket, next(self._order))
            again = account.enter(entry)
            gone = 0 if again is None else self._supersede(account, ticket, again)
            account.waiting[ticket] = entry
        return gone

    def _supersede(self, account: _Account, new: Ticket, seq_num: int) -> int:
        """Forget the frames of a number and later, of the same images, that have no row; return how many."""
        gone = 0
        for ticket, entry in list(account.waiting.items()):
            frames = ticket.frames
            if (frames.stream, frames.key) == (new.frames.stream, new.frames.key):
                before = len(entry.unwritten())
                ticket.supersede(max(frames.position(seq_num), 0))
                gone += before - len(entry.unwritten())
                if not entry.unwritten():
                    del account.waiting[ticket]
        account.images[new.frames.stream, new.frames.key].cut(seq_num, new)
        return gone

    def unwritten(self, run: str) -> Addresses:
        """Return the frames without a row, in order of arrival."""
        with self._lock:
            account = self._accounts.get(run)
            entries = list(account.waiting.values()) if account else []
            return Addresses(Part(entry.ticket, entry.unwritten()) for entry in entries)

    def ready(self, run: str) -> Addresses:
        """Return those frames of `unwritten` whose outcome is known, up to the first whose outcome is not."""
        parts = []
        for part in self.unwritten(run).parts:
            if not part.ticket.expire():
                known = part.ticket.done_before
                positions = part.positions
                at = bisect_right(positions, known - 1)
                parts.append(Part(part.ticket, positions[:at]))
                break
            parts.append(part)
        return Addresses(parts)

    def newest_run(self) -> str:
        """Return the run of the oldest frame of `newest`; without one, the run that is open, "" unless there is one."""
        with self._lock:
            for run in reversed(self._accounts):
                if self._accounts[run].waiting:
                    return run
            return next(iter(self._accounts)) if len(self._accounts) == 1 else ""

    def newest(self) -> Addresses:
        """Return the frame to read when nobody said which: the oldest unwritten one of the newest run."""
        with self._lock:
            for run in reversed(self._accounts):
                if found := self.unwritten(run):
                    return found[:1]
        return Addresses()

    def find(self, frames: Sequence[FrameId]) -> list[Part]:
        """Return where these frames are; those of runs that are closed lead nowhere."""
        with self._lock:
            if not isinstance(frames, Addresses):
                return list(self._find_each(frames))
            found: list[Part] = []
            for part in frames.parts:
                if part.positions[-1] >= part.ticket.limit:  # taken again since
                    found += self._find_each(part.ids())
                elif part.ticket.frames.run in self._accounts:
                    found.append(part)
            return found

    def _find_each(self, frames: Iterable[FrameId]) -> Iterator[Part]:
        """Yield where frames are, those that follow each other in one ticket together."""
        ticket, first, stop, limit = None, 0, 0, 0
        for frame in frames:
            if ticket is not None and stop < limit and ticket.frames.is_at(frame, stop):
                stop += 1
                continue
            if ticket is not None:
                yield Part(ticket, range(first, stop))
            entry = self._find_one(frame)
            ticket = entry.ticket if entry else None
            if ticket is not None:
                first = ticket.frames.position(frame.seq_num, frame.index)
                stop, limit = first + 1, ticket.limit
        if ticket is not None:
            yield Part(ticket, range(first, stop))

    def _find_one(self, frame: FrameId) -> _Entry | None:
        account = self._accounts.get(frame.run)
        images = account.images.get((frame.stream, frame.key)) if account else None
        return images.find(frame.seq_num) if images else None

    def note_written(self, part: Part) -> Sequence[int]:
        """Note that rows were given for these frames; return the positions of those that had none before."""
        with self._lock:
            account = self._accounts.get(part.ticket.frames.run)
            entry = account.waiting.get(part.ticket) if account else None
            if account is None or entry is None:
                return []
            new = entry.write(part.positions)
            if entry.first >= part.ticket.limit:
                del account.waiting[part.ticket]
            return new
