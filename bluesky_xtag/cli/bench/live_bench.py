"""Measurements: what tagging costs a scan (`xtag bench live`).

Figures are taken side by side in one process, since machines drift: scans with and without a tagger take turns.
"""

from __future__ import annotations

import json
import statistics
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from bluesky import plans as bp
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ...model import TagModel, without_build_notes
from ...tagger import Tagger, install, percentile
from .machine import describe
from .scanning import PILATUS_1M, Camera, run_engine

__all__ = ["live"]

_SHAPE = PILATUS_1M
_EXPOSURE = 0.05  # seconds
_KINDS: tuple[Literal["without", "overlap", "point"], ...] = ("without", "overlap", "point")


def live(json_path: Path | None = None, points: int = 100, rounds: int = 5) -> dict[str, Any]:
    """Measure what live tagging costs on this machine, and print it.

    Scans with 1-Mpx int32 frames in the events themselves and exposures of 50 ms are run without a tagger, with
    ``wait="overlap"`` and with ``wait="point"``, in turn.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too.
    points : int
        Points a scan.
    rounds : int
        Scans of each kind; the ratio is the median over rounds.

    Returns
    -------
    dict
        The figures by name, with times in milliseconds, and what they were measured with.
    """
    console = Console()
    with console.status("Loading the packaged model ..."):
        with without_build_notes():
            model = TagModel.load()
    seconds: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    callback: list[float] = []
    latency: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    with Progress(console=console) as progress:
        task = progress.add_task(f"{rounds} x {len(_KINDS)} scans", total=rounds * len(_KINDS))
        for _ in range(rounds):
            for kind in _KINDS:
                elapsed, tagger = _scan(kind, model, points)
                seconds[kind].append(elapsed)
                if tagger is not None:
                    callback += tagger.statistics.callback_seconds
                    latency[kind] += tagger.statistics.latencies
                progress.advance(task)
    figures = _figures(seconds, callback, latency) | {"points": points, "rounds": rounds} | describe(model, "bluesky")
    _print(console, figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _scan(kind: Literal["without", "overlap", "point"], model: TagModel, points: int) -> tuple[float, Tagger | None]:
    """Return the seconds that a scan takes, and its tagger."""
    with run_engine() as RE:  # noqa: N806
        with redirect_stdout(None):  # the announcement would fill the screen
            tagger = None if kind == "without" else install(RE, model=model, wait=kind)
        detector = Camera(_SHAPE, exposure=_EXPOSURE)
        begin = perf_counter()
        RE(bp.count([detector], points))
        elapsed = perf_counter() - begin
        if tagger is not None:
            tagger.uninstall()
    return elapsed, tagger


def _figures(
    seconds: dict[str, list[float]], callback: list[float], latency: dict[str, list[float]]
) -> dict[str, float]:
    def over_without(kind: str) -> float:
        pairs = zip(seconds[kind], seconds["without"], strict=True)
        return statistics.median(with_it / without for with_it, without in pairs)

    figures = {f"callback_p{percent}_ms": 1e3 * percentile(callback, percent) for percent in (50, 99)}
    for kind in ("overlap", "point"):
        for percent in (50, 95, 99):
            figures[f"{kind}_document_to_scores_p{percent}_ms"] = 1e3 * percentile(latency[kind], percent)
        figures[f"{kind}_scan_time_over_without"] = over_without(kind)
    return figures | {"scan_seconds_without": statistics.median(seconds["without"])}


_MEANINGS = {
    "callback_p50_ms": ("time in the document callback, p50", ""),
    "callback_p99_ms": ("time in the document callback, p99", "<= 1"),
    "overlap_document_to_scores_p50_ms": ("document to scores, overlap, p50", "aim <= 50"),
    "overlap_document_to_scores_p95_ms": ("document to scores, overlap, p95", ""),
    "overlap_document_to_scores_p99_ms": ("document to scores, overlap, p99", ""),
    "point_document_to_scores_p50_ms": ("document to scores, point, p50", "aim <= 50"),
    "point_document_to_scores_p95_ms": ("document to scores, point, p95", ""),
    "point_document_to_scores_p99_ms": ("document to scores, point, p99", ""),
    "overlap_scan_time_over_without": ("scan time over that without tagging, overlap", "<= 1.05"),
    "point_scan_time_over_without": ("scan time over that without tagging, point", ""),
}


def _print(console: Console, figures: dict[str, Any]) -> None:
    title = f"{figures['points']} points of {1e3 * _EXPOSURE:.0f} ms, {_SHAPE[0]} x {_SHAPE[1]} int32 in the event"
    table = Table(title=title)
    table.add_column("figure")
    table.add_column("measured", justify="right")
    table.add_column("bar", justify="right")
    for name, (meaning, bar) in _MEANINGS.items():
        unit = " ms" if name.endswith("_ms") else ""
        table.add_row(meaning, f"{figures[name]:.3g}{unit}", bar and f"{bar}{unit}")
    console.print(table)
    console.print(f"{figures['machine']}; model {figures['model']} on {figures['device']}; {figures['versions']}")
