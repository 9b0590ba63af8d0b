"""The live table: one line for each frame with its tags, written during the run."""

from __future__ import annotations

import atexit
import logging
import math
import statistics
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import finalize, ref

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..documents import SHADOW, STREAM, TagRows, column, tagger_name
from .background import Background
from .lines import Labels, Lines
from .outlet import Outlet, broken_pipes_raise

__all__ = ["LiveTags"]

logger = logging.getLogger("bluesky_xtag")

_WAITING = 10_000  # documents that wait for the table's thread
_KEPT = 1000  # readings of events that wait for their tags
_PAGE = 20  # lines of a page of rows: fly scans bring rows by the thousand
_FRAMES = 10_000  # newest frames of a run that are known again when they come again
_LONGEST = 1000  # characters of a text that is kept
_AT_END = 0.1  # seconds at the end of a run in which the last lines are written before the prompt comes back
_AT_EXIT = 1.0  # seconds at the end of the session


class LiveTags:
    """Document callback that writes one line for each frame: ``RE.subscribe(LiveTags())``.

    Accepted tags are in colour, each with a small bar for its score. The best of the other tags are dim. If labels are
    known, marks show whether the tags agree with them. A terminal can show a progress bar below the table; elsewhere
    the lines are plain. In Jupyter a cell has one output for all lines.

    The table is written by a thread of its own, and it keeps scalars only. A terminal that takes no output stops
    neither the RunEngine nor the end of the session: lines are left out, and the table says how many. An error in the
    table ends it with a message in the log. The error never reaches the RunEngine.

    Parameters
    ----------
    labels : callable, optional
        Takes the scalars of a frame's event (motor positions and so on), and returns its `Labels`, or None. The
        table's thread calls it.
    progress : bool
        Show a progress bar during a run with a known number of points (on a terminal only).
    console : rich.console.Console, optional
        Where to write. If not given, stdout.
    """

    def __init__(
        self,
        *,
        labels: Callable[[Mapping[str, Any]], Labels | None] | None = None,
        progress: bool = False,
        console: Console | None = None,
    ):
        self._table = _Table(labels, progress, console or _console())
        self._background = Background(self._table.take, self._table.write, self._table.moves, _WAITING)
        self._table.take_dropped = self._background.take_dropped
        self._follows = True  # whether the last lines of a run came in time before
        at_exit = partial(_finish, ref(self))
        atexit.register(at_exit)
        finalize(self, atexit.unregister, at_exit).atexit = False

    def __call__(self, name: str, doc: Any) -> None:
        """Take a document; what it holds is written by another thread."""
        if not self._table.works:
            return
        try:
            note = _REDUCED[name](doc) if name in _REDUCED else None
        except Exception:
            logger.exception("the live table could not use a document (%s)", name)
            return
        if note is not None:
            self._background.put((name, note), must=name in ("start", "descriptor", "stop"))
        if name == "stop" and self._follows:
            self._follows = self._background.wait(_AT_END)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all lines so far are written. Return False if the time is over before."""
        self._follows = self._background.wait(timeout)
        return self._follows


def _finish(live: ref[LiveTags]) -> None:
    """Write the last lines at the end of the session, but do not wait for a terminal that takes none."""
    table = live()
    if table is not None and not table.flush(_AT_EXIT):
        logger.warning("the last lines of the live table are left out: the terminal takes no output")


# What the RunEngine's thread does: it takes the scalars out of a document.


def _start(doc: Mapping[str, Any]) -> Mapping[str, Any]:
    motors, points = doc.get("motors"), doc.get("num_points")
    motors = tuple(map(str, motors)) if isinstance(motors, list | tuple) else ()
    return {
        "uid": doc["uid"],
        "motors": motors,
        "fields": _fields(doc, motors),
        "points": points if isinstance(points, int) else None,
    }


def _fields(doc: Mapping[str, Any], motors: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of the motors in events; those of ophyd-async are not called as the motors are."""
    try:
        fields = tuple(str(field) for names, _ in doc["hints"]["dimensions"] for field in names)
    except (KeyError, TypeError, ValueError):  # hints are written by people, too
        return motors
    return fields if len(fields) == len(motors) else motors


def _descriptor(doc: Mapping[str, Any]) -> Mapping[str, Any]:
    name = doc.get("name", "primary")
    return {"uid": doc["uid"], "run_start": doc["run_start"], "name": name, "data_keys": list(doc["data_keys"])}


def _event(doc: Mapping[str, Any]) -> Mapping[str, Any]:
    data = {key: value for key, value in doc["data"].items() if _is_scalar(value)}
    return {"uid": doc["uid"], "descriptor": doc["descriptor"], "seq_num": doc["seq_num"], "data": data}


