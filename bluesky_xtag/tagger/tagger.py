"""The Tagger: a document callback and a Readable in one object.

As a callback it takes over the frames that documents bring, in well under a millisecond. As a Readable (and, for fly
scans, an EventPageCollectable) it gives their rows back to the RunEngine, which emits them as the stream "tags".
"""

from __future__ import annotations

import inspect
import logging
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args
from weakref import ReferenceType, WeakSet, finalize

from bluesky.protocols import Reading
from bluesky.run_engine import RunEngine
from event_model import PartialEventPage

from .. import documents
from ..documents import FrameId, NewestRows, Tagging, TagRow
from ..errors import XTagValueError
from ..frames import FrameAssembler, FrameSelection, Imports, Mask, RootMap
from .backends import Backend, is_cluster_address, make_backend
from .deadlines import Deadlines
from .device_check import Findings, check_device
from .followers import Followers
from .ledger import Addresses, Ledger, Part
from .open_runs import OpenRuns
from .row_device import RowDevice
from .scoring import warm_for
from .second_look import SecondLook
from .shadow import Shadow, make_shadow
from .statistics import Statistics
from .status import TaggingStatus
from .ticket import Ticket
from .worker import FrameQueue, Policy, Worker

if TYPE_CHECKING:
    from ..catalog import Catalog
    from ..model import ServedModel, TagModel

__all__ = ["Mask", "Tagger", "Wait"]

logger = logging.getLogger("bluesky_xtag")

Wait = Literal["overlap", "point"]
_EMIT = RunEngine.emit_sync.__code__
_START = 60.0  # seconds, long enough to start twice
_OF_ROWS = frozenset({"start", "descriptor", "event", "event_page", "stop"})  # documents that tell of rows
_HEAD_START = 0.005  # seconds; a RunEngine spends 3 to 4 ms on a point beside moves and exposures


class Listener(Protocol):
    """What hears the documents that a tagger takes."""

    def __call__(self, name: str, doc: Any) -> Any:
        """Take a document, quickly: the RunEngine waits."""
        ...


