"""How many frames a second a replay tags (`xtag bench replay`): in this process, and on one and two local workers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from ...frames import Frame, frames_of
from ...model import load_model
from ...replay import choose_backend
from ...tagger import BATCH, Backend
from .machine import describe, frames
from .scanning import PILATUS_1M, write_frames

__all__ = ["replay"]

_SHAPE = PILATUS_1M
_DIFFERENT = 8


def replay(
    json_path: Path | None = None, directory: Path | None = None, count: int = 320, workers: Iterable[int] = (1, 2)
) -> dict[str, Any]:
    """Measure how fast a replay is on this machine, and print it.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too.
    directory : Path, optional
        Model directory; the packaged model if not given.
    count : int
        Frames of 1043 x 981 pixels, int32, bitshuffled, in one HDF5 file.
    workers : iterable of int
        How many workers to measure with, in addition to this process alone.

    Returns
    -------
    dict
        `engines`: by "this process" and "n workers", ``frames_per_second`` once the model is loaded, ``start_seconds``
        until the first frames are tagged, and ``peak_mib``, the most memory that a worker had; and what was measured.
    """
    console = Console()
    model = load_model(directory)
    figures: dict[str, Any] = describe(model, "distributed", "h5py", "numpy")
    figures |= {"frames": count, "rows": _SHAPE[0], "columns": _SHAPE[1], "engines": {}}
    with tempfile.TemporaryDirectory() as place:
        path = _write_file(Path(place) / "frames.h5", count)
        for number in (None, *workers):
            name = "this process" if number is None else f"{number} worker{'s' if number > 1 else ''}"
            with console.status(f"Measuring {name}"):
                begin = perf_counter()
                with closing(choose_backend(model, None, number)) as tagging:
                    figures["engines"][name] = _measure(tagging, path, begin, number or 1)
    _print(console, figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _write_file(path: Path, count: int) -> str:
    return str(write_frames(path, frames(_SHAPE, _DIFFERENT), count))


def _measure(tagging: Backend, path: str, begin: float, workers: int) -> dict[str, float]:
    every: list[Frame] = list(frames_of(path))
    _run(tagging, every[: BATCH * workers])
    started = perf_counter()
    _run(tagging, every)
    figures = {"start_seconds": started - begin, "frames_per_second": len(every) / (perf_counter() - started)}
    peaks = tagging.peak_memory()
    return figures | {"peak_mib": max(peaks) / 2**20}


def _run(tagging: Backend, every: list[Frame]) -> None:
    assert all(getattr(outcome, "status", "") == "ok" for outcome in tagging.tag(every))


def _print(console: Console, figures: dict[str, Any]) -> None:
    table = Table("where", "frames a second", "start", "peak memory")
    for name, one in figures["engines"].items():
        table.add_row(
            name, f"{one['frames_per_second']:.1f}", f"{one['start_seconds']:.1f} s", f"{one['peak_mib']:.0f} MiB"
        )
    console.print(table)
    console.print(
        f"{figures['frames']} frames of {figures['rows']} x {figures['columns']} pixels; {figures['machine']}, load "
        f"{figures['load']}; model {figures['model']} on {figures['device']}; {figures['versions']}"
    )
