"""Follows the runs of a tagger for the live page, without ever holding up the RunEngine.

The RunEngine's thread takes scalars out of a document and hands them over. A thread of the feed's own keeps the state
and tells the pages; another one draws the newest frame.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from ..documents import Tagging
from ..frames import FrameRange
from ..model import DEFAULT_TAXONOMY
from ..review import MOST_TAGS, assign_keys
from ..tagger import Tagger
from ..view import Background
from .live_colours import live_colour
from .live_log import LiveLog
from .live_notes import FramesNote, NoteMaker
from .live_pictures import LivePictures
from .live_state import LiveState

__all__ = ["LiveFeed"]

logger = logging.getLogger("bluesky_xtag")

_WAITING = 10_000  # notes that wait for the feed's thread
_APART = 0.2  # seconds between two messages to the pages at least
_HELD = 64 * 2**20  # bytes of pixels in documents that are kept for a picture
_RANGES = 64  # documents
_MUST = ("start", "motors", "stop")  # kinds of notes without which the rest means nothing


class LiveFeed:
    """Hears documents and outcomes of a tagger, and tells them to pages.

    Attributes
    ----------
    log : LiveLog
        What pages read.
    pictures : LivePictures
        Pictures of the newest frames.

    Parameters
    ----------
    tagger : Tagger
        The tagger; it is followed from now on.
    """

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger
        model = tagger.model
        self._tags = tuple(model.taxonomy.names)
        self._model = f"{model.name} {model.version}"
        self._notes = NoteMaker()
        self._state = LiveState(self._tags, [float(each) for each in model.thresholds])
        self._state_lock = threading.Lock()
        self._ranges: deque[tuple[FrameRange, int]] = deque()
        self._left_out = 0
        self._told = 0.0
        self._engine_state = ""
        self._closed = False
        self.log = LiveLog(self._whole)
        self._background: Background[tuple[str, Any]] = Background(
            self._take, self._tell, lambda: False, _WAITING, "the live page"
        )
        self.pictures = LivePictures(lambda: self.log.pages > 0, self._take_picture)
        tagger.listen(self)
        tagger.followers.add(self)

    def close(self) -> None:
        """Follow the tagger no more."""
        self._closed = True
        self._tagger.followers.remove(self)
        self.pictures.close()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything so far is told. Return False if the time is over before."""
        return self._background.wait(timeout)

    def about(self) -> Mapping[str, Any]:
        """Return what a page needs to know once: the tags with their colours, ranks and keys, and the model."""
        known = {tag.name: tag for tag in DEFAULT_TAXONOMY.tags}
        names = list(dict.fromkeys([*DEFAULT_TAXONOMY.names, *self._tags]))
        keys = assign_keys(names[:MOST_TAGS])
        tags = [
            {
                "name": name,
                "key": keys.get(name, ""),
                "colour": live_colour(name),
                "rank": known[name].rank if name in known else 0,
                "definition": known[name].definition if name in known else "",
            }
            for name in self._tags
        ]
        return {"tags": tags, "model": self._model, "tagger": self._tagger.name}

    # What the tagger calls: on the RunEngine's thread, or on that of the outcomes

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document. This method never waits and never raises."""
        if self._closed:
            return
        try:
            note = self._notes(name, doc)
        except Exception:
            logger.exception("the live page could not use a document (%s)", name)
            return
        if note is not None:
            self._background.put(note, must=note[0] in _MUST)

    def take_frames(self, frames: FrameRange) -> None:
        """Take the frames that a document brought."""
        self._ranges.append((frames, frames.held))
        while len(self._ranges) > 1 and (len(self._ranges) > _RANGES or sum(held for _, held in self._ranges) > _HELD):
            self._ranges.popleft()
        parts = frames.run, frames.stream, frames.key, frames.event, frames.first, frames.events, frames.images
        self._background.put(("frames", FramesNote(*parts, time.time())))

    def take_taggings(self, taggings: Sequence[Tagging]) -> None:
        """Take outcomes."""
        if taggings:
            self._background.put(("taggings", taggings))

    # What a page's line calls, some times a second: of a pause there is no document

    def look(self) -> None:
        """Tell the pages what the RunEngine does, if that has changed."""
        state = self._tagger.engine_state
        if state != self._engine_state:
            self._engine_state = state
            self._background.put(("look", None))

    # What the feed's thread does

    def _take(self, note: tuple[str, Any]) -> None:
        kind, content = note
        if kind == "look":
            return
        if kind != "taggings":
            with self._state_lock:
                if kind == "picture":
                    self._state.take_picture(*content)
                else:
                    self._state.take(kind, content)
            return
        with self._state_lock:
            last = self._state.take_taggings(content)
        if last is not None:
            self._offer(*last)

    def _offer(self, tagging: Tagging, place: int) -> None:
        """Have the frame of an outcome drawn, if its pixels can still be had."""
        frame = tagging.frame
        for frames, _ in reversed(tuple(self._ranges)):
            position = frames.position(frame.seq_num, frame.index)
            if frames.event == frame.event and 0 <= position < len(frames) and frames.is_at(frame, position):
                self.pictures.offer(frames[position], (frame.run, place))
                return

    def _tell(self) -> bool:
        """Tell the pages what changed, some times a second; return whether something waits for that."""
        self._left_out += self._background.take_dropped()
        with self._state_lock:
            self._state.set_around(
                waiting=self._tagger.waiting,
                capacity=self._tagger.capacity,
                left_out=self._left_out,
                engine=self._tagger.engine_state,
            )
            if not self._state.changed:
                return False
            now = time.monotonic()
            if now - self._told < _APART:
                return True
            self._told = now
            changes = self._state.take_changes()
        self.log.add(changes)
        return False

    def _take_picture(self, place: tuple[str, int], number: int) -> None:
        self._background.put(("picture", (*place, number)))

    def _whole(self) -> Mapping[str, Any]:
        with self._state_lock:
            return self._state.whole()
