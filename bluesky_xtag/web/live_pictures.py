"""Pictures of the newest frame of a running scan, drawn in a thread of its own while somebody looks."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from ..frames import Frame
from ..model import unbroken
from ..view import draw_thumbnail

__all__ = ["LivePictures"]

logger = logging.getLogger("bluesky_xtag")

_SIDE = 384  # pixels of the longest side
_APART = 1.0  # seconds between two pictures at least: drawing one takes turns in Python with the scan
_KEPT = 8


class LivePictures:
    """Draws the newest frame that it was given, and leaves out those in between.

    Parameters
    ----------
    is_seen : callable
        Returns whether somebody looks; nothing is read or drawn for nobody.
    done : callable
        Called with what `offer` was given beside the frame, and the number of the picture.
    """

    def __init__(self, is_seen: Callable[[], bool], done: Callable[[tuple[str, int], int], object]) -> None:
        self._is_seen = is_seen
        self._done = done
        self._newest: tuple[Frame, tuple[str, int]] | None = None
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._number = 0
        self._changed = threading.Condition()
        self._closed = threading.Event()
        # A daemon: reading a file on a server that is away may take for ever.
        self._thread = threading.Thread(target=self._work, name="xtag-live-pictures", daemon=True)
        self._thread.start()

    def offer(self, frame: Frame, place: tuple[str, int]) -> None:
        """Take the newest frame, and the run and place that it belongs to; never waits."""
        with self._changed:
            self._newest = frame, place
            self._changed.notify_all()

    def wake(self) -> None:
        """Look again whether somebody looks."""
        with self._changed:
            self._changed.notify_all()

    def get(self, number: int) -> bytes | None:
        """Return a picture as WebP; None if it is not kept any more."""
        with self._changed:
            return self._kept.get(number)

    def close(self) -> None:
        """End the thread, without waiting for what it reads."""
        self._closed.set()
        self.wake()
        self._thread.join(1)

    def _work(self) -> None:
        while not self._closed.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._closed.is_set() or (self._newest is not None and self._is_seen()))
                newest, self._newest = self._newest, None
            if newest is None or self._closed.is_set():
                continue
            frame, place = newest
            try:
                with unbroken():
                    picture = draw_thumbnail(frame.pixels(), frame.mask, _SIDE)
            except Exception as error:  # noqa: BLE001 - readers of formats are foreign code
                logger.debug("the newest frame cannot be shown: %s", error)
            else:
                with self._changed:
                    self._number += 1
                    self._kept[self._number] = picture
                    while len(self._kept) > _KEPT:
                        self._kept.popitem(last=False)
                self._done(place, self._number)
            del newest, frame
            self._closed.wait(_APART)
