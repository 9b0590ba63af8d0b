"""Measurements: what tagging costs a scan with an areaDetector over Channel Access (`xtag bench epics`).

The camera, its HDF5 plugin and the disk are those of a real IOC in a process of its own. Scans with and without a
tagger take turns on the same detector, since machines drift.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import Any

from bluesky import RunEngine
from bluesky import plans as bp
from rich.console import Console
from rich.progress import Progress

from ...errors import XTagValueError
from ...tagger import Tagger, install, percentile
from .bar import Bar, missed, table_of
from .machine import describe
from .scanning import run_engine

__all__ = ["BARS", "bars_missed", "epics"]

_DIFFERENT = 8  # frames, which the camera repeats: making one takes a processor for as long as an exposure
_WARM = 3  # frames of a scan that is not measured
_PATIENCE = 20.0  # seconds

BARS = (Bar("", "scan_time_over_without", 1.01, at_most=True), Bar("", "ok_over_frames", 1.0))


def epics(
    json_path: Path | None = None,
    directory: Path | None = None,
    points: int = 200,
    rounds: int = 5,
    exposure: float = 0.1,
) -> dict[str, Any]:
    """Measure scans over Channel Access without a tagger and with `install(RE)`, in turn; print the figures.

    The camera writes frames of 1043 x 981 pixels (int32), a file a scan in SWMR mode, with ophyd's classes.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too.
    directory : Path, optional
        Model directory; the packaged model if not given.
    points : int
        Frames a scan. A frame takes 4 MB on the disk of temporary files, until its scan is over.
    rounds : int
        Scans of each kind; the ratio is the median over rounds.
    exposure : float
        Seconds.

    Returns
    -------
    dict
        The figures by name, and what they were measured with.

    Raises
    ------
    XTagValueError
        caproto is not installed.
    """
    console = Console()
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    with _detector(exposure) as detector, ExitStack() as stack:
        engines = {kind: stack.enter_context(run_engine()) for kind in seconds}
        tagger = stack.enter_context(_tagger(engines["with"], directory))
        with console.status("Starting the process that tags"):
            for engine in engines.values():
                _scan(engine, detector, _WARM)
        before, frames = tagger.counts["ok"], tagger.frames
        tagger.statistics.latencies.clear()
        with Progress(console=console) as progress:
            task = progress.add_task(f"{rounds} x {len(engines)} scans", total=rounds * len(engines))
            for number in range(rounds):
                for kind in list(engines)[:: 1 if number % 2 else -1]:  # who is first takes turns, too
                    seconds[kind].append(_scan(engines[kind], detector, points))
                    progress.advance(task)
        alone = statistics.median(seconds["without"])
        ratios = [tagged / without for tagged, without in zip(seconds["with"], seconds["without"], strict=True)]
        figures: dict[str, Any] = {
            "scan_time_over_without": statistics.median(ratios),
            "scan_time_over_without_each": ratios,
            "scan_seconds_without": alone,
            "frames_per_second_without": points / alone,
            "ok_over_frames": (tagger.counts["ok"] - before) / (points * rounds),
            "frames": tagger.frames - frames,
            "points": points,
            "rounds": rounds,
            "exposure_s": exposure,
        }
        for percent in (50, 99):
            figures[f"document_to_scores_p{percent}_ms"] = 1e3 * percentile(tagger.statistics.latencies, percent)
        figures |= describe(tagger.model, "bluesky", "ophyd", "caproto")
    console.print(table_of(BARS, figures))
    console.print(
        f"{rounds} x 2 scans of {points} exposures of {1e3 * exposure:.0f} ms, "
        f"{figures['frames_per_second_without']:.2f} frames a second without tagging; document to scores p50 "
        f"{figures['document_to_scores_p50_ms']:.0f} ms, p99 {figures['document_to_scores_p99_ms']:.0f} ms; "
        f"{figures['machine']}, load {figures['load']}; "
        f"model {figures['model']} on {figures['device']}; {figures['versions']}"
    )
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def bars_missed(figures: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that the figures of `epics` miss."""
    return missed(BARS, figures)


@contextmanager
def _detector(exposure: float) -> Iterator[Any]:
    """Yield the detector of an IOC that ends with the block."""
    try:
        import caproto  # noqa: F401
    except ImportError:
        raise XTagValueError('the simulated IOC needs caproto: pip install "bluesky_xtag[epics]"') from None
    import ophyd

    from ...simulate import EpicsBeamline, epics_detector

    command = [sys.executable, "-m", "bluesky_xtag.simulate.epics", EpicsBeamline.prefix, str(_DIFFERENT)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, EpicsBeamline(command):
        if ophyd.get_cl().name == "dummy":
            ophyd.set_cl("caproto")
        detector = epics_detector(place)
        detector.cam.acquire_time.set(exposure).wait(_PATIENCE)
        try:
            yield detector
        finally:  # before the IOC ends
            detector.destroy()


@contextmanager
def _tagger(engine: RunEngine, directory: Path | None) -> Iterator[Tagger]:
    """Yield a tagger as `install` makes it."""
    with redirect_stdout(None):  # the announcement would fill the screen
        tagger = install(engine, model=directory, deadline=10.0)
    try:
        yield tagger
    finally:
        tagger.uninstall()


def _scan(engine: RunEngine, detector: Any, points: int) -> float:
    """Return the seconds that a scan takes, and remove its files."""
    begin = perf_counter()
    engine(bp.count([detector], points))
    elapsed = perf_counter() - begin
    for path in Path(detector.hdf5.write_path_template).glob("*.h5"):
        path.unlink()
    return elapsed