def _event_page(doc: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the newest scalars of a page, and of all its rows what is counted."""
    data = {
        key: newest
        for key, values in doc["data"].items()
        if all(map(_is_scalar, newest := list(values[-_KEPT:]))) and newest
    }
    counted = {
        part: list(values)
        for key, values in doc["data"].items()
        for part in _COUNTED
        if key.endswith(f"_{part}") and key in data
    }
    return {
        "descriptor": doc["descriptor"],
        "uid": list(doc["uid"][-_KEPT:]),
        "seq_num": list(doc["seq_num"][-_KEPT:]),
        "data": data,
        "counted": counted,
    }


def _stop(doc: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"run_start": doc["run_start"]}


_REDUCED = {"start": _start, "descriptor": _descriptor, "event": _event, "event_page": _event_page, "stop": _stop}
_COUNTED = ("status", "latency")


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST
    return value is None or isinstance(value, int | float | np.generic)


# What the table's thread does.


@dataclass
class _Run:
    """What the table knows about a run."""

    motors: tuple[str, ...]
    fields: tuple[str, ...]  # the columns of the motors in events
    points: int | None
    prefix: str = ""
    streams: dict[str, list[str]] = field(default_factory=dict)  # streams by data key
    lines: Lines | None = None
    task: TaskID | None = None
    frames: dict[tuple[Any, ...], tuple[int, str]] = field(default_factory=dict)  # the newest: number and status
    total: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_FRAMES))

    def positions(self, reading: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a reading with the motors' positions under the motors' names."""
        found = {name: reading[key] for name, key in zip(self.motors, self.fields, strict=True) if key in reading}
        return {**reading, **found}

    def count(self, frame: tuple[Any, ...], status: str, latency: float) -> int:
        """Count a row; return the number of its frame in the table."""
        known = self.frames.pop(frame, None)
        if known is None:
            self.total += 1
            number = self.total
        else:  # after a pause the RunEngine may take points again: the same frame keeps its number
            number, before = known
            self.statuses[before] -= 1
        self.frames[frame] = number, status
        if len(self.frames) > _FRAMES:
            del self.frames[next(iter(self.frames))]
        self.add([status], [latency])
        return number

    def add(self, statuses: Sequence[str], latencies: Sequence[float]) -> None:
        """Count rows by status, and keep the newest latencies."""
        self.statuses.update(statuses)
        self.latencies.extend(latency for latency in latencies[-_FRAMES:] if math.isfinite(latency))


class _Table(TagRows):
    """Writes the table from what `_REDUCED` leaves of documents; used from one thread."""

    def __init__(
        self, labels: Callable[[Mapping[str, Any]], Labels | None] | None, progress: bool, console: Console
    ) -> None:
        super().__init__()
        self.works = True
        self.take_dropped: Callable[[], int] = int  # how many documents were dropped before they came here
        self._labels = labels
        self._console = console
        self._outlet = Outlet(console)
        self._wants_progress = progress and console.is_terminal and not Console().is_jupyter
        self._progress: Progress | None = None
        self._runs: dict[str, _Run] = {}
        self._streams: dict[str, tuple[str, str]] = {}  # descriptor -> run, name of the stream
        self._readings: dict[str, tuple[str, Mapping[str, Any]]] = {}  # event -> its stream, its data
        self._events: dict[tuple[str, str, int], str] = {}  # run, stream, number -> event

    def take(self, note: tuple[str, Any]) -> None:
        """Take what is left of a document."""
        name, doc = note
        if not self.works:
            return
        try:
            self(name, doc)
        except Exception:
            self.works = False
            logger.exception("the live table stops at this %s document; the scan goes on", name)
            self._stop_progress()

    def write(self) -> bool:
        """Write what waits, as far as the terminal takes it; return whether something still waits."""
        self._outlet.dropped += self.take_dropped()
        try:
            if self._progress and not self._outlet.waits and self._outlet.takes_output():
                with broken_pipes_raise(self._console):
                    self._progress.refresh()
            self._outlet.write()
        except Exception:
            self.works, self._progress = False, None
            logger.exception("the live table cannot be written; the scan goes on")
            return False
        return self._outlet.waits

    def moves(self) -> bool:
        """Return whether there is something that moves on a terminal: a progress bar."""
        return self._progress is not None

    def begin(self, doc: Mapping[str, Any]) -> None:
        """Open the table of a run."""
        self._runs[doc["uid"]] = _Run(doc["motors"], doc["fields"], doc["points"])

    def descriptor(self, doc: Any) -> None:
        """Remember which stream events are of."""
        super().descriptor(doc)
        if doc["run_start"] in self._runs:
            self._streams[doc["uid"]] = doc["run_start"], doc["name"]
            streams = self._runs[doc["run_start"]].streams
            for key in doc["data_keys"] if doc["name"] not in (STREAM, SHADOW) else ():
                if doc["name"] not in streams.setdefault(key, []):
                    streams[key].append(doc["name"])

    def declare(self, run: str, doc: Mapping[str, Any]) -> None:
        """Write the heading when the tags of a run are announced."""
        if run in self._runs:
            self._write_heading(self._runs[run], doc)

    def event(self, doc: Any) -> None:
        """Take a row, or keep a reading until its frame's row comes."""
        super().event(doc)
        self._keep(doc["descriptor"], doc["uid"], doc["seq_num"], doc["data"])

    def event_page(self, doc: Any) -> None:
        """Take the events of a page; of its rows only the last are written."""
        run_uid, stream = self._streams.get(doc["descriptor"], ("", STREAM))
        events = [dict(zip(doc["data"], values, strict=True)) for values in zip(*doc["data"].values(), strict=True)]
        if stream != STREAM:
            for uid, number, data in zip(doc["uid"], doc["seq_num"], events, strict=True):
                self._keep(doc["descriptor"], uid, number, data)
        elif run_uid in self._runs:
            run, counted = self._runs[run_uid], doc["counted"]
            older = len(counted["status"]) - len(events)
            run.total += older
            run.add(counted["status"][:older], counted["latency"][:older])
            for place, data in enumerate(events):
                self._count(run_uid, data, shown=place >= len(events) - _PAGE)

    def add(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        """Take the row of a frame."""
        if run in self._runs:
            self._count(run, data)

    def end(self, run: str) -> None:
        """Close the table of a run."""
        if run in self._runs:
            self._end(run)

    def _keep(self, descriptor: str, uid: str, number: int, data: Mapping[str, Any]) -> None:
        run, stream = self._streams.get(descriptor, ("", STREAM))
        if stream not in (STREAM, SHADOW):
            self._readings[uid] = stream, data
            self._events[run, stream, number] = uid
            while len(self._readings) > _KEPT:
                del self._readings[next(iter(self._readings))]
            while len(self._events) > _KEPT:
                del self._events[next(iter(self._events))]

    def _reading(self, uid: str, row: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Return the stream and the data of the event of a frame; nothing if there is none, as in a fly scan."""
        if row["frame_event"] in self._readings:
            return self._readings[row["frame_event"]]
        # Detectors of ophyd-async name a frame in a stream_datum, next to the event of the same number.
        for stream in self._runs[uid].streams.get(row["frame_key"], ()):
            event = self._events.get((uid, stream, row["frame_seq_num"]))
            if event in self._readings:
                return self._readings[event]
        return "", {}

    def _write_heading(self, run: _Run, descriptor: Mapping[str, Any]) -> None:
        if run.lines is not None:
            return
        run.prefix = column(tagger_name(descriptor["data_keys"]), "")
        run.lines = Lines(self._console, run.motors, labelled=self._labels is not None)
        if self._wants_progress and run.points:
            if self._progress is None:
                self._progress = _new_progress(self._console)
                self._outlet.do(self._progress.start)
            run.task = self._progress.add_task("tagging", total=run.points)
        self._outlet.print(run.lines.heading())

    def _count(self, uid: str, data: Mapping[str, Any], shown: bool = True) -> None:
        """Take the row of a frame, and write its line."""
        run = self._runs[uid]
        row = {key.removeprefix(run.prefix): value for key, value in data.items()}
        stream, reading = self._reading(uid, row)
        frame = (stream, row["frame_key"], row["frame_seq_num"], row["frame_index"])
        number = run.count(frame, row["status"], row["latency"])
        if shown and run.lines:
            labels = self._labels(reading) if self._labels and reading else None
            self._outlet.print(run.lines.frame(number, run.positions(reading), row, labels))
        if self._progress and run.task is not None:
            self._progress.update(run.task, completed=run.total)

    def _end(self, uid: str) -> None:
        """Close the table of a run and forget the run."""
        run = self._runs.pop(uid)
        self._streams = {key: value for key, value in self._streams.items() if value[0] != uid}
        self._events = {key: value for key, value in self._events.items() if key[0] != uid}
        if self._progress and run.task is not None:
            self._outlet.do(partial(_remove, self._progress, run.task))
            if not any(other.task is not None for other in self._runs.values()):
                self._stop_progress()
        if run.total:
            self._outlet.print(_summary(run), style="dim")

    def _stop_progress(self) -> None:
        progress, self._progress = self._progress, None
        if progress:
            self._outlet.do(progress.stop)


def _console() -> Console:
    """Return where lines go. Jupyter gets text as a terminal does, which it joins; rich would make an output a line."""
    console = Console(highlight=False)
    if not console.is_jupyter:
        return console
    return Console(
        highlight=False,
        force_jupyter=False,
        force_terminal=True,
        color_system="256",
        width=max(console.width, 120),
    )


def _remove(progress: Progress, task: TaskID) -> None:
    progress.refresh()
    progress.remove_task(task)


def _summary(run: _Run) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in run.statuses.items() if count)
    speed = f"; median latency {1000 * statistics.median(run.latencies):.0f} ms" if run.latencies else ""
    return f"{run.total} frame{'s' if run.total > 1 else ''}: {counts}{speed}"


def _new_progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,  # which would be one more thread that may be stuck in writing
        transient=True,
    )
