"""What was told to live pages, numbered: a page that missed something gets it again, or all that is known."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

__all__ = ["LiveLog"]

_MESSAGES = 512
_BYTES = 8 * 2**20


class LiveLog:
    """A bounded list of messages, for any number of pages. All methods may be called from any thread.

    Each page reads from where it is. So a page on a slow line costs no memory, and holds nobody up: when what it needs
    next is not kept any more, it gets all that is known instead.

    Parameters
    ----------
    make_whole : callable
        Returns all that is known, and calls for no message meanwhile.
    messages, size : int
        How many messages are kept, and how many bytes of them.
    """

    def __init__(
        self, make_whole: Callable[[], Mapping[str, Any]], messages: int = _MESSAGES, size: int = _BYTES
    ) -> None:
        self.session = secrets.token_hex(6)
        """A name of this list: numbers of another one mean nothing here."""
        self._make_whole = make_whole
        self._most, self._size = messages, size
        self._kept: deque[bytes] = deque()
        self._bytes = 0
        self._number = 0  # of the newest message
        self._lock = threading.Lock()
        self._pages: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._snapshot: tuple[int, bytes] = (-1, b"")

    @property
    def pages(self) -> int:
        """How many pages are there."""
        return len(self._pages)

    def add(self, changes: Mapping[str, Any]) -> None:
        """Keep what changed under the next number, and wake the pages."""
        with self._lock:
            self._number += 1
            message = self._message(changes, whole=False)
            self._kept.append(message)
            self._bytes += len(message)
            while len(self._kept) > self._most or (self._bytes > self._size and len(self._kept) > 1):
                self._bytes -= len(self._kept.popleft())
            pages = dict(self._pages)
        for event, loop in pages.items():
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # the loop has ended
                self.leave(event)

    def start_of(self, session: str, number: int) -> int:
        """Return after which message a page goes on that has those up to a number; -1 if it needs all."""
        with self._lock:
            return number if session == self.session and 0 <= number <= self._number else -1

    def since(self, number: int) -> tuple[int, list[bytes]] | None:
        """Return the newest number, and the messages after another one; None if they are not kept any more."""
        with self._lock:
            oldest = self._number - len(self._kept)
            if number < oldest:
                return None
            return self._number, [self._kept[place] for place in range(number - oldest, len(self._kept))]

    def whole(self) -> tuple[int, bytes]:
        """Return the newest number, and a message with all that is known. May take some 10 ms."""
        with self._lock:
            if self._snapshot[0] != self._number:  # many pages may ask at once
                self._snapshot = self._number, self._message(self._make_whole(), whole=True)
            return self._snapshot

    def join(self) -> asyncio.Event:
        """Return an event of the running loop that is set with each message from now on."""
        event = asyncio.Event()
        with self._lock:
            self._pages[event] = asyncio.get_running_loop()
        return event

    def leave(self, event: asyncio.Event) -> None:
        """Forget an event of `join`."""
        with self._lock:
            self._pages.pop(event, None)

    def _message(self, told: Mapping[str, Any], whole: bool) -> bytes:
        return orjson.dumps({"session": self.session, "number": self._number, "whole": whole, **told})
