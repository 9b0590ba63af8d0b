"""Training data on disk: prepared samples in chunks, each named by its seed and number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.progress import track

from ..prepare import Preparation
from ..simulate.dataset import sample

__all__ = ["CHUNK", "Samples", "generate", "load"]

CHUNK = 500


@dataclass(frozen=True, eq=False)
class Samples:
    """Prepared samples, labels -1 ignored.

    Parameters
    ----------
    plain, polar, scalars : numpy.ndarray
        Network inputs, float16, one sample a row.
    labels : numpy.ndarray
        (n, tags) int8.
    """

    plain: np.ndarray
    polar: np.ndarray
    scalars: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """Return the network's inputs of some rows, float32."""
        return {name: getattr(self, name)[rows].astype(np.float32) for name in ("plain", "polar", "scalars")}

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """Yield all samples once in random order, half of them mirrored left to right."""
        order = rng.permutation(len(self))
        for start in range(0, len(order) - size + 1, size):
            rows = np.sort(order[start : start + size])
            inputs = self.inputs(rows)
            _mirror(inputs, rng.random(size) < 0.5)
            yield inputs, self.labels[rows]


def _mirror(inputs: dict[str, np.ndarray], which: np.ndarray) -> None:
    """Mirror the chosen samples left to right, in place: azimuth a becomes pi - a, centre x becomes 1 - x."""
    inputs["plain"][which] = inputs["plain"][which][:, :, ::-1]
    azimuths = inputs["polar"].shape[2]
    mirrored = (azimuths // 2 - 1 - np.arange(azimuths)) % azimuths
    inputs["polar"][which] = inputs["polar"][which][:, :, mirrored]
    inputs["scalars"][which, 6] = 1 - inputs["scalars"][which, 6]


def generate(
    directory: Path,
    chunks: int,
    seed: int,
    held_out: bool = False,
    workers: int | None = None,
    size: int = CHUNK,
) -> None:
    """Simulate `chunks` chunks of `size` samples into a directory; chunks that are there already are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = [number for number in range(chunks) if not _chunk_path(directory, number).exists()]
    workers = min(workers or os.cpu_count() or 1, max(len(wanted), 1))
    if not wanted:
        return
    if workers == 1:
        for number in track(wanted, description=f"Simulating {directory.name}"):
            _write_chunk(directory, number, size, seed, held_out)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_write_chunk, directory, number, size, seed, held_out) for number in wanted]
        for job in track(as_completed(jobs), total=len(jobs), description=f"Simulating {directory.name}"):
            job.result()


def load(directory: Path, chunks: int) -> Samples:
    """Load the first chunks of a directory into memory."""
    with np.load(_chunk_path(directory, 0)) as first:
        shapes = {name: (first[name].shape, first[name].dtype) for name in first.files}
    layers = {name: np.empty((chunks * shape[0], *shape[1:]), dtype) for name, (shape, dtype) in shapes.items()}
    for number in range(chunks):
        with np.load(_chunk_path(directory, number)) as chunk:
            for name, layer in layers.items():
                size = shapes[name][0][0]
                layer[number * size : (number + 1) * size] = chunk[name]
    return Samples(**layers)


def _chunk_path(directory: Path, number: int) -> Path:
    return directory / f"chunk-{number:05d}.npz"


def _write_chunk(directory: Path, number: int, size: int, seed: int, held_out: bool) -> None:
    import cv2

    cv2.setNumThreads(1)
    preparation = Preparation()
    drawn = [sample(seed, number * size + index, held_out, preparation) for index in range(size)]
    path = _chunk_path(directory, number)
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        plain=np.stack([inputs.plain for inputs, _ in drawn]).astype(np.float16),
        polar=np.stack([inputs.polar for inputs, _ in drawn]).astype(np.float16),
        scalars=np.stack([inputs.scalars for inputs, _ in drawn]).astype(np.float16),
        labels=np.stack([labels for _, labels in drawn]),
    )
    part.rename(path)
