"""Who hears of frames and of their outcomes as soon as they are known, before their rows are emitted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakSet

from ..documents import Tagging
from ..frames import FrameRange
from .ticket import Ticket

__all__ = ["Follower", "Followers"]

logger = logging.getLogger("bluesky_xtag")

_MOST = 10_000  # outcomes of a document that are told at once


class Follower(Protocol):
    """What follows a scan."""

    def take_frames(self, frames: FrameRange) -> Any:
        """Take the frames that a document brought, quickly: the RunEngine waits."""
        ...

    def take_taggings(self, taggings: Sequence[Tagging]) -> Any:
        """Take outcomes, quickly, on whatever thread."""
        ...


class Followers:
    """Tells followers, as long as they live; what one of them raises reaches neither the scan nor the frames."""

    def __init__(self) -> None:
        self._all: WeakSet[Follower] = WeakSet()

    def add(self, follower: Follower) -> None:
        """Tell a follower from now on."""
        self._all.add(follower)

    def remove(self, follower: Follower) -> None:
        """Tell a follower nothing more."""
        self._all.discard(follower)

    def tell_frames(self, frames: FrameRange) -> None:
        """Tell that a document brought frames."""
        for follower in list(self._all):
            try:
                follower.take_frames(frames)
            except Exception:
                logger.exception("%r could not follow the scan", follower)

    def tell_taggings(self, ticket: Ticket) -> None:
        """Tell the outcomes that became known since the last call; of many the last ones."""
        fresh = ticket.take_fresh(_MOST)
        if not self._all:
            return
        taggings = [ticket.tagging(position) for position in fresh]
        for follower in list(self._all):
            try:
                follower.take_taggings(taggings)
            except Exception:
                logger.exception("%r could not follow the scan", follower)
