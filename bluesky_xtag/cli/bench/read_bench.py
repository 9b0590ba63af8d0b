"""How fast frames in HDF5 files get their scores (`xtag bench read`): read whole, and binned while they are decoded."""

from __future__ import annotations

import gc
import json
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ...frames import Frame, frames_of
from ...model import TagModel, load_model, without_build_notes
from .bar import Bar, missed, table_of
from .machine import describe, frames

__all__ = ["BARS", "SIZES", "bars_missed", "read"]

SIZES = {"16 Mpx": (4362, 4148), "4 Mpx": (2162, 2068), "1 Mpx": (1062, 1028)}
"""Of Eiger detectors, uint32 with gaps."""
_FILTERS: dict[str, Mapping[str, Any]] = {
    "bitshuffle-LZ4": hdf5plugin.Bitshuffle(cname="lz4"),
    "bitshuffle-Zstd": hdf5plugin.Bitshuffle(cname="zstd"),
    "gzip": {"compression": "gzip", "compression_opts": 1},
    "uncompressed": {},
}
_THREADS = (1, 2)
_DIFFERENT = 4  # frames in a file
_WAYS: dict[str, Callable[[Frame], Any]] = {"whole": Frame.pixels, "packed": Frame.packed}
_WRITTEN = 200  # writes of a session, of which the slow ones count


BARS = (
    Bar("16 Mpx, bitshuffle-LZ4", "gain_2_threads", 3.5),
    Bar("16 Mpx, bitshuffle-LZ4", "share_of_time_alone", 0.4, at_most=True),
    Bar("4 Mpx, bitshuffle-LZ4", "gain_2_threads", 2.5),
    Bar("1 Mpx, bitshuffle-LZ4", "gain_2_threads", 1.8),
    Bar("16 Mpx, bitshuffle-LZ4", "share_of_memory", 0.25, at_most=True),
    Bar("16 Mpx, gzip", "packed_write_p99_ms", 5, at_most=True),
)


