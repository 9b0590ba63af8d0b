"""Training data on disk: prepared samples in chunks, each named by its seed and number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from ..prepare import SCALARS, Inputs, Preparation
from ..simulate.dataset import sample
from ..simulate.processes import processes

__all__ = ["CHUNK", "INPUTS", "Samples", "chunk_path", "digest", "generate", "load", "write"]

CHUNK = 500
INPUTS = ("plain", "polar", "profile", "scalars")
# Places of the scalars that change when a frame is turned over.
_X, _Y, _ASPECT = (SCALARS.index(name) for name in ("centre_x", "centre_y", "log_aspect"))


@dataclass(frozen=True, eq=False)
class Samples:
    """Prepared samples, labels -1 ignored.

    Parameters
    ----------
    plain, polar, profile, scalars : numpy.ndarray
        Network inputs, float16, one sample a row.
    labels : numpy.ndarray
        (n, tags) int8.
    """

    plain: np.ndarray
    polar: np.ndarray
    profile: np.ndarray
    scalars: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """Return the network's inputs of some rows, float32."""
        return {name: getattr(self, name)[rows].astype(np.float32) for name in INPUTS}

    def batches(
        self, rng: np.random.Generator, size: int, skip: int = 0
    ) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """Yield all samples once in random order, turned over at random; go on behind the first `skip` batches.

        Half are mirrored left to right; a quarter each upside down and with rows and columns exchanged, because
        detectors are mounted in all ways although most stand upright.
        """
        order = rng.permutation(len(self))
        for number in range(len(order) // size):
            rows = np.sort(order[number * size : (number + 1) * size])
            chances = rng.random((3, size))
            if number < skip:
                continue
            inputs = self.inputs(rows)
            for turn_over, chance, share in zip((_mirror, _upend, _transpose), chances, (0.5, 0.25, 0.25), strict=True):
                turn_over(inputs, chance < share)
            yield inputs, np.array(self.labels[rows])


def digest(samples: Samples) -> str:
    """Return the SHA-256 of samples: inputs in the order of `INPUTS`, then labels."""
    found = hashlib.sha256()
    for name in (*INPUTS, "labels"):
        layer = getattr(samples, name)
        for start in range(0, len(layer), CHUNK):
            found.update(layer[start : start + CHUNK].tobytes())
    return found.hexdigest()


def _mirror(inputs: dict[str, np.ndarray], which: np.ndarray) -> None:
    """Mirror the chosen samples left to right, in place: azimuth a becomes pi - a, centre x becomes 1 - x."""
    inputs["plain"][which] = inputs["plain"][which][:, :, ::-1]
    _reflect(inputs["polar"], which, 2)
    inputs["scalars"][which, _X] = 1 - inputs["scalars"][which, _X]


def _upend(inputs: dict[str, np.ndarray], which: np.ndarray) -> None:
    """Turn the chosen samples upside down, in place: azimuth a becomes -a, centre y becomes 1 - y."""
    inputs["plain"][which] = inputs["plain"][which][:, ::-1]
    _reflect(inputs["polar"], which, 1)
    inputs["scalars"][which, _Y] = 1 - inputs["scalars"][which, _Y]


def _transpose(inputs: dict[str, np.ndarray], which: np.ndarray) -> None:
    """Exchange rows and columns of the chosen samples, in place: azimuth a becomes pi/2 - a."""
    inputs["plain"][which] = inputs["plain"][which].swapaxes(1, 2)
    _reflect(inputs["polar"], which, 4)
    scalars = inputs["scalars"]
    scalars[which, _X], scalars[which, _Y] = scalars[which, _Y], scalars[which, _X]
    scalars[which, _ASPECT] *= -1


def _reflect(polar: np.ndarray, which: np.ndarray, part: int) -> None:
    """Reflect azimuths: a becomes 2 pi / part - a (of sectors that begin at -pi)."""
    azimuths = polar.shape[2]
    polar[which] = polar[which][:, :, (azimuths // part - 1 - np.arange(azimuths)) % azimuths]


def generate(
    directory: Path,
    chunks: int,
    seed: int,
    held_out: bool = False,
    workers: int | None = None,
    size: int = CHUNK,
    preparation: Preparation | None = None,
) -> None:
    """Simulate `chunks` chunks of `size` samples into a directory; chunks that are there already are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = [number for number in range(chunks) if not chunk_path(directory, number).exists()]
    if not wanted:
        return
    with processes(workers, len(wanted)) as pool:
        jobs = [pool.submit(_write_chunk, directory, number, size, seed, held_out, preparation) for number in wanted]
        for job in track(as_completed(jobs), total=len(jobs), description=f"Simulating {directory.name}"):
            job.result()


def load(directory: Path, chunks: int) -> Samples:
    """Load the first chunks of a directory; they are joined on disk and read from there as they are needed."""
    with np.load(chunk_path(directory, 0)) as first:
        shapes = {name: (first[name].shape, first[name].dtype) for name in first.files}
    joined = directory / f"joined-{chunks:05d}"
    if not joined.exists():
        _join(directory, chunks, shapes, joined)
    return Samples(**{name: np.load(joined / f"{name}.npy", mmap_mode="r") for name in shapes})


def _join(directory: Path, chunks: int, shapes: dict[str, tuple[tuple[int, ...], np.dtype]], out: Path) -> None:
    part = out.with_suffix(".part")
    part.mkdir(exist_ok=True)
    layers = {
        name: np.lib.format.open_memmap(part / f"{name}.npy", "w+", dtype, (chunks * shape[0], *shape[1:]))
        for name, (shape, dtype) in shapes.items()
    }
    for number in track(range(chunks), description=f"Joining {directory.name}"):
        with np.load(chunk_path(directory, number)) as chunk:
            for name, layer in layers.items():
                size = shapes[name][0][0]
                layer[number * size : (number + 1) * size] = chunk[name]
    for layer in layers.values():
        layer.flush()
    part.rename(out)


def chunk_path(directory: Path, number: int) -> Path:
    """Return the path of a chunk."""
    return directory / f"chunk-{number:05d}.npz"


def write(path: Path, drawn: Sequence[tuple[Inputs, np.ndarray]]) -> None:
    """Write a chunk of samples, inputs and labels, all or nothing."""
    part = path.with_suffix(".part.npz")
    layers: dict[str, Any] = {
        name: np.stack([getattr(inputs, name) for inputs, _ in drawn]).astype(np.float16) for name in INPUTS
    }
    np.savez(part, **layers, labels=np.stack([labels for _, labels in drawn]))
    part.replace(path)


def _write_chunk(
    directory: Path, number: int, size: int, seed: int, held_out: bool, preparation: Preparation | None
) -> None:
    numbers = range(number * size, (number + 1) * size)
    write(chunk_path(directory, number), [sample(seed, index, held_out, preparation) for index in numbers])
