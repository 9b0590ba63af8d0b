"""How many frames a second two Dask workers tag, over what this process tags by itself, on one machine."""

from __future__ import annotations

import statistics
import tempfile
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from ...errors import XTagError
from ...frames import Frame, frames_of
from ...model import load_model
from ...replay import choose_backend
from ...tagger import Backend, NotReady
from .machine import describe, frames

__all__ = ["WORKERS", "two_workers_over_this_process"]

WORKERS = 2
_SHAPE = (1043, 981)  # a Pilatus 1M
_DIFFERENT = 8


def two_workers_over_this_process(directory: Path | None = None, count: int = 320, rounds: int = 3) -> dict[str, Any]:
    """Tag the same file in this process and on two local workers, by turns.

    Parameters
    ----------
    directory : Path, optional
        Model directory; the packaged model if not given.
    count : int
        Frames of 1043 x 981 pixels, int32, bitshuffled, in one HDF5 file.
    rounds : int
        How often each of them tags all frames, one after the other, so that both meet the same load.

    Returns
    -------
    dict
        `here` and `there`: frames a second of each round, in this process and on the workers; `ratio`: the median of
        the second over the first; and what was measured.

    Raises
    ------
    XTagError
        The workers did not start, or frames were not tagged where they should be.
    """
    model = load_model(directory)
    figures: dict[str, Any] = describe(model, "distributed", "h5py", "numpy")
    figures |= {"frames": count, "rows": _SHAPE[0], "columns": _SHAPE[1], "here": [], "there": []}
    with (
        tempfile.TemporaryDirectory() as place,
        closing(choose_backend(model, None, None)) as here,
        closing(choose_backend(model, None, WORKERS)) as there,
    ):
        every = list(frames_of(_write_file(Path(place) / "frames.h5", count)))
        wait = getattr(there, "wait", None)
        if wait is None or not wait(WORKERS):
            raise XTagError(f"the {WORKERS} Dask workers did not start: see their messages above")
        for turn in range(rounds + 1):  # the first warms both
            for name, backend in (("here", here), ("there", there)):
                rate = _rate(backend, every, " at " if name == "there" else "")
                if turn:
                    figures[name].append(rate)
    ratios = [far / near for far, near in zip(figures["there"], figures["here"], strict=True)]
    return figures | {"ratio": statistics.median(ratios)}


def _write_file(path: Path, count: int) -> str:
    images = frames(_SHAPE, _DIFFERENT)
    with h5py.File(path, "w") as file:
        options = {"chunks": (1, *_SHAPE), **hdf5plugin.Bitshuffle()}
        dataset = file.create_dataset("entry/data/data", (count, *_SHAPE), np.int32, **options)
        for number in range(count):
            dataset[number] = images[number % len(images)]
    return str(path)


def _rate(backend: Backend, every: list[Frame], where: str) -> float:
    begin = perf_counter()
    outcomes = list(backend.tag(every))
    seconds = perf_counter() - begin
    wrong = [each for each in outcomes if isinstance(each, NotReady) or each.status != "ok" or where not in each.device]
    if wrong:
        raise XTagError(f"{len(wrong)} of {len(outcomes)} frames were not tagged where they should be: {wrong[0]}")
    return len(every) / seconds