def read(
    json_path: Path | None = None,
    directory: Path | None = None,
    rounds: int = 3,
) -> dict[str, Any]:
    """Measure from file to scores: images read whole by h5py, and decoded outside of HDF5's lock while they are binned.

    The two ways take turns, in the same process.

    Parameters
    ----------
    json_path : Path, optional
        Where to write the figures as JSON, too.
    directory : Path, optional
        Model directory; the packaged model if not given.
    rounds : int
        How often each way is measured, with eight frames a thread.

    Returns
    -------
    dict
        `frames`: by size and compression, for each way (``whole``, ``packed``) the milliseconds of a frame alone and
        frames a second in one and two threads, and how the ways compare; for the largest frames also memory, and the
        time of writes by the same process meanwhile; and what was measured.
    """
    console = Console()
    with without_build_notes():
        model = load_model(directory)
        model.warm()
    figures: dict[str, Any] = describe(model, "h5py", "hdf5plugin", "numpy", "numba") | {"frames": {}}
    with tempfile.TemporaryDirectory() as place, Progress(console=console) as progress:
        task = progress.add_task("Measuring", total=len(SIZES) * len(_FILTERS))
        for size in SIZES:
            images = _frames(SIZES[size])
            for name, options in _FILTERS.items():
                path = _write(Path(place) / "frames.h5", images, options)
                is_largest = size == next(iter(SIZES))
                figures["frames"][f"{size}, {name}"] = _measure(model, path, rounds, is_largest, Path(place))
                progress.advance(task)
    _print(console, figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def bars_missed(figures: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each bar that the figures of `read` miss."""
    return missed(BARS, figures)


def _frames(shape: tuple[int, int]) -> list[np.ndarray]:
    """Return frames as an Eiger writes them: modules of 514 x 1030 pixels with gaps, which hold the highest number."""
    images = [image.astype(np.uint32) for image in frames(shape, _DIFFERENT)]
    for image in images:
        for row in range(514, shape[0], 551):
            image[row : row + 37] = 2**32 - 1
        for column in range(1030, shape[1], 1040):
            image[:, column : column + 10] = 2**32 - 1
    return images


def _write(path: Path, images: Sequence[np.ndarray], options: Mapping[str, Any]) -> list[Frame]:
    path.unlink(missing_ok=True)
    shape = images[0].shape
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "entry/data/data", (len(images), *shape), np.uint32, chunks=(1, *shape), **options
        )
        for number, image in enumerate(images):
            dataset[number] = image
    return list(frames_of(str(path)))


def _measure(model: TagModel, every: list[Frame], rounds: int, is_largest: bool, place: Path) -> dict[str, float]:
    for take in _WAYS.values():  # so that no way pays for what is compiled, or not in memory yet
        _score(model, take, every[0])
    alone: dict[str, list[float]] = {way: [] for way in _WAYS}
    rates: dict[tuple[str, int], list[float]] = {(way, threads): [] for way in _WAYS for threads in _THREADS}
    for _ in range(rounds):
        for way, take in _WAYS.items():
            alone[way] += [_score(model, take, frame) for frame in every]
        for threads in _THREADS:
            for way, take in _WAYS.items():
                rates[way, threads].append(_rate(model, take, every, threads))
    figures = {f"{way}_alone_ms": 1e3 * float(np.median(times)) for way, times in alone.items()}
    figures |= {f"{way}_{threads}_per_second": float(np.median(found)) for (way, threads), found in rates.items()}
    figures["share_of_time_alone"] = figures["packed_alone_ms"] / figures["whole_alone_ms"]
    for threads in _THREADS:
        gain = figures[f"packed_{threads}_per_second"] / figures[f"whole_{threads}_per_second"]
        figures[f"gain_{threads}_threads"] = gain
    if is_largest:
        figures |= {f"{way}_memory_mib": _memory(model, take, every[0]) for way, take in _WAYS.items()}
        figures["share_of_memory"] = figures["packed_memory_mib"] / figures["whole_memory_mib"]
        for way, take in _WAYS.items():
            figures[f"{way}_write_p99_ms"] = _write_beside(model, take, every, place / "session.h5")
    return figures


def _score(model: TagModel, take: Callable[[Frame], Any], frame: Frame) -> float:
    """Return the seconds from the file to the scores."""
    begin = perf_counter()
    model.predict([take(frame)])
    return perf_counter() - begin


def _rate(model: TagModel, take: Callable[[Frame], Any], every: Sequence[Frame], threads: int) -> float:
    """Return frames a second, each in one of some threads from the file to its scores."""
    some = [every[number % len(every)] for number in range(8 * threads)]
    with ThreadPoolExecutor(threads) as pool:
        begin = perf_counter()
        list(pool.map(lambda frame: _score(model, take, frame), some))
        return len(some) / (perf_counter() - begin)


def _memory(model: TagModel, take: Callable[[Frame], Any], frame: Frame) -> float:
    """Return the most memory in MiB that Python and NumPy hold because of a frame between its file and its scores."""
    gc.collect()
    tracemalloc.start()
    try:
        _score(model, take, frame)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def _write_beside(model: TagModel, take: Callable[[Frame], Any], every: Sequence[Frame], path: Path) -> float:
    """Return in milliseconds what 99 % of the writes of this process take at most while two threads tag frames."""
    times = []
    with _tagging(model, take, every), h5py.File(path, "w") as file:
        dataset = file.create_dataset("motor", (_WRITTEN,), float)
        for number in range(_WRITTEN):
            begin = perf_counter()
            dataset[number] = number
            times.append(perf_counter() - begin)
            threading.Event().wait(2e-3)
    return 1e3 * float(np.percentile(times, 99))


@contextmanager
def _tagging(model: TagModel, take: Callable[[Frame], Any], every: Sequence[Frame]) -> Iterator[None]:
    """Tag frames in two threads, again and again, while the block runs."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            for frame in every:
                _score(model, take, frame)

    with ThreadPoolExecutor(max(_THREADS)) as pool:
        running = [pool.submit(run) for _ in range(max(_THREADS))]
        try:
            yield
        finally:
            over.set()
    for each in running:
        each.result()


def _print(console: Console, figures: Mapping[str, Any]) -> None:
    table = Table("file", "one alone, ms", "1 thread, /s", "2 threads, /s", title="read whole -> binned while decoded")
    for name, one in figures["frames"].items():
        cells = (f"{one[f'whole_{key}']:.1f} -> {one[f'packed_{key}']:.1f}" for key in _COMPARED)
        table.add_row(name, *cells)
    console.print(table)
    for name, one in figures["frames"].items():
        if "whole_memory_mib" in one:
            console.print(
                f"{name}: memory of a frame {one['whole_memory_mib']:.1f} -> {one['packed_memory_mib']:.1f} MiB; 99 % "
                f"of the session's writes take at most {one['whole_write_p99_ms']:.1f} -> "
                f"{one['packed_write_p99_ms']:.1f} ms"
            )
    console.print(table_of(BARS, figures))
    console.print(
        f"uint32, one image a chunk; {figures['machine']}, load {figures['load']}; model {figures['model']} on "
        f"{figures['device']}; {figures['versions']}"
    )


_COMPARED = ("alone_ms", "1_per_second", "2_per_second")
