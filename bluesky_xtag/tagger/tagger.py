"""The Tagger: a document callback and a Readable in one object.

As a callback it takes over the frames that documents bring, in well under a millisecond. As a Readable (and, for fly
scans, an EventPageCollectable) it gives their rows back to the RunEngine, which emits them as the stream "tags".
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args
from weakref import WeakSet

from bluesky.protocols import Hints, Reading
from event_model import DataKey, PartialEventPage

from .. import documents
from ..documents import FrameId, Tagging
from ..errors import XTagValueError
from ..frames import FrameAssembler, FrameSelection, Mask, bytes_held, warm
from .backends import Backend, make_backend
from .ledger import Ledger
from .statistics import Statistics
from .status import TaggingStatus
from .ticket import Ticket
from .worker import FrameQueue, Policy, Worker

if TYPE_CHECKING:
    from ..model import ServedModel, TagModel

__all__ = ["Mask", "Tagger", "Wait"]

logger = logging.getLogger("bluesky_xtag")

Wait = Literal["overlap", "point"]
_HEAD_START = 0.005  # seconds; a RunEngine spends 3 to 4 ms on a point beside moves and exposures


class Listener(Protocol):
    """What hears the documents that a tagger takes."""

    def __call__(self, name: str, doc: Any) -> Any:
        """Take a document, quickly: the RunEngine waits."""
        ...


class Tagger:
    """Tags the frames of runs while they are taken.

    Usually made by `bluesky_xtag.install`. By itself it is a document callback, ``RE.subscribe(tagger)``, and a device
    that plans read after a detector: ``yield from bps.trigger_and_read([tagger], name="tags")``.

    Parameters
    ----------
    model : TagModel, str or Path, optional
        The model, or its directory; the packaged one if None.
    key : str or sequence of str, optional
        The data keys that hold images; found from the descriptors if None.
    streams : sequence of str, optional
        The streams to watch; if None all but "baseline" and those of darks and flat fields.
    beam_centre : tuple, optional
        The beam centre (x, y) in pixels, or the names of the two data or configuration keys that hold it; if None it
        is looked for under the usual names.
    mask : array, str or Path, or a mapping of these, optional
        Pixels that must not be used: an array or a file, see `load_mask`; or one for each data key.
    root_map : mapping of str to str, optional
        Where directories that documents name are on this machine, as event-model and databroker have it:
        ``{"/detector/mount": "/data"}``.
    backend : str or Backend
        Where inference runs: the name of one of `bluesky_xtag.tagger.BACKENDS`, or a backend, which has a model of its
        own.
    wait : {"overlap", "point"}
        "overlap" writes a row when it is ready, behind motion and exposure; "point" holds the plan after each point
        until its tags are known.
    deadline : float
        Seconds after its document's arrival within which a frame must be scored.
    queue_size : int
        How many documents with frames may wait for the backend, each with all its frames.
    queue_bytes : int
        How many bytes of pixels may wait that lie in the documents themselves; those in files cost nothing.
    policy : {"drop_oldest", "drop_newest", "block"}
        What gives way when the queue is full.
    on_error : {"record", "raise"}
        "record" turns every trouble into the status of a row; "raise", for tests, lets it fail the plan.
    name : str
        First part of the column names.

    Attributes
    ----------
    statistics : Statistics
        Counts and times since the tagger was made.
    closing : contextlib.ExitStack
        What `uninstall` undoes, last first.
    """

    parent = None  # a device of its own

    def __init__(
        self,
        model: TagModel | str | Path | None = None,
        *,
        key: str | Sequence[str] | None = None,
        streams: Sequence[str] | None = None,
        beam_centre: tuple[float, float] | tuple[str, str] | None = None,
        mask: Mask | Mapping[str, Mask] | None = None,
        root_map: Mapping[str, str] | None = None,
        backend: Backend | str = "inline",
        wait: Wait = "overlap",
        deadline: float = 2.0,
        queue_size: int = 64,
        queue_bytes: int = 2**30,
        policy: Policy = "drop_oldest",
        on_error: Literal["record", "raise"] = "record",
        name: str = "xtag",
    ) -> None:
        if wait not in get_args(Wait):
            raise XTagValueError(f"wait={wait!r} is not known; choose one of {', '.join(get_args(Wait))}")
        if not 0 < deadline <= threading.TIMEOUT_MAX:
            raise XTagValueError(f"deadline={deadline} must be a finite number of seconds above 0")
        if on_error not in ("record", "raise"):
            raise XTagValueError(f"on_error={on_error!r} is not known; choose one of record, raise")
        if not re.fullmatch(r"[A-Za-z]\w*", name):
            raise XTagValueError(f"name={name!r} begins column names: use letters, digits and underscores")
        self.name = name
        self.wait = wait
        self.deadline = deadline
        self.closing = ExitStack()
        self._on_error = on_error
        self._assemble = FrameAssembler(FrameSelection(key, streams, beam_centre, mask), root_map)
        self._queue = FrameQueue(queue_size, policy, queue_bytes)
        self._backend = _backend(backend, model)
        warm(packed=getattr(self._backend.model, "unpacks", False))
        self._worker = Worker(self._backend, self._queue, _HEAD_START if wait == "overlap" else 0.0)
        self._one_at_a_time = threading.Lock()  # monitored signals emit documents from threads of their own
        self._ledger = Ledger()
        self._prepared: tuple[FrameId, ...] = ()
        self._selected: tuple[FrameId, ...] = ()
        self._latest: Tagging | None = None
        self._latest_arrived = 0.0
        self.statistics = Statistics()
        self._listeners: WeakSet[Listener] = WeakSet()
        self.closing.callback(self._worker.stop)

    def __repr__(self) -> str:
        return f"<Tagger {self.name!r}: {self.model.name} {self.model.version}, wait={self.wait!r}>"

    # What people ask

    @property
    def model(self) -> ServedModel:
        """The model whose tags these are."""
        return self._backend.model

    @property
    def latest(self) -> Tagging | None:
        """The tagging of the newest frame that has one, or None before the first."""
        return self._latest

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows by status, over the life of this tagger."""
        return self.statistics.rows_by_status()

    @property
    def frames(self) -> int:
        """How many frames were taken over; those that the RunEngine took again after a pause count once."""
        return self.statistics.frames

    def report(self) -> None:
        """Print what came of the frames so far: rows by status, and the time from document to scores."""
        print(f"{self!r} on {self.model.device}")
        print(self.statistics)

    def uninstall(self) -> None:
        """Undo `install`: the RunEngine is as it was before. Rows of frames already taken are still written."""
        self.closing.close()

    # The document callback

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take over the frames that a document brings; never raises, unless ``on_error="raise"``."""
        begin = time.perf_counter()
        try:
            self._take(name, doc)
            for listener in list(self._listeners):
                listener(name, doc)
        except Exception:
            if self._on_error == "raise":
                raise
            self.statistics.callback_errors += 1
            logger.exception("a %s document could not be used; its frames, if any, are not tagged", name)
        self.statistics.callback_seconds.append(time.perf_counter() - begin)

    def listen(self, listener: Listener) -> None:
        """Let an object hear every document that this tagger takes, its own rows among them, as long as it lives."""
        self._listeners.add(listener)

    def _take(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "start":
            self._ledger.open(doc["uid"])
        with self._one_at_a_time:
            frames = self._assemble(name, doc)
        tickets = []
        for frame in frames:
            if not self._ledger.is_open(frame.id.run):
                continue  # a run that began before this tagger was installed; its rows would have no order
            ticket = Ticket(frame, self.deadline)
            ticket.when_done(lambda ticket=ticket: self._keep_latest(ticket))
            self.statistics.frames += 1 - self._ledger.add(ticket)
            tickets.append(ticket)
        self._queue.put(tickets, bytes_held(frames))
        if name == "stop":
            lost = self._ledger.close(doc["run_start"])
            self.statistics.unwritten += len(lost)
            if lost:
                logger.warning("%d frames of run %s have no row", len(lost), doc["run_start"])

    def _keep_latest(self, ticket: Ticket) -> None:
        """Keep the tagging if no later frame has one already."""
        if not ticket.superseded and ticket.arrived >= self._latest_arrived:
            self._latest, self._latest_arrived = ticket.tagging, ticket.arrived

    # What the preprocessor asks

    def unwritten(self, run: str) -> list[FrameId]:
        """Return the frames of a run that have no row yet, in order of arrival."""
        return self._ledger.unwritten(run)

    def ready(self, run: str) -> list[FrameId]:
        """Return those frames of `unwritten` whose rows can be written without waiting: none overtakes another."""
        ready = []
        for ticket in self._ledger.tickets(self.unwritten(run)):
            if not ticket.expire():
                break
            ready.append(ticket.id)
        return ready

    def checkpoint(self) -> None:
        """Forget the rows that are written: the RunEngine will never ask for what was before its last checkpoint."""
        self._ledger.forget_written()

    # The Readable

    @property
    def hints(self) -> Hints:
        """No columns by default in other callbacks' tables and plots."""
        return {"fields": []}

    def prepare(self, value: Sequence[FrameId]) -> TaggingStatus:
        """Choose the frames that the next `trigger` waits for and that `read` or `collect_pages` then give."""
        self._prepared = tuple(value)
        return TaggingStatus([])

    def trigger(self) -> TaggingStatus:
        """Return a Status that ends when the chosen frames have their outcome, by their deadline at the latest.

        Without a choice it is the oldest frame that has no row, or else the last one read.
        """
        if self._prepared:
            self._selected, self._prepared = self._prepared, ()
        elif (frame := self._ledger.newest()) is not None:
            self._selected = (frame,)
        return TaggingStatus(self._ledger.tickets(self._selected), must_succeed=self._on_error == "raise")

    def read(self) -> dict[str, Reading]:
        """Return the row of the chosen frame: that of `prepare` if it came after `trigger`, else that of `trigger`."""
        if self._prepared:
            self._selected, self._prepared = self._prepared, ()
        now = time.time()
        row = documents.row(self.name, self.model.taxonomy, self._outcome(self._selected[:1]))
        return {column: {"value": value, "timestamp": now} for column, value in row.items()}

    def describe(self) -> dict[str, DataKey]:
        """Return the data keys of the columns."""
        return documents.data_keys(self.name, self.model.taxonomy)

    def read_configuration(self) -> dict[str, Reading]:
        """Return what is needed to know where the tags come from: model, thresholds, preparation, device."""
        now = time.time()
        values = documents.configuration(self.name, self.model)
        return {key: {"value": value, "timestamp": now} for key, value in values.items()}

    def describe_configuration(self) -> dict[str, DataKey]:
        """Return the data keys of `read_configuration`."""
        return documents.configuration_keys(self.name, self.model.taxonomy)

    # The EventPageCollectable

    def describe_collect(self) -> dict[str, DataKey]:
        """Return the data keys of the columns."""
        return self.describe()

    def collect_pages(self) -> Iterator[PartialEventPage]:
        """Yield one page with the rows of the chosen frames."""
        taggings = [self._outcome([frame]) for frame in self._selected]
        if not taggings:
            return
        rows = [documents.row(self.name, self.model.taxonomy, tagging) for tagging in taggings]
        now = [time.time()] * len(rows)
        yield {
            "data": {column: [row[column] for row in rows] for column in rows[0]},
            "timestamps": {column: now for column in rows[0]},
            "time": now,
        }

    def _outcome(self, frames: Sequence[FrameId]) -> Tagging:
        tickets = self._ledger.tickets(frames)
        if not tickets:
            logger.warning("%s was read before there was a frame: read the detector first", self.name)
            return Tagging(FrameId("", "", "", 0, 0), "failed", latency=0.0, reason="there was no frame to tag")
        (ticket,) = tickets
        if not ticket.expire():
            ticket.settle("late", "read before it was scored")
        if self._ledger.note_written(ticket.id):
            self.statistics.add(ticket.tagging)
        return ticket.tagging


def _backend(backend: Backend | str, model: TagModel | str | Path | None) -> Backend:
    if isinstance(backend, str):
        from ..model import load_model  # only when a model is needed: loading it brings TensorFlow

        return make_backend(backend, load_model(model))
    if model is not None:
        raise XTagValueError("give a model or a backend, not both: a backend has a model of its own")
    return backend
