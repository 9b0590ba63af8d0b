"""The frames of an open run, as a shadow model accounts for them."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from ..documents import FrameId, Tagging
from ..frames import FrameRange

__all__ = ["ShadowAccount"]


@dataclass(eq=False)
class ShadowAccount:
    """What a shadow model knows of an open run: which frames were taken, which are scored, and which have their row."""

    began: float = field(default_factory=time.monotonic)
    taken: list[FrameRange] = field(default_factory=list)
    in_hand: int = 0
    skipped: int = 0
    cost: float = 0.0  # seconds for which rows have held up the run
    waiting: deque[FrameId] = field(default_factory=deque)  # scored, without a row
    found: dict[FrameId, Tagging] = field(default_factory=dict)
    rows: set[FrameId] = field(default_factory=set)
    told: int | None = None  # the number of skipped frames in the last row
    next: dict[tuple[str, str], int] = field(default_factory=dict)  # sequence number, by stream and key

    def take(self, frames: FrameRange) -> None:
        """Note frames; those that come again after a pause take the place of the earlier ones."""
        place = frames.stream, frames.key
        if frames.first < self.next.get(place, 0):
            self._forget(frames)
        self.next[place] = frames.first + frames.events
        self.taken.append(replace(frames, mask=None, source=_gone))

    def has(self, frame: FrameId) -> bool:
        """Tell whether a frame was not taken again since."""
        return any(frame.event == each.event for each in reversed(self.taken))

    def _forget(self, again: FrameRange) -> None:
        def is_gone(frame: FrameId) -> bool:
            return (frame.stream, frame.key) == (again.stream, again.key) and frame.seq_num >= again.first

        kept = []
        for each in self.taken:
            if (each.stream, each.key) == (again.stream, again.key):
                each = replace(each, events=max(0, min(each.events, again.first - each.first)))
            if each.events:
                kept.append(each)
        self.taken = kept
        self.waiting = deque(frame for frame in self.waiting if not is_gone(frame))
        self.found = {frame: tagging for frame, tagging in self.found.items() if not is_gone(frame)}
        self.rows = {frame for frame in self.rows if not is_gone(frame)}

    def without_row(self) -> tuple[int, FrameId | None]:
        """Return how many frames have no row, and the last of them."""
        count = sum(map(len, self.taken)) - len(self.rows)
        if count <= 0:
            return 0, None
        for frames in reversed(self.taken):
            for position in reversed(range(len(frames))):
                if (frame := frames.id(position)) not in self.rows:
                    return count, frame
        return 0, None


def _gone(event: int) -> Any:
    raise LookupError("a shadow keeps no pixels")
