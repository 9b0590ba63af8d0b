"""A second model that looks on: it scores the frames of a tagger in the time that is left.

Its rows are a stream of their own in the same run, so that two models can be compared on real scans before one takes
the place of the other. It works in a process of its own, which gets processor time only where nothing else wants it, so
whatever happens to it costs its own rows only. A frame for which there is no time is skipped, and counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bluesky.protocols import Reading
from event_model import DataKey, PartialEventPage

from .. import documents
from ..documents import SKIPPED, FrameId, Tagging
from ..errors import ModelError, XTagError
from ..frames import Frame, FrameRange, address_of
from ..model import ModelCard, Preparation
from .backends import ProcessBackend, is_possible, origin
from .row_device import RowDevice
from .scoring import Outcome, check_scores, finish, say
from .shadow_account import ShadowAccount
from .statistics import Statistics
from .status import TaggingStatus

if TYPE_CHECKING:
    import numpy as np

    from ..model import ServedModel, TagModel
    from .deadlines import Deadlines

__all__ = ["Prepared", "Shadow", "make_shadow"]

logger = logging.getLogger("bluesky_xtag")

Prepared = Mapping[FrameId, Mapping[str, "np.ndarray"]]
"""What a network sees of frames: arrays by the name of the input."""

_IN_HAND = 4  # frames that wait for the shadow or are being scored; more are skipped
_SHARE = 0.005  # of the time of a run, that the RunEngine may spend on the shadow's rows
_LOOK = 0.1  # seconds between two looks whether the tagger's own model has started


@dataclass(eq=False)
class _Job:
    """A frame for the shadow: with what the network sees of it, or to be read and prepared by the shadow itself."""

    frame: Frame
    inputs: Mapping[str, np.ndarray] | None
    arrived: float


class Shadow(RowDevice):
    """A model that scores the frames of a tagger in the time that is left, and gives their rows to the RunEngine.

    Made by `make_shadow`. It is a Readable and an EventPageCollectable of its own, whose stream is "tags_shadow".

    Parameters
    ----------
    tagger : str
        The name of the tagger.
    model : TagModel, str or Path
        The model, or its directory.
    card : ServedModel
        What is known of the model.
    shares : bool
        Whether it prepares frames as the tagger's model does, so that it is given what that one's network saw.
    is_ready : callable
        Tells whether the tagger's own model has started: the shadow starts after it.
    deadlines : Deadlines
        The tagger's.

    Attributes
    ----------
    statistics : Statistics
        Counts and times of its rows.
    skipped : int
        Frames for which there was no time, of all runs that have ended.
    """

    def __init__(
        self,
        tagger: str,
        model: TagModel | str | Path,
        card: ServedModel | ModelCard,
        shares: bool,
        is_ready: Callable[[], bool],
        deadlines: Deadlines,
    ) -> None:
        self.name = f"{tagger}_shadow"
        self.shares = shares
        self.statistics = Statistics()
        self.skipped = 0
        self._model = model
        self._card: Any = card
        self._is_ready = is_ready
        self._deadlines = deadlines
        self._backend: ProcessBackend | None = None
        self._ready = False
        self._jobs: deque[_Job] = deque()
        self._runs: dict[str, ShadowAccount] = {}
        self._prepared: tuple[FrameId, ...] = ()
        self._said: set[str] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="xtag-shadow", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Shadow {self.name!r}: {self.model.name} {self.model.version}>"

    @property
    def model(self) -> ServedModel:
        """The model whose rows these are."""
        return self._backend.model if self._backend is not None else cast("ServedModel", _NotYet(self._card))

    def stop(self) -> None:
        """End the process and the thread; return without waiting for them."""
        with self._changed:
            self._stopped = True
            self._jobs.clear()
            self._changed.notify_all()
        if self._backend is not None:
            self._backend.close()

    def report_lines(self) -> list[str]:
        """Return, for a report, what came of its frames."""
        with self._changed:
            skipped = self.skipped + sum(account.skipped for account in self._runs.values())
        _, rows, latency, *_ = str(self.statistics).splitlines()
        shown = f"{self.model.name} {self.model.version} on {self.model.device}"
        return [f"shadow    {shown}: {skipped} frames skipped, for which no time was left", f"  {rows}", f"  {latency}"]

    # What the tagger tells

    def open(self, run: str) -> None:
        """Note that a run begins."""
        with self._changed:
            self._runs[run] = ShadowAccount()

    def take(self, frames: FrameRange) -> None:
        """Note frames of an open run; `offer` tells which of them may be scored."""
        with self._changed:
            if account := self._runs.get(frames.run):
                account.take(frames)

    def close(self, run: str) -> None:
        """Note that a run has ended."""
        with self._changed:
            if account := self._runs.pop(run, None):
                self.skipped += account.without_row()[0]

    def checkpoint(self) -> None:
        """Forget what has its row: the RunEngine will never ask for what was before its last checkpoint."""
        with self._changed:
            for account in self._runs.values():
                account.found = {frame: each for frame, each in account.found.items() if frame not in account.rows}

    @property
    def is_ready(self) -> bool:
        """Whether its model has started: before, all frames are skipped."""
        return self._takes()

    @property
    def room(self) -> int:
        """How many more frames may be offered now."""
        with self._changed:
            return self._room() if self._takes() else 0

    def _takes(self) -> bool:
        return self._ready and not self._stopped

    def _room(self) -> int:
        return _IN_HAND - sum(account.in_hand for account in self._runs.values())

    def offer(self, frames: Sequence[tuple[Frame, float]], prepared: Prepared | None) -> None:
        """Score frames, or skip them where there is no room.

        Parameters
        ----------
        frames : sequence of (Frame, float)
            Frames that the tagger's model has scored, each with the time of `time.monotonic` at which its document
            came.
        prepared : mapping or None
            What that model's network saw of them, if it is the same for this one: a frame that is not there is skipped.
            None if they are to be prepared anew.
        """
        with self._changed:
            for frame, arrived in frames:
                account = self._runs.get(frame.id.run)
                if account is None:
                    continue
                inputs = None if prepared is None else prepared.get(frame.id)
                can_be_had = _is_at_hand(frame) if prepared is None else inputs is not None
                if can_be_had and self._takes() and self._room() > 0:
                    account.in_hand += 1
                    self._jobs.append(_Job(frame, inputs, arrived))
                else:
                    account.skipped += 1
            self._changed.notify_all()

    # The thread

    def _work(self) -> None:
        try:
            self._start()
            while (job := self._next()) is not None:
                outcome = self._score(job)
                self._settle(job, outcome)
        except Exception:
            logger.exception("the shadow model stops; the scan goes on")
        finally:
            with self._changed:
                self._stopped = True
                self._jobs.clear()
                for account in self._runs.values():
                    account.in_hand = 0
            if self._backend is not None:
                self._backend.close()

    def _start(self) -> None:
        """Start the process once the tagger's own model is there."""
        while not self._is_ready():
            with self._changed:
                if self._changed.wait_for(lambda: self._stopped, _LOOK):
                    return
        self._backend = ProcessBackend(self._model, humble=True)
        while not self._backend.wait_ready(_LOOK):
            if self._stopped:
                return
        with self._changed:
            self._ready = True
            self._changed.notify_all()

    def _next(self) -> _Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._stopped)
            return None if self._stopped else self._jobs.popleft()

    def _score(self, job: _Job) -> Tagging:
        assert self._backend is not None
        frame = job.frame
        try:
            if job.inputs is None:
                (outcome,) = self._backend.tag([frame])
            else:
                (outcome,) = self._backend.tag_prepared({frame.id: job.inputs})
        except Exception as error:  # noqa: BLE001 - whatever it is, the scan goes on
            outcome = Tagging(frame.id, "failed", reason=say(error))
        tagging = check_scores(finish(cast(Outcome, outcome), self.model.device), self.model.taxonomy)
        if tagging.status == "failed" and tagging.reason not in self._said and not self._stopped:
            self._said.add(tagging.reason)
            logger.warning("the shadow model could not score frame %s: %s; the scan goes on", frame.id, tagging.reason)
        return replace(tagging, frame=frame.id, latency=time.monotonic() - job.arrived)

    def _settle(self, job: _Job, tagging: Tagging) -> None:
        with self._changed:
            account = self._runs.get(job.frame.id.run)
            if account is not None:
                account.in_hand -= 1
                if account.has(tagging.frame):
                    account.found.pop(tagging.frame, None)
                    account.found[tagging.frame] = tagging
                    account.waiting.append(tagging.frame)
            self._changed.notify_all()

    # What the preprocessor asks

    def ready(self, run: str, most: int) -> list[FrameId]:
        """Return frames that are scored and have no row yet, at most so many; each is returned once."""
        with self._changed:
            account = self._runs.get(run)
            if account is None:
                return []
            return [account.waiting.popleft() for _ in range(min(most, len(account.waiting)))]

    def is_busy(self, run: str) -> bool:
        """Return whether a frame of the run is being scored."""
        with self._changed:
            return run in self._runs and self._runs[run].in_hand > 0

    def patience(self, run: str) -> float:
        """Return how many seconds a run may still spend on the shadow: of a small share of what it has taken so far."""
        with self._changed:
            account = self._runs.get(run)
            return -1.0 if account is None else _SHARE * (time.monotonic() - account.began) - account.cost

    def charge(self, run: str, seconds: float) -> None:
        """Note that the rows of the shadow have held up a run."""
        with self._changed:
            if account := self._runs.get(run):
                account.cost += seconds

    def last(self, run: str) -> list[FrameId]:
        """Return the frame of the last row of a run, if a row must still tell how many were skipped.

        It is one that is scored, if any waits for its row, else the last one that was skipped, whose row is "dropped".
        Other frames that were skipped have no row. Nothing more of the run is scored.
        """
        with self._changed:
            account = self._runs.get(run)
            if account is None:
                return []
            self._jobs = deque(job for job in self._jobs if job.frame.id.run != run)
            count, frame = account.without_row()
            if account.waiting:
                count, frame = count - 1, account.waiting.pop()
                account.waiting.clear()
            elif frame is None or account.told == count:
                return []
            account.skipped = count
            return [frame]

    # The Readable, and the EventPageCollectable

    def prepare(self, value: Sequence[FrameId]) -> TaggingStatus:
        """Choose the frames that `read` or `collect_pages` then give."""
        self._prepared = tuple(value)
        return TaggingStatus([], self._deadlines)

    def read(self) -> dict[str, Reading]:
        """Return the row of the chosen frame; "dropped" if it is not scored."""
        now = time.time()
        (row,) = self._rows(self._prepared[:1] or (FrameId("", "", "", 0, 0),))
        return {column: {"value": value, "timestamp": now} for column, value in row.items()}

    def describe(self) -> dict[str, DataKey]:
        """Return the data keys of the columns."""
        return super().describe() | {self._skipped_column: SKIPPED.key(self.name)}

    def collect_pages(self) -> Iterator[PartialEventPage]:
        """Yield one page with the rows of the chosen frames."""
        rows = list(self._rows(self._prepared))
        if rows:
            data = {column: [row[column] for row in rows] for column in rows[0]}
            now = [time.time()] * len(rows)
            yield cast("PartialEventPage", {"data": data, "timestamps": dict.fromkeys(data, now), "time": now})

    @property
    def _skipped_column(self) -> str:
        return documents.column(self.name, SKIPPED.suffix)

    def _rows(self, frames: Sequence[FrameId]) -> Iterator[dict[str, Any]]:
        for frame in frames:
            with self._changed:
                account = self._runs.get(frame.run) or ShadowAccount()
                tagging = account.found.get(frame)
                if tagging is None:
                    tagging = Tagging(frame, "dropped", latency=0.0, reason="there was no time for the shadow")
                else:
                    account.rows.add(frame)
                account.told = account.skipped
                self.statistics.add([tagging])
            row = documents.row(self.name, self.model.taxonomy, tagging)
            yield row | {self._skipped_column: SKIPPED.fill(account.skipped)}


