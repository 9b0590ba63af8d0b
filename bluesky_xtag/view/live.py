"""The live table: one line for each frame with its tags, written during the run."""

from __future__ import annotations

import logging
import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from event_model import unpack_event_page
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..documents import STREAM, TagRows, column, tagger_name
from .lines import Labels, Lines

__all__ = ["LiveTags"]

logger = logging.getLogger("bluesky_xtag")

_KEPT = 1000  # readings of events that wait for their tags
_PAGE = 20  # lines of a page of rows: fly scans bring rows by the thousand


@dataclass
class _Run:
    """What the table knows about a run."""

    motors: tuple[str, ...]
    points: int | None
    prefix: str = ""
    lines: Lines | None = None
    task: TaskID | None = None
    numbers: dict[tuple[Any, ...], int] = field(default_factory=dict)  # of frames, in the order of the table
    outcomes: dict[int, tuple[str, float]] = field(default_factory=dict)  # number -> newest status, latency


class LiveTags(TagRows):
    """Document callback that writes one line for each frame: ``RE.subscribe(LiveTags())``.

    Accepted tags are in colour, each with a small bar for its score. The best of the other tags are dim. If labels are
    known, marks show whether the tags agree with them. A terminal can show a progress bar below the table; elsewhere
    the lines are plain. An error in the table ends it with a message in the log. The error never reaches the RunEngine.

    Parameters
    ----------
    labels : callable, optional
        Takes the data of a frame's event (motor positions and so on), and returns its `Labels`, or None.
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
        super().__init__()
        self._labels = labels
        self._console = console or Console(highlight=False)
        self._wants_progress = progress and self._console.is_terminal
        self._progress: Progress | None = None
        self._runs: dict[str, _Run] = {}
        self._streams: dict[str, tuple[str, str]] = {}  # descriptor -> run, name of the stream
        self._readings: dict[str, tuple[str, Mapping[str, Any]]] = {}  # event -> its stream, its data
        self._works = True
        self._shown = True  # whether rows that come now get a line

    def __call__(self, name: str, doc: Any, validate: bool = False) -> Any:
        """Take a document."""
        if not self._works:
            return
        try:
            super().__call__(name, doc)
        except Exception:
            self._works = False
            logger.exception("the live table stops at this %s document; the scan goes on", name)
            self._stop_progress()

    def begin(self, doc: Mapping[str, Any]) -> None:
        """Open the table of a run."""
        self._runs[doc["uid"]] = _Run(tuple(doc.get("motors") or ()), doc.get("num_points"))

    def descriptor(self, doc: Any) -> None:
        """Remember which stream events are of."""
        super().descriptor(doc)
        if doc["run_start"] in self._runs:
            self._streams[doc["uid"]] = doc["run_start"], doc["name"]

    def declare(self, run: str, doc: Mapping[str, Any]) -> None:
        """Write the heading when the tags of a run are announced."""
        if run in self._runs:
            self._write_heading(self._runs[run], doc)

    def event(self, doc: Any) -> None:
        """Take a row, or keep a reading until its frame's row comes."""
        super().event(doc)
        _, stream = self._streams.get(doc["descriptor"], ("", STREAM))
        if stream != STREAM:
            self._readings[doc["uid"]] = stream, doc["data"]
            while len(self._readings) > _KEPT:
                del self._readings[next(iter(self._readings))]

    def event_page(self, doc: Any) -> None:
        """Take the events of a page; of its rows only the last are written."""
        events = list(unpack_event_page(doc))
        for number, event in enumerate(events):
            self._shown = number >= len(events) - _PAGE
            self.event(event)
        self._shown = True

    def add(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        """Take the row of a frame."""
        if run in self._runs:
            self._count(self._runs[run], data)

    def end(self, run: str) -> None:
        """Close the table of a run."""
        if run in self._runs:
            self._end(run)

    def _write_heading(self, run: _Run, descriptor: Mapping[str, Any]) -> None:
        if run.lines is not None:
            return
        run.prefix = column(tagger_name(descriptor["data_keys"]), "")
        run.lines = Lines(self._console, run.motors, labelled=self._labels is not None)
        if self._wants_progress and run.points:
            self._progress = self._progress or _new_progress(self._console)
            self._progress.start()
            run.task = self._progress.add_task("tagging", total=run.points)
        self._console.print(run.lines.heading(), soft_wrap=True)

    def _count(self, run: _Run, data: Mapping[str, Any]) -> None:
        """Take the row of a frame, and write its line."""
        row = {key.removeprefix(run.prefix): value for key, value in data.items()}
        stream, reading = self._readings.get(row["frame_event"], ("", {}))
        # After a pause the RunEngine may take points again: the same frame keeps its number.
        frame = (stream, row["frame_key"], row["frame_seq_num"], row["frame_index"])
        number = run.numbers.setdefault(frame, len(run.numbers) + 1)
        run.outcomes[number] = row["status"], row["latency"]
        if self._shown and run.lines:
            labels = self._labels(reading) if self._labels and reading else None
            self._console.print(run.lines.frame(number, reading, row, labels), soft_wrap=True)
        if self._progress and run.task is not None:
            self._progress.update(run.task, completed=len(run.numbers))

    def _end(self, uid: str) -> None:
        """Close the table of a run and forget the run."""
        run = self._runs.pop(uid)
        self._streams = {key: value for key, value in self._streams.items() if value[0] != uid}
        if self._progress and run.task is not None:
            self._progress.refresh()
            self._progress.remove_task(run.task)
            if not self._progress.task_ids:
                self._stop_progress()
        if run.outcomes:
            self._console.print(_summary(list(run.outcomes.values())), style="dim")

    def _stop_progress(self) -> None:
        progress, self._progress = self._progress, None
        try:
            if progress:
                progress.stop()
        except OSError:
            logger.warning("the progress bar could not be taken off the terminal", exc_info=True)


def _summary(outcomes: list[tuple[str, float]]) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in Counter(status for status, _ in outcomes).items())
    latencies = [latency for _, latency in outcomes if math.isfinite(latency)]
    speed = f"; median latency {1000 * statistics.median(latencies):.0f} ms" if latencies else ""
    return f"{len(outcomes)} frame{'s' if len(outcomes) > 1 else ''}: {counts}{speed}"


def _new_progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        refresh_per_second=5,
        transient=True,
    )
