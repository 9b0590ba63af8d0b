"""A frame on its way to its tagging.

The first outcome that reaches a ticket wins, so one whose deadline has passed stays "late" whatever the model says
afterwards.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError

from ..documents import Status, Tagging
from ..frames import Frame

__all__ = ["Ticket"]

logger = logging.getLogger("bluesky_xtag")


class Ticket:
    """A frame on its way to its tagging.

    Parameters
    ----------
    frame : Frame
        The frame; let go as soon as the outcome is known, so that no pixels are held for longer.
    seconds : float
        The deadline, in seconds after the arrival (now).
    """

    def __init__(self, frame: Frame, seconds: float) -> None:
        self.id = frame.id
        self.arrived = time.monotonic()
        self.deadline = self.arrived + seconds
        self.superseded = False  # the RunEngine rewound and takes this frame again
        self.problem = ""  # why the pixels could not be read so far
        self._frame: Frame | None = frame
        self._outcome: Future[Tagging] = Future()

    @property
    def frame(self) -> Frame | None:
        """The frame, or None once the outcome is known."""
        return self._frame

    @property
    def done(self) -> bool:
        """Whether the outcome is known."""
        return self._outcome.done()

    @property
    def tagging(self) -> Tagging:
        """The outcome; only to be asked for when `done`."""
        return self._outcome.result(timeout=0)

    def settle(
        self, status: Status, reason: str = "", scores: Sequence[float] = (), tags: tuple[str, ...] = ()
    ) -> None:
        """Set the outcome, unless there is one already: the first wins."""
        tagging = Tagging(
            frame=self.id,
            status=status,
            scores=tuple(float(score) for score in scores),
            tags=tags,
            latency=time.monotonic() - self.arrived,
            reason=reason,
        )
        self._frame = None
        try:
            self._outcome.set_result(tagging)
        except InvalidStateError:
            logger.debug("%s came after the outcome of frame %s", status, self.id)

    def expire(self) -> bool:
        """Settle the ticket if its deadline has passed; return whether the outcome is known."""
        if not self.done and time.monotonic() >= self.deadline:
            if self.problem:
                self.settle("unreadable", self.problem)
            else:
                self.settle("late", "not scored by its deadline")
        return self.done

    def supersede(self) -> None:
        """Give the frame up, because the RunEngine has rewound and takes it again."""
        self.superseded = True
        self.settle("dropped", "taken again after a pause")

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outcome is known (at once if it is), on whatever thread sets it."""
        self._outcome.add_done_callback(lambda _: callback())
