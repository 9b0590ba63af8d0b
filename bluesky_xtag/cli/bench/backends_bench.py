"""Tagging in a process of its own next to tagging in the session (`xtag bench backends`), in turn on one machine."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from bluesky import RunEngine
from bluesky import plans as bp
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ...frames import Frame, frames_of
from ...model import DEFAULT, load_model, without_build_notes
from ...tagger import Backend, InlineBackend, ProcessBackend, Tagger, install, percentile
from .bar import Bar, missed, table_of
from .machine import describe, frames
from .scanning import PILATUS_1M, Camera, run_engine, write_frames

__all__ = ["BARS", "backends", "bars_missed"]

_SHAPES = {"1mpx": PILATUS_1M, "16mpx": (4362, 4148)}
_DIFFERENT = {"1mpx": 8, "16mpx": 2}
_EXPOSURE = 0.05  # seconds
_KINDS = ("without", "inline", "process", "shadow")
_BEAT = 1e-3  # seconds
_LOOK = 0.05  # seconds
_FILES = 128  # frames in a file

BARS = (
    Bar("", "1mpx_document_to_scores_p50_more_ms", 0.5, at_most=True),
    Bar("", "1mpx_document_to_scores_p99_more_ms", 2, at_most=True),
    Bar("", "1mpx_from_files_rate_over_inline", 1.0),
    Bar("", "1mpx_process_scan_time_over_without", 1.005, at_most=True),
    Bar("", "16mpx_process_scan_time_over_without", 1.01, at_most=True),
    Bar("", "1mpx_shadow_scan_time_over_process", 1.01, at_most=True),
    Bar("", "16mpx_shadow_scan_time_over_process", 1.01, at_most=True),
    Bar("", "process_beat_p99_ms", 1.3, at_most=True),
    Bar("", "process_beat_worst_ms", 3, at_most=True),
    Bar("", "process_prompt_s", 0.5, at_most=True),
    Bar("", "first_scores_over_inline", 1.0, at_most=True),
    Bar("", "memory_saved_mib", 300),
)


def backends(
    json_path: Path | None = None, directory: Path | None = None, points: int = 60, rounds: int = 5
) -> dict[str, Any]:
    """Measure scans without tagging, with tagging here, in another process, and there with a shadow, in turn; print it.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too.
    directory : Path, optional
        Model directory; the packaged model if not given.
    points : int
        Points a scan with exposures of 50 ms.
    rounds : int
        How often each is measured; figures are medians over rounds, and percentiles over all frames.

    Returns
    -------
    dict
        The figures by name, and what they were measured with.
    """
    console = Console()
    with without_build_notes():
        model = load_model(directory)
        model.warm()
    figures: dict[str, Any] = describe(model, "bluesky", "numpy") | {"points": points, "rounds": rounds}
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(console=console))
        task = progress.add_task("Measuring", total=len(_SHAPES) * rounds * len(_KINDS) + 2 * rounds)
        inline, process, beside = InlineBackend(model), ProcessBackend(directory), ProcessBackend(directory)
        for each in (process, beside):
            stack.callback(each.close)
            each.wait_ready()
        figures |= _compare_files({"inline": inline, "process": process}, rounds, progress, task)
        given: dict[str, Backend | None] = {"without": None, "inline": inline, "process": process, "shadow": beside}
        looks_on = {"shadow": DEFAULT if directory is None else directory}
        engines = {kind: stack.enter_context(_engine(backend, looks_on.get(kind))) for kind, backend in given.items()}
        beats: Mapping[str, Sequence[float]] = {}
        for size, shape in _SHAPES.items():
            camera = Camera(shape, _EXPOSURE, frames(shape, _DIFFERENT[size]))
            scans = _Scans()
            for _ in range(rounds):
                for kind, engine in engines.items():
                    scans.take(kind, engine, camera, points)
                    progress.advance(task)
            figures |= {f"{size}_{name}": value for name, value in scans.figures().items()}
            beats = scans.beats  # of the largest frames, which come last
        for kind in ("without", "inline", "process"):
            figures[f"{kind}_beat_p99_ms"] = 1e3 * percentile(beats[kind], 99)
            figures[f"{kind}_beat_worst_ms"] = 1e3 * max(beats[kind])
    figures |= _compare_sessions(rounds, console)
    _print(console, figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def bars_missed(figures: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each bar that the figures of `backends` miss."""
    return missed(BARS, figures)


