"""Looks for new runs in a catalogue while somebody has the page open, and tells the pages what changed."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from ..errors import hide_secrets
from .frame_index import FrameIndex

__all__ = ["News"]

logger = logging.getLogger("bluesky_xtag")

_PAUSE = 1.0  # seconds between two looks at the catalogue
_AWAY = 5.0  # seconds until the next look at one that did not answer


class News:
    """Refreshes an index in a thread of its own, and hands its state to any number of pages.

    A page gets the newest state whenever it is ready for it, so a slow one costs no memory and holds nobody up.

    Parameters
    ----------
    index : FrameIndex
        The index.
    """

    def __init__(self, index: FrameIndex) -> None:
        self._index = index
        self._stop = threading.Event()
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._pages: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._number = 0
        self._loading = True
        self._read = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._work, name="xtag-news", daemon=True)

    def start(self, at_once: bool = True) -> None:
        """Begin to read the catalogue, at once or as soon as somebody looks at its frames."""
        if at_once:
            self._wanted.set()
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._stop.set()
            self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def state(self) -> dict[str, Any]:
        """Return what pages are told: it has a number, which grows with each change."""
        columns = self._index.columns()
        with self._lock:
            return {
                "number": self._number,
                "version": columns.version,
                "frames": sum(map(len, columns.runs)),
                "runs": len(columns.runs),
                "without_tags": self._index.without_tags,
                "loading": self._loading,
                "trouble": self._trouble,
            }

    def join(self) -> asyncio.Event:
        """Return an event of the running loop that is set at each change from now on."""
        event = asyncio.Event()
        with self._lock:
            self._pages[event] = asyncio.get_running_loop()
        self._wanted.set()
        return event

    def leave(self, event: asyncio.Event) -> None:
        """Forget an event of `join`."""
        with self._lock:
            self._pages.pop(event, None)

    def wait(self, seconds: float) -> None:
        """Wait until the catalogue is read, but not longer than so many seconds."""
        self._read.wait(seconds)

    def tell(self) -> None:
        """Tell all pages that something changed; may be called from any thread."""
        with self._lock:
            self._number += 1
            pages = dict(self._pages)
        for event, loop in pages.items():
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # the loop has ended
                self.leave(event)

    def _work(self) -> None:
        self._wanted.wait()
        while not self._stop.is_set():
            self._look()
            self._stop.wait(_AWAY if self._trouble else _PAUSE)
            with self._lock:
                idle = not self._pages and not self._loading
                if idle and not self._stop.is_set():
                    self._wanted.clear()
            self._wanted.wait()

    def _look(self) -> None:
        trouble = ""
        try:
            changed = self._index.refresh(self._stop, on_read=self.tell)
        except Exception as error:  # noqa: BLE001 - clients of catalogues raise anything
            changed, trouble = True, hide_secrets(f"the catalogue does not answer ({type(error).__name__}: {error})")
        is_new = bool(trouble) and trouble != self._trouble
        with self._lock:
            changed = changed or self._loading != bool(trouble) or trouble != self._trouble
            self._loading, self._trouble = self._loading and bool(trouble), trouble
        if not self._loading:
            self._read.set()
        if is_new:
            logger.warning("%s: the page shows what was read before, and tries again", trouble)
        if changed:
            self.tell()
