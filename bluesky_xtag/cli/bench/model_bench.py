"""How fast a model and the simulation are on this machine: each stage of a frame, batches, and a cold start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ...model import DEFAULT, TagModel, without_build_notes
from .bar import Bar, missed, table_of
from .machine import BATCH, describe, frames

__all__ = ["BARS", "FRAMES", "MEANINGS", "STAGES", "bars_missed", "model"]

FRAMES = {"Pilatus 100K": (195, 487), "Pilatus 1M": (1043, 981), "Eiger 4M": (2167, 2070)}
MEANINGS = {
    "bin": "mask and bin",
    "views": "views, centre estimated",
    "told": "views, centre told",
    "infer": "network",
    "predict": "all, centre estimated",
}
STAGES = tuple(MEANINGS)


BARS = (
    Bar("Pilatus 1M", "predict_p50_ms", 12, at_most=True),
    Bar("Pilatus 1M", "frames_per_second", 150),
    Bar("Eiger 4M", "frames_per_second", 60),
    Bar("", "simulated_samples_per_second", 60),
)


def model(
    json_path: Path | None = None, directory: Path | None = None, repeats: int = 200, samples: int = 400
) -> dict[str, Any]:
    """Measure how long prepare and infer take on this machine, and print it.

    Frames are int32. The model estimates the beam centre each time, which is slower than with a known centre.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too.
    directory : Path, optional
        Model directory; the packaged model if not given.
    repeats : int
        Single frames of each size; a tenth as many batches.
    samples : int
        Samples to simulate and prepare on all cores.

    Returns
    -------
    dict
        `frames`: figures by detector, times in milliseconds; `cold_start_seconds` by step;
        `simulated_samples_per_second`; and what they were measured with.
    """
    console = Console()
    with without_build_notes():
        loaded = TagModel.load(directory)
        loaded.warm()
    figures: dict[str, Any] = describe(loaded, "keras", "opencv-python-headless", "numpy") | {"frames": {}}
    with Progress(console=console) as progress:
        task = progress.add_task("Measuring", total=len(FRAMES) + 2)
        for name, shape in FRAMES.items():
            figures["frames"][name] = _of_frames(loaded, shape, repeats)
            progress.advance(task)
        figures["cold_start_seconds"] = _cold_start(directory or DEFAULT)
        progress.advance(task)
        figures["simulated_samples_per_second"] = _simulation(samples)
        progress.advance(task)
    _print(console, figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def bars_missed(figures: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each bar that the figures of `model` miss."""
    return missed(BARS, figures)


def _of_frames(loaded: TagModel, shape: tuple[int, int], repeats: int) -> dict[str, Any]:
    images = frames(shape, 4)
    batch = [images[number % len(images)] for number in range(BATCH)]
    singles = np.array([list(_stages(loaded, images[number % len(images)])) for number in range(repeats + 5)][5:])
    percentiles = 1e3 * np.percentile(singles, (50, 95, 99), axis=0)
    figures: dict[str, Any] = {"rows": shape[0], "columns": shape[1]}
    for percent, times in zip((50, 95, 99), percentiles, strict=True):
        figures |= {f"{stage}_p{percent}_ms": float(time) for stage, time in zip(STAGES, times, strict=True)}
    batches = [_seconds(loaded, batch) for _ in range(max(repeats // 10, 3))]
    return figures | {"frames_per_second": len(batch) / float(np.median(batches))}


def _stages(loaded: TagModel, image: np.ndarray) -> Iterator[float]:
    """Yield the seconds that each of STAGES takes for one frame."""
    prepare, centre = loaded.preparation, (image.shape[1] / 2, image.shape[0] / 2)
    begin = perf_counter()
    binned = prepare.bin(image)
    yield (after_bin := perf_counter()) - begin
    inputs = prepare.views(binned)
    yield (after_views := perf_counter()) - after_bin
    prepare.views(binned, centre)
    yield (after_told := perf_counter()) - after_views
    loaded.infer([inputs])
    yield perf_counter() - after_told
    yield _seconds(loaded, [image])


def _seconds(loaded: TagModel, images: list[np.ndarray]) -> float:
    begin = perf_counter()
    loaded.predict(images)
    return perf_counter() - begin


_COLD = """
import sys
from time import perf_counter
begin = perf_counter()
import tensorflow, keras
from bluesky_xtag.model import TagModel
imported = perf_counter()
model = TagModel.load(sys.argv[1])
loaded = perf_counter()
model.warm()
print(imported - begin, loaded - imported, perf_counter() - loaded)
"""


def _cold_start(directory: Path) -> dict[str, float]:
    """Return the seconds of each step in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", _COLD, directory], capture_output=True, text=True, check=True)
    return dict(zip(("import", "load", "warm"), map(float, done.stdout.split()), strict=True))


def _simulation(samples: int) -> float:
    """Return samples a second on all cores, once their processes run."""
    from ...simulate import worker_pool

    workers = os.cpu_count() or 1
    with worker_pool(workers, workers) as pool:
        list(pool.map(_simulate, range(10 * workers)))
        begin = perf_counter()
        list(pool.map(_simulate, range(samples), chunksize=5))
        return samples / (perf_counter() - begin)


def _simulate(index: int) -> None:
    from ...simulate import sample

    sample(0, index)


def _print(console: Console, figures: Mapping[str, Any]) -> None:
    table = Table(title="int32 frames, one a call: p50 / p95 / p99, ms")
    table.add_column("stage")
    for name, one in figures["frames"].items():
        table.add_column(f"{name}\n{one['rows']} x {one['columns']}", justify="right")
    for stage, meaning in MEANINGS.items():
        cells = (
            " / ".join(f"{one[f'{stage}_p{percent}_ms']:.1f}" for percent in (50, 95, 99))
            for one in figures["frames"].values()
        )
        table.add_row(meaning, *cells)
    rates = (f"{one['frames_per_second']:.0f} /s" for one in figures["frames"].values())
    table.add_section()
    table.add_row(f"all, {BATCH} frames a call", *rates)
    console.print(table)
    bars = table_of(BARS, figures)
    cold = figures["cold_start_seconds"]
    bars.add_row("cold start", f"{sum(cold.values()):.2g} s", "")
    console.print(bars)
    steps = ", ".join(f"{step} {seconds:.2g} s" for step, seconds in cold.items())
    console.print(f"cold start: {steps}")
    console.print(
        f"{figures['machine']}, load {figures['load']}; model {figures['model']} on {figures['device']}; "
        f"{figures['versions']}"
    )