class _NotYet:
    """What is known of a model that is not loaded yet."""

    device = "unknown"

    def __init__(self, card: Any) -> None:
        self._card = card

    def __getattr__(self, name: str) -> Any:
        return getattr(self._card, name)


def make_shadow(
    tagger: str,
    served: ServedModel,
    shadow: TagModel | str | Path,
    can_share: bool,
    is_ready: Callable[[], bool],
    deadlines: Deadlines,
) -> Shadow | None:
    """Return a shadow of a tagger; None, with a warning, where it cannot be had: the tagger does without.

    Parameters
    ----------
    tagger : str
        The tagger's name.
    served : ServedModel
        The tagger's own model.
    shadow : TagModel, str or Path
        The model that looks on, or its directory.
    can_share : bool
        Whether the tagger's backend gives away what its network saw.
    is_ready, deadlines
        As of `Shadow`.
    """
    model = origin(shadow)
    try:
        if not is_possible():
            raise XTagError("it needs a process of its own, and that needs Linux")
        card = ModelCard.load(model) if isinstance(model, str | Path) else model
        shares = can_share and isinstance(card.preparation, Preparation) and served.preparation == card.preparation
        return Shadow(tagger, model, card, shares, is_ready, deadlines)
    except (ModelError, XTagError, OSError) as error:
        logger.warning("%s has no shadow model: %s", tagger, error)
        return None


def _is_at_hand(frame: Frame) -> bool:
    """Tell whether another process can read a frame, or its pixels are in memory: nothing is read twice here."""
    return address_of(frame) is not None or hasattr(frame.source, "value")