class Tagger(RowDevice):
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
        Where inference runs: the name of one of `bluesky_xtag.tagger.BACKENDS`, the address of a Dask scheduler such as
        ``tls://host:8786``, or a backend, which has a model of its own.
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
    followers : Followers
        Who hears of frames and of their outcomes at once.
    closing : contextlib.ExitStack
        What `uninstall` undoes, last first.
    installed : bool
        Whether `install` put the tagger into a RunEngine.
    start_patience : float
        Seconds that runs may still wait, all together, until the model has started.
    catalog : Catalog or None
        The catalogue that `install` was given.
    shadow : Shadow or None
        A second model that looks on, if `install` was given one.
    """

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
        self.installed = False
        self.start_patience = _START
        self.catalog: Catalog | None = None
        self.shadow: Shadow | None = None
        self._on_error = on_error
        self._selection = FrameSelection(key, streams, beam_centre, mask)
        self._roots = RootMap(root_map)
        self._assemble = FrameAssembler(self._selection, root_map)
        self._queue = FrameQueue(queue_size, policy, queue_bytes)
        self._backend = _backend(backend, model, deadline)
        if not self.is_elsewhere:
            warm_for(cast("TagModel", self._backend.model))
        self._deadlines = Deadlines()
        shares = wait == "overlap" and not self.is_elsewhere  # Python with the RunEngine's thread
        self._worker = Worker(self._backend, self._queue, _HEAD_START if shares else 0.0)
        self._imports = Imports(elsewhere=self.is_elsewhere)
        self._one_at_a_time = threading.Lock()  # monitored signals emit documents from threads of their own
        self._ledger = Ledger()
        self._prepared: Sequence[FrameId] = ()
        self._selected: Sequence[FrameId] = ()
        self._rows = NewestRows(name)
        self._run_of_plan = ""
        self._latest: Tagging | None = None
        self._latest_arrived = 0.0
        self._documents = 0
        self.statistics = Statistics()
        self._listeners: WeakSet[Listener] = WeakSet()
        self._open_runs = OpenRuns()
        self.engine: ReferenceType[RunEngine] | None = None
        self.followers = Followers()
        self._page: Any = None
        self._told = False  # that rows are emitted nowhere
        self._second_look: SecondLook | None = None
        self._said_held: set[str] = set()  # runs of which it was said that a file is held
        for thread in (self._worker, self._deadlines):
            self.closing.callback(thread.stop)
            finalize(self, thread.stop)  # a tagger that nobody holds any more leaves no thread

    def __repr__(self) -> str:
        return f"<Tagger {self.name!r}: {self.model.name} {self.model.version}, wait={self.wait!r}>"

    # What people ask

    @property
    def model(self) -> ServedModel:
        """The model whose tags these are."""
        return self._backend.model

    @property
    def is_elsewhere(self) -> bool:
        """Whether another process reads and scores the frames."""
        return getattr(self._backend, "is_elsewhere", False)

    @property
    def is_ready(self) -> bool:
        """Whether frames are scored at once; a process of its own takes seconds to start."""
        return getattr(self._backend, "is_ready", True)

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
        shadow = [] if self.shadow is None else self.shadow.report_lines()
        for line in [*getattr(self._backend, "report_lines", list)(), *shadow]:
            print(line)

    def check(self, *devices: Any) -> Findings:
        """Look at detectors before a scan, and print what has to change so that their frames are tagged live.

        SWMR, paths, sizes, image keys, where the beam centre comes from, and the signal of the exposure. Nothing is
        staged, triggered or set.

        Returns
        -------
        list of Finding
            What was found, of all devices. A prompt shows how many they are.
        """
        found = Findings()
        for device in devices:
            of_device = check_device(device, self._selection, self._roots)
            print(f"{getattr(device, 'name', device)}")
            for finding in of_device:
                print(f"  {finding}")
            found += of_device
        return found

    @property
    def waiting(self) -> int:
        """How many documents with frames wait for the backend now."""
        return len(self._queue)

    @property
    def capacity(self) -> int:
        """How many documents with frames may wait."""
        return self._queue.size

    @property
    def engine_state(self) -> str:
        """What the RunEngine does, in its own word, such as "running" or "paused"; "" if there is none."""
        engine = None if self.engine is None else self.engine()
        return "" if engine is None else str(engine.state)

    def web(self, **options: Any) -> Any:
        """Open a page on which the running scan is seen, and print its address.

        The page colours the places of the scan by tag as soon as the tags are known, and shows the newest frame. If
        `install` was given a catalogue, the page also browses and corrects its frames, as `xtag web` does. A second
        call prints the address of the page that is open already.

        Parameters
        ----------
        **options
            As for `bluesky_xtag.web.open_live`: `host`, `port`, `allow_hosts`, `token`, `read_only`.

        Returns
        -------
        bluesky_xtag.web.PageServer
            End it with `close()`. It also ends with `uninstall()` and with the session.

        Raises
        ------
        XTagValueError
            A package is missing, or an option does not fit.
        XTagError
            There is no free port.
        """
        if self._page is not None and self._page.is_open:
            print(f"The live page is at {self._page.live_link}")
        else:
            # The page stands above all that it shows, so it is asked for by name, and only when somebody wants it.
            self._page = import_module("bluesky_xtag.web").open_live(self, **options)
        return self._page

    def uninstall(self) -> None:
        """Undo `install`: the RunEngine is as it was before. Rows of frames already taken are still written."""
        self.closing.close()

    # The document callback

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take over the frames that a document brings; never raises, unless ``on_error="raise"``."""
        begin = time.perf_counter()
        self._documents += 1
        try:
            self._take(name, doc)
            if name in _OF_ROWS:
                self._rows(name, cast(Any, doc))
            self._open_runs(name, doc)
            for listener in list(self._listeners):
                listener(name, doc)
        except Exception:
            if self._on_error == "raise":
                raise
            self.statistics.callback_errors += 1
            logger.exception("a %s document could not be used; its frames, if any, are not tagged", name)
        self.statistics.callback_seconds.append(time.perf_counter() - begin)

    def listen(self, listener: Listener) -> None:
        """Let an object hear every document that this tagger takes, its own rows among them, as long as it lives.

        Of runs that are open already it hears the start and the descriptors first.
        """
        for name, doc in self._open_runs.documents():
            listener(name, doc)
        self._listeners.add(listener)

    def _take(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "start":
            self._ledger.open(doc["uid"])
            if self.shadow is not None:
                self.shadow.open(doc["uid"])
            if not self._told and not _comes_from_run_engine():
                self._told = True
                logger.warning(
                    "%s hears of run %s from another process or from stored documents, not from a RunEngine here: it "
                    "scores frames, but their rows are emitted nowhere. Call install(RE) in the session that takes the "
                    "run, let `xtag serve` tag what a bus brings, or tag stored runs with `xtag replay`",
                    self.name,
                    doc["uid"],
                )
        self._imports(name, doc)
        with self._one_at_a_time:
            found = self._assemble.take(name, doc)
        tickets = []
        for frames in found:
            if not self._ledger.is_open(frames.run):
                continue  # a run that began before this tagger was installed; its rows would have no order
            ticket = Ticket(frames, self.deadline, self._note_outcomes)
            self.statistics.frames += len(ticket) - self._ledger.add(ticket)
            if self.shadow is not None:
                self.shadow.take(frames)
            tickets.append(ticket)
            self.followers.tell_frames(frames)
        if tickets:
            self._queue.put(tickets, sum(frames.held for frames in found))
        if name == "stop":
            lost = self._ledger.close(doc["run_start"])
            if self.shadow is not None:
                self.shadow.close(doc["run_start"])
            self._said_held.discard(doc["run_start"])
            self.statistics.unwritten += lost
            if lost:
                logger.warning("%d frames of run %s have no row", lost, doc["run_start"])

    def look_on(self, model: TagModel | str | Path) -> None:
        """Let a second model look on from now on; with a warning it does not, where it cannot be had."""
        backend = self._backend
        can_share = hasattr(backend, "take_prepared") and hasattr(backend, "keeps")
        shadow = make_shadow(
            self.name, self.model, model, can_share, lambda: getattr(backend, "is_ready", True), self._deadlines
        )
        if shadow is None:
            return
        if shadow.shares:
            cast(Any, backend).keeps = True
        self.closing.callback(shadow.stop)
        finalize(self, shadow.stop)
        self._worker.shadow = self.shadow = shadow

    def look_again(self, catalog: Catalog) -> SecondLook:
        """Tag frames that cannot be read in time as soon as they can be, and store their tags in a catalogue.

        Returns
        -------
        SecondLook
            A document callback, to be subscribed to the RunEngine.
        """
        self._second_look = SecondLook(catalog, self.name, self.model, self._worker.tag_later, self.statistics)
        return self._second_look

    def _note_outcomes(self, ticket: Ticket) -> None:
        """Keep the newest tagging if no later document has one already, and frames that could not be read."""
        if ticket.newest >= 0 and ticket.arrived >= self._latest_arrived:
            self._latest, self._latest_arrived = ticket.tagging(ticket.newest), ticket.arrived
        self.followers.tell_taggings(ticket)
        for unread in ticket.take_unread():
            self.statistics.unread += 1
            if self._second_look is not None:
                self._second_look.keep(unread.frame)
            if unread.held:
                self._say_held(ticket.frames.run, unread.reason)

    def _say_held(self, run: str, reason: str) -> None:
        """Say once a run that its files cannot be read while it is taken, and what to do."""
        if run in self._said_held:
            return
        self._said_held.add(run)
        if self._second_look is not None:
            then = "They are tagged when it is closed, as a derived run."
        else:
            then = f"`xtag replay CATALOG --runs {run}` tags them later; install(RE, catalog=...) does so by itself."
        logger.warning("Frames of run %s cannot be tagged while it runs: %s. %s", run, reason, then)

    # What the preprocessor asks

    def unwritten(self, run: str) -> Addresses:
        """Return the frames of a run that have no row yet, in order of arrival."""
        return self._ledger.unwritten(run)

    def ready(self, run: str) -> Addresses:
        """Return those frames of `unwritten` whose rows can be written without waiting: none overtakes another."""
        return self._ledger.ready(run)

    def takes(self, run: str, device: str) -> bool:
        """Return whether a device, by its name, brings frames in an open run."""
        return self._assemble.takes(run, device)

    def newest_row(self, run: str) -> TagRow:
        """Return the newest row that an open run has in its stream "tags"; "failed" as row 0 if it has none."""
        return self._rows.newest(run, self.model.taxonomy.names)

    def trigger_in(self, run: str) -> None:
        """Say in which run the plan is about to trigger this device."""
        self._run_of_plan = run

    def heard(self, run: str) -> bool:
        """Return whether the start document of a run that is still open reached this tagger."""
        return self._ledger.is_open(run)

    @property
    def documents(self) -> int:
        """How many documents reached this tagger."""
        return self._documents

    def checkpoint(self) -> None:
        """Forget the rows that are written: the RunEngine will never ask for what was before its last checkpoint."""
        self._ledger.forget_written()
        if self.shadow is not None:
            self.shadow.checkpoint()

    # The Readable

    def prepare(self, value: Sequence[FrameId]) -> TaggingStatus:
        """Choose the frames that the next `trigger` waits for and that `read` or `collect_pages` then give."""
        self._prepared = value if isinstance(value, Addresses) else tuple(value)
        return TaggingStatus([], self._deadlines)

    def trigger(self) -> TaggingStatus:
        """Return a Status that ends when the chosen frames have their outcome, by their deadline at the latest.

        Without a choice it is the oldest frame that has no row, or else the last one read.
        """
        if self._prepared:
            self._selected, self._prepared = self._prepared, ()
        elif frame := self._ledger.newest():
            self._selected = frame
        run, self._run_of_plan = self._run_of_plan or self._ledger.newest_run(), ""
        parts = self._ledger.find(self._selected)
        return TaggingStatus(parts, self._deadlines, must_succeed=self._on_error == "raise", run=run)

    def read(self) -> dict[str, Reading]:
        """Return the row of the chosen frame: that of `prepare` if it came after `trigger`, else that of `trigger`."""
        if self._prepared:
            self._selected, self._prepared = self._prepared, ()
        now = time.time()
        (part, *_) = [*self._settled(self._selected[-1:]), None]  # of a page the newest, if all have their rows
        tagging = self._nothing() if part is None else part.ticket.tagging(part.positions[0])
        row = documents.row(self.name, self.model.taxonomy, tagging)
        return {column: {"value": value, "timestamp": now} for column, value in row.items()}

    # The EventPageCollectable

    def collect_pages(self) -> Iterator[PartialEventPage]:
        """Yield one page with the rows of the chosen frames."""
        frames: defaultdict[str, list[str | int]] = defaultdict(list)
        taggings: list[Tagging] = []
        for part in self._settled(self._selected):
            of_part, outcomes = part.ticket.rows(part.positions)
            for name, values in of_part.items():
                frames[name] += values
            taggings += outcomes
        if not taggings:
            return
        now = [time.time()] * len(taggings)
        data = documents.columns_of(self.name, self.model.taxonomy, frames, taggings)
        yield cast("PartialEventPage", {"data": data, "timestamps": dict.fromkeys(data, now), "time": now})

    def _settled(self, frames: Sequence[FrameId]) -> Iterator[Part]:
        """Yield where frames are, once their outcomes are known, and note that their rows are given."""
        for part in self._ledger.find(frames):
            ticket = part.ticket
            if not ticket.expire():
                for position in part.positions:
                    if not ticket.knows(position):
                        ticket.settle(position, "late", "read before it was scored")
            self.statistics.add(ticket.rows(self._ledger.note_written(part))[1])
            yield part

    def _nothing(self) -> Tagging:
        logger.warning("%s was read before there was a frame: read the detector first", self.name)
        return Tagging(FrameId("", "", "", 0, 0), "failed", latency=0.0, reason="there was no frame to tag")


def _comes_from_run_engine() -> bool:
    """Return whether a RunEngine of this process emits the document that is being handed over.

    A dispatcher does not say whose documents it passes on; the calls that lead here do.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is _EMIT:
            return True
        frame = frame.f_back
    return False


def _backend(backend: Backend | str, model: TagModel | str | Path | None, deadline: float) -> Backend:
    if isinstance(backend, str):
        # A frame that a cluster lost must still be scored in time.
        options = {"patience": deadline / 2} if is_cluster_address(backend) else {}
        return make_backend(backend, model, **options)
    if model is not None:
        raise XTagValueError("give a model or a backend, not both: a backend has a model of its own")
    return backend