@dataclass(frozen=True)
class _Engine:
    RE: RunEngine
    tagger: Tagger | None


@contextmanager
def _engine(backend: Backend | None, shadow: Path | None) -> Iterator[_Engine]:
    with run_engine() as RE:  # noqa: N806
        with redirect_stdout(None):  # the announcement would fill the screen
            tagger = None if backend is None else install(RE, backend=backend, deadline=10.0, shadow=shadow)
        while tagger is not None and tagger.shadow is not None and not tagger.shadow.is_ready:
            time.sleep(_LOOK)
        yield _Engine(RE, tagger)
        if tagger is not None:
            tagger.uninstall()


class _Scans:
    """Scans of each kind that take turns: their times, those of frames, and the beat of another thread meanwhile."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        self.latencies: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        self.beats: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        self.scored = self.looked_on = 0  # frames that the shadow scored, and those of its scans

    def take(self, kind: str, engine: _Engine, camera: Camera, points: int) -> None:
        """Take a scan."""
        if engine.tagger is not None:
            engine.tagger.statistics.latencies.clear()
        before = _looked_at(engine)
        with _beating() as beats:
            begin = perf_counter()
            engine.RE(bp.count([camera], points))
            self.seconds[kind].append(perf_counter() - begin)
        self.beats[kind] += beats
        if engine.tagger is not None:
            self.latencies[kind] += engine.tagger.statistics.latencies
        self.scored += _looked_at(engine) - before
        self.looked_on += points if kind == "shadow" else 0

    def figures(self) -> dict[str, float]:
        """Return the figures by name."""
        found: dict[str, float] = {}
        for kind in ("inline", "process"):
            for percent in (50, 99):
                found[f"{kind}_document_to_scores_p{percent}_ms"] = 1e3 * percentile(self.latencies[kind], percent)
            pairs = zip(self.seconds[kind], self.seconds["without"], strict=True)
            found[f"{kind}_scan_time_over_without"] = statistics.median(taken / alone for taken, alone in pairs)
        pairs = zip(self.seconds["shadow"], self.seconds["process"], strict=True)
        found["shadow_scan_time_over_process"] = statistics.median(with_it / alone for with_it, alone in pairs)
        found["shadow_scored_share"] = self.scored / self.looked_on
        latencies = (percentile(self.latencies[kind], 99) for kind in ("shadow", "process"))
        found["shadow_document_to_scores_p99_more_ms"] = 1e3 * (next(latencies) - next(latencies))
        for percent in (50, 99):
            name = f"document_to_scores_p{percent}"
            found[f"{name}_more_ms"] = found[f"process_{name}_ms"] - found[f"inline_{name}_ms"]
        return found


def _looked_at(engine: _Engine) -> int:
    """Return how many frames the shadow has scored so far."""
    shadow = None if engine.tagger is None else engine.tagger.shadow
    return 0 if shadow is None else shadow.statistics.rows_by_status()["ok"]


@contextmanager
def _beating() -> Iterator[list[float]]:
    """Yield what becomes the seconds between two beats of a thread that wants to beat each millisecond."""
    over, beats = threading.Event(), list[float]()

    def beat() -> None:
        last = perf_counter()
        while not over.is_set():
            time.sleep(_BEAT)
            now = perf_counter()
            beats.append(now - last)
            last = now

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield beats
    finally:
        over.set()
        thread.join()


def _compare_files(given: Mapping[str, Backend], rounds: int, progress: Progress, task: Any) -> dict[str, float]:
    """Return how many frames a second each gets from a file to their scores."""
    rates: dict[str, list[float]] = {kind: [] for kind in given}
    with tempfile.TemporaryDirectory() as place:
        path = write_frames(Path(place) / "frames.h5", frames(PILATUS_1M, 8), _FILES)
        every = list(frames_of(str(path)))
        for _ in range(rounds):
            for kind, backend in given.items():
                _rate(backend, every[:16])
                rates[kind].append(_rate(backend, every))
                progress.advance(task)
    found = {f"1mpx_{kind}_from_files_per_second": statistics.median(each) for kind, each in rates.items()}
    pairs = zip(rates["process"], rates["inline"], strict=True)
    return found | {"1mpx_from_files_rate_over_inline": statistics.median(one / other for one, other in pairs)}


def _rate(backend: Backend, every: Sequence[Frame]) -> float:
    begin = perf_counter()
    bad = [outcome for outcome in backend.tag(every) if getattr(outcome, "status", "") != "ok"]
    assert not bad, bad[0]
    return len(every) / (perf_counter() - begin)


def _compare_sessions(rounds: int, console: Console) -> dict[str, float]:
    """Return what new sessions measure of themselves; see `bluesky_xtag.cli.bench.backends_session`."""
    found: dict[str, list[dict[str, float]]] = {"without": [], "inline": [], "process": []}
    with console.status("Starting sessions"):
        for _ in range(rounds):
            for kind, each in found.items():
                each.append(_session(kind))
    figures = {
        f"{kind}_{name}": statistics.median(one[name] for one in each)
        for kind, each in found.items()
        for name in each[0]
    }
    figures["first_scores_over_inline"] = figures["process_first_scores_s"] / figures["inline_first_scores_s"]
    for kind in ("inline", "process"):
        figures[f"{kind}_memory_more_mib"] = figures[f"{kind}_memory_mib"] - figures["without_memory_mib"]
    return figures | {"memory_saved_mib": figures["inline_memory_mib"] - figures["process_memory_mib"]}


def _session(kind: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.backends_session", kind, *map(str, PILATUS_1M)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


_MEANINGS = {
    "1mpx_{kind}_document_to_scores_p50_ms": "document to scores, 1 Mpx in events, p50, ms",
    "1mpx_{kind}_document_to_scores_p99_ms": "the same, p99, ms",
    "1mpx_{kind}_from_files_per_second": "frames a second, 1 Mpx from files",
    "1mpx_{kind}_scan_time_over_without": "scan time over that without tagging, 1 Mpx, 50 ms",
    "16mpx_{kind}_scan_time_over_without": "the same, 16 Mpx",
    "{kind}_beat_p99_ms": "another thread's 1-ms beat while 16 Mpx are scored, p99, ms",
    "{kind}_beat_worst_ms": "the same, worst, ms",
    "{kind}_prompt_s": "from install(RE) to the prompt, s",
    "{kind}_first_scores_s": "from install(RE) to the first scores, s",
    "{kind}_memory_mib": "memory of the session's process, MiB",
    "{kind}_memory_more_mib": "the same, more than without tagging",
}


def _print(console: Console, figures: Mapping[str, Any]) -> None:
    table = Table("figure", "inline", "process")
    for name, meaning in _MEANINGS.items():
        table.add_row(meaning, *(f"{figures[name.format(kind=kind)]:.3f}" for kind in ("inline", "process")))
    console.print(table)
    console.print(table_of(BARS, figures))
    console.print(
        f"without tagging: the beat p99 {figures['without_beat_p99_ms']:.3f} ms, worst "
        f"{figures['without_beat_worst_ms']:.3f} ms; memory {figures['without_memory_mib']:.0f} MiB"
    )
    for size in _SHAPES:
        console.print(
            f"{size}: the shadow scored {figures[f'{size}_shadow_scored_share']:.0%} of the frames; from document to "
            f"scores of the model before it, p99: {figures[f'{size}_shadow_document_to_scores_p99_more_ms']:+.2f} ms"
        )
    console.print(
        f"{figures['rounds']} rounds of {figures['points']} points; {figures['machine']}, load {figures['load']}; "
        f"model {figures['model']} on {figures['device']}; {figures['versions']}"
    )
