"""Simulated frames as the last layer sees them: they hold a model to what it knew, and show what it forgot."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ...model import TagModel
from .head import Head

__all__ = ["simulate_features"]

_CHUNK = 125


def simulate_features(
    model: TagModel,
    head: Head,
    names: tuple[str, ...],
    count: int,
    seed: int,
    held_out: bool,
    workers: int | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, labels and sources of simulated frames; none if the model knows no tag that is simulated.

    Parameters
    ----------
    model : TagModel
        Its preparation is used.
    head : Head
        The last layer of that model.
    names : tuple of str
        Tags in the order of the labels; tags of one's own have none (-1).
    count : int
        How many frames, at least.
    seed : int
        Of all chance.
    held_out : bool
        Whether of the detectors and q ranges that training never sees.
    workers : int or None
        Processes; all cores if None.
    """
    from ...simulate import TAGS
    from .. import data

    shared = [name for name in model.taxonomy.names if name in TAGS.names]
    if not shared or not count:
        return np.empty((0, len(head.kernel))), np.empty((0, len(names)), np.int8), np.empty(0, str)
    chunks = -(-count // _CHUNK)
    with tempfile.TemporaryDirectory() as directory:
        place, size = Path(directory) / ("held-out frames" if held_out else "frames"), -(-count // chunks)
        data.generate(place, chunks, seed, held_out, workers, size, model.preparation)
        samples = data.load(place, chunks)
        features = [head.features(samples.inputs(slice(at, at + size))) for at in range(0, len(samples), size)]
        labels = np.full((len(samples), len(names)), -1, np.int8)
        labels[:, [names.index(name) for name in shared]] = samples.labels[:, [TAGS.index(name) for name in shared]]
    return np.concatenate(features), labels, np.full(len(labels), "simulated")
