"""Training data on disk: prepared samples, written chunk by chunk into one file for each of the network's inputs."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import track

from ..errors import XTagValueError
from ..model import SCALARS, Preparation, write_atomically
from ..simulate import STRENGTHS, TAGS, Example, draw_example, worker_pool

__all__ = ["CHUNK", "INPUTS", "Draw", "Samples", "digest", "fill", "generate", "load"]

CHUNK = 500
# Batches that are made ahead, one a thread: reading and turning over takes longer than a step on a GPU.
AHEAD = min(16, os.cpu_count() or 1)
LAYOUT, DONE = "layout.json", "done"
INPUTS = ("plain", "polar", "profile", "scalars")
# Places of the scalars that change when a frame is turned over.
_X, _Y, _ASPECT = (SCALARS.index(name) for name in ("centre_x", "centre_y", "log_aspect"))

# The sample of a number: what the network sees, and the truth about it.
Draw = Callable[[int], Example]


@dataclass(frozen=True, eq=False)
class Samples:
    """Prepared samples, labels -1 ignored.

    Parameters
    ----------
    plain, polar, profile, scalars : numpy.ndarray
        Network inputs, float16, one sample a row.
    labels : numpy.ndarray
        (n, tags) int8; float32 from 0 to 1 where another model teaches (see `narrow.taught`).
    strengths : numpy.ndarray
        (n, strengths) float16, log10 of the SNR of each component, in the order of `STRENGTHS`.
    """

    plain: np.ndarray
    polar: np.ndarray
    profile: np.ndarray
    scalars: np.ndarray
    labels: np.ndarray
    strengths: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """Return the network's inputs of some rows, float16 as they are stored."""
        return {name: np.array(getattr(self, name)[rows]) for name in INPUTS}

    def batches(
        self, rng: np.random.Generator, size: int, skip: int = 0
    ) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]:
        """Yield all samples once in random order, turned over at random; go on behind the first `skip` batches.

        Each batch is inputs, labels and strengths.

        Half are mirrored left to right; a quarter each upside down and with rows and columns exchanged, because
        detectors are mounted in all ways although most stand upright.
        """
        order = rng.permutation(len(self))
        seeds = rng.bit_generator.seed_seq.spawn(len(order) // size)  # type: ignore[attr-defined]
        with ThreadPoolExecutor(AHEAD) as threads:
            coming: deque = deque()
            for number in range(skip, len(seeds)):
                rows = np.sort(order[number * size : (number + 1) * size])
                coming.append(threads.submit(self._batch, rows, np.random.default_rng(seeds[number])))
                if len(coming) > AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _batch(
        self, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        inputs = self.inputs(rows)
        for turn_over, share in ((_mirror, 0.5), (_upend, 0.25), (_transpose, 0.25)):
            turn_over(inputs, rng.random(len(rows)) < share)
        return inputs, np.array(self.labels[rows]), np.array(self.strengths[rows])


def digest(samples: Samples) -> str:
    """Return the SHA-256 of samples: inputs in the order of `INPUTS`, then labels and strengths."""
    found = hashlib.sha256()
    for name in (*INPUTS, "labels", "strengths"):
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
    forms: float = 0.0,
    observed: float = 0.0,
) -> None:
    """Simulate `chunks` chunks of `size` samples with all nuisances into a directory; see `fill`.

    `forms` and `observed` are those of `bluesky_xtag.simulate.sample`.
    """
    how = preparation or Preparation()
    draw = partial(draw_example, seed, held_out=held_out, preparation=how, forms=forms, observed=observed)
    fill(directory, chunks, draw, workers, size, how)


def fill(
    directory: Path,
    chunks: int,
    draw: Draw,
    workers: int | None = None,
    size: int = CHUNK,
    preparation: Preparation | None = None,
) -> None:
    """Write samples 0 to chunks * size - 1 into a directory, in processes; chunks that are there already are kept.

    Parameters
    ----------
    directory : Path
        Holds one file for each field of `Samples`; made, or its files made longer.
    chunks, size : int
        How many chunks of how many samples.
    draw : callable
        Gives the sample of a number; picklable.
    workers : int, optional
        Processes; all cores if not given.
    preparation : Preparation, optional
        That of the samples: decides their shapes.

    Raises
    ------
    XTagValueError
        The directory holds samples of other shapes, or in chunks of another size.
    XTagError
        A process ended before its chunk was done.
    OSError
        The disk does not take the samples. Chunks that are done are kept.
    """
    (directory / DONE).mkdir(parents=True, exist_ok=True)
    layout = _same_layout(directory, size, preparation or Preparation())
    wanted = [number for number in range(chunks) if not _mark(directory, number).exists()]
    for name, (shape, dtype) in layout.items():
        length = chunks * size * int(np.prod(shape)) * np.dtype(dtype).itemsize
        with (directory / name).open("ab") as file:
            if file.tell() < length:
                file.truncate(length)
    if not wanted:
        return
    with worker_pool(workers, len(wanted)) as pool:
        jobs = [pool.submit(_write_chunk, directory, number, size, draw) for number in wanted]
        for job in track(as_completed(jobs), total=len(jobs), description=f"Simulating {directory.name}"):
            job.result()


def load(directory: Path, chunks: int) -> Samples:
    """Return the samples of the first chunks of a directory; they are read from disk as they are needed."""
    held = json.loads((directory / LAYOUT).read_text("utf-8"))
    count, layers = chunks * held["size"], held["layers"].items()
    return Samples(**{name: _map(directory / name, (count, *shape), dtype) for name, (shape, dtype) in layers})


def _same_layout(directory: Path, size: int, preparation: Preparation) -> dict[str, tuple[list[int], str]]:
    """Return shape and type of each file's samples; XTagValueError if the directory holds others."""
    layers: dict[str, tuple[list[int], str]] = {
        name: (list(shape), "float16") for name, shape in preparation.shapes.items()
    }
    layers["labels"] = ([len(TAGS)], "int8")
    layers["strengths"] = ([len(STRENGTHS)], "float16")
    path, wanted = directory / LAYOUT, json.dumps({"size": size, "layers": layers})
    if not path.exists():
        with write_atomically(path) as new:
            new.write_text(wanted, "utf-8")
    elif path.read_text("utf-8") != wanted:
        raise XTagValueError(f"{directory} holds samples of another kind: use another directory, or remove this one")
    return layers


def _map(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap:
    return np.memmap(path, dtype, "r", 0, shape)  # type: ignore[call-overload]


def _mark(directory: Path, number: int) -> Path:
    """Return the file whose presence says that a chunk is written."""
    return directory / DONE / f"{number:05d}"


def _write_chunk(directory: Path, number: int, size: int, draw: Draw) -> None:
    """Write the samples of a chunk, then its mark.

    They are not written through a map of the files: where the disk is full, that ends the process.
    """
    layers = json.loads((directory / LAYOUT).read_text("utf-8"))["layers"]
    with ExitStack() as stack:
        files = {name: stack.enter_context((directory / name).open("rb+")) for name in layers}
        for name, (shape, dtype) in layers.items():
            files[name].seek(number * size * int(np.prod(shape)) * np.dtype(dtype).itemsize)
        for row in range(size):
            example = draw(number * size + row)
            for name, (shape, dtype) in layers.items():
                values = np.asarray(getattr(example.inputs if name in INPUTS else example, name), dtype)
                files[name].write(np.broadcast_to(values, shape).tobytes())
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    _mark(directory, number).touch()
