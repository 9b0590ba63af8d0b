"""The live table: a line per frame with its tags, written while the run goes on."""

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

from ..documents import STREAM
from .lines import Labels, Lines

__all__ = ["LiveTags"]

logger = logging.getLogger("bluesky_xtag")

_KEPT = 1000  # readings of events that wait for their tags


@dataclass
class _Run:
    """What the table knows of a run."""

    motors: tuple[str, ...]
    points: int | None
    prefix: str = ""
    lines: Lines | None = None
    task: TaskID | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


class LiveTags:
    """Document callback that writes a line per frame: ``RE.subscribe(LiveTags())``.

    Accepted tags come in colour, each with a small bar for its score; the best of the others come dim. Where
    labels are known, agreement is marked. On a terminal a progress bar can stand below; elsewhere the lines
    are plain. An error in here ends the table with a message in the log; it never reaches the RunEngine.

    Parameters
    ----------
    labels : callable, optional
        Given the data of a frame's event (motor positions and so on), returns its `Labels`, or None.
    progress : bool
        Show a progress bar while a run with a known number of points goes on (on a terminal only).
    console : rich.console.Console, optional
        Where to write; stdout if not given.
    """

    def __init__(
        self,
        *,
        labels: Callable[[Mapping[str, Any]], Labels | None] | None = None,
        progress: bool = False,
        console: Console | None = None,
    ):
        self._labels = labels
        self._console = console or Console(highlight=False)
        self._wants_progress = progress and self._console.is_terminal
        self._progress: Progress | None = None
        self._runs: dict[str, _Run] = {}
        self._streams: dict[str, tuple[str, str]] = {}  # descriptor -> run, name of the stream
        self._readings: dict[str, Mapping[str, Any]] = {}  # event -> its data
        self._works = True

    def __call__(self, name: str, doc: Any) -> None:
        """Take a document."""
        if not self._works:
            return
        try:
            self._take(name, doc)
        except Exception:
            self._works = False
            logger.exception("the live table stops at this %s document; the scan goes on", name)

    def _take(self, name: str, doc: Any) -> None:
        if name == "start":
            self._runs[doc["uid"]] = _Run(tuple(doc.get("motors") or ()), doc.get("num_points"))
        elif name == "descriptor" and doc["run_start"] in self._runs:
            self._streams[doc["uid"]] = doc["run_start"], doc["name"]
            if doc["name"] == STREAM:
                self._begin(self._runs[doc["run_start"]], doc)
        elif name == "event" and doc["descriptor"] in self._streams:
            self._take_event(doc)
        elif name == "event_page" and doc["descriptor"] in self._streams:
            for event in unpack_event_page(doc):
                self._take_event(event)
        elif name == "stop" and doc["run_start"] in self._runs:
            self._end(doc["run_start"])

    def _take_event(self, doc: Any) -> None:
        uid, stream = self._streams[doc["descriptor"]]
        if stream == STREAM:
            self._show(self._runs[uid], doc["data"])
            return
        self._readings[doc["uid"]] = doc["data"]
        while len(self._readings) > _KEPT:
            del self._readings[next(iter(self._readings))]

    def _begin(self, run: _Run, descriptor: Any) -> None:
        """Write the heading when the tags of a run are announced."""
        if run.lines is not None:
            return
        run.prefix = next(key for key in descriptor["data_keys"] if key.endswith("_status"))[: -len("status")]
        run.lines = Lines(self._console, run.motors, labelled=self._labels is not None)
        if self._wants_progress and run.points:
            self._progress = self._progress or _new_progress(self._console)
            self._progress.start()
            run.task = self._progress.add_task("tagging", total=run.points)
        self._console.print(run.lines.heading(), soft_wrap=True)

    def _show(self, run: _Run, data: Mapping[str, Any]) -> None:
        """Write the line of a frame."""
        assert run.lines is not None  # its descriptor came before
        row = {key.removeprefix(run.prefix): value for key, value in data.items()}
        reading = self._readings.get(row["frame_event"], {})
        labels = self._labels(reading) if self._labels and reading else None
        run.statuses[row["status"]] += 1
        if math.isfinite(row["latency"]):
            run.latencies.append(row["latency"])
        self._console.print(run.lines.frame(run.statuses.total(), reading, row, labels), soft_wrap=True)
        if self._progress and run.task is not None:
            self._progress.advance(run.task)

    def _end(self, uid: str) -> None:
        """Close the table of a run and forget the run."""
        run = self._runs.pop(uid)
        self._streams = {key: value for key, value in self._streams.items() if value[0] != uid}
        if self._progress and run.task is not None:
            self._progress.refresh()
            self._progress.remove_task(run.task)
            if not self._progress.task_ids:
                self._progress.stop()
                self._progress = None
        if run.statuses:
            counts = ", ".join(f"{count} {status}" for status, count in run.statuses.items())
            speed = f"; median latency {1000 * statistics.median(run.latencies):.0f} ms" if run.latencies else ""
            self._console.print(f"{run.statuses.total()} frames: {counts}{speed}", style="dim")


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
