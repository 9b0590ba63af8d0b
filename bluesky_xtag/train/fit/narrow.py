"""A network with narrower image layers learns from a wider one: it keeps the strongest channels, and is taught."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from ...model import TagModel, write_atomically
from ..data import Samples

__all__ = ["is_wider", "narrow", "teach"]

# In each view, the numbers of the first of two layers whose results are added: they keep the same channels.
_VIEWS, _PAIRS = ("plain", "polar"), (0, 2, 4)
_TAUGHT = np.float32(0.5)  # share of the first model's scores in what is learned, beside the labels
_TOGETHER = 250


def is_wider(first: Any, network: Any) -> bool:
    """Return whether a Keras network has the layers of another, but more channels in those that look at images."""
    own, other = ({layer.name: layer for layer in each.layers} for each in (network, first))
    if not other.keys() >= {name for name in own if name.startswith(("plain_", "polar_", "profile_", "features"))}:
        return False
    if not own.keys() >= {f"{view}_0_convolution" for view in _VIEWS}:  # it does not look at both images
        return False
    alike = all(own[name].get_config() == other[name].get_config() for name in ("profile_0_convolution", "features"))
    return alike and any(_channels(first, view, 0) > _channels(network, view, 0) for view in _VIEWS)


def narrow(first: Any, network: Any, inputs: dict[str, np.ndarray]) -> None:
    """Set the image layers of a network to the channels of a wider one, `first`, that count most.

    A channel counts by the root mean square of what it gives on `inputs`, times the norm of the weights that read it.

    Parameters
    ----------
    first, network : keras.Model
        Networks of `network.build` that differ in the width of the image layers only.
    inputs : dict
        Network inputs by name, (n, ...).
    """
    for view in _VIEWS:
        read: Any = slice(None)
        for number in _PAIRS:
            strength = _strength(first, view, number, inputs)
            kept = np.sort(np.argsort(-strength)[: _channels(network, view, number)])
            _keep(first, network, f"{view}_{number}", read, kept)
            _keep(first, network, f"{view}_{number + 1}", kept, kept)
            read = kept
        reader = _reader(view, _PAIRS[-1])
        kernel, bias = first.get_layer(reader).get_weights()
        channels = _channels(first, view, _PAIRS[-1])  # which are read as mean and as maximum
        rows = np.concatenate([read, read + channels, np.arange(2 * channels, kernel.shape[-2])])
        network.get_layer(reader).set_weights([kernel[..., rows, :], bias])


def _strength(first: Any, view: str, number: int, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return how much each channel of a pair counts."""
    import keras

    reader, channels = first.get_layer(_reader(view, number)), _channels(first, view, number)
    seen = keras.Model(first.inputs, reader.input).predict_on_batch(inputs)
    kernel = reader.get_weights()[0]
    power = (seen**2).mean(axis=tuple(range(seen.ndim - 1)))
    gain = (kernel**2).sum(axis=(*range(kernel.ndim - 2), -1))
    times = 2 if number == _PAIRS[-1] else 1
    return np.sqrt((power * gain)[: times * channels].reshape(times, channels).sum(axis=0))


def _keep(first: Any, network: Any, layer: str, read: Any, kept: np.ndarray) -> None:
    (kernel,) = first.get_layer(f"{layer}_convolution").get_weights()
    network.get_layer(f"{layer}_convolution").set_weights([kernel[:, :, read][..., kept]])
    norm = first.get_layer(f"{layer}_norm").get_weights()
    network.get_layer(f"{layer}_norm").set_weights([weights[kept] for weights in norm])


def _reader(view: str, number: int) -> str:
    """Return the layer that reads a pair's channels."""
    if number != _PAIRS[-1]:
        return f"{view}_{number + 2}_convolution"
    return {"plain": "features", "polar": "polar_radii"}[view]


def _channels(network: Any, view: str, number: int) -> int:
    return network.get_layer(f"{view}_{number}_convolution").filters


def teach(samples: Samples, first: TagModel, to: list[int], of: list[int], path: Path) -> np.ndarray:
    """Return labels (n, tags) float32 halfway between the truth and the scores of a model; -1 stays.

    The model is asked once, of each sample as it is stored; turned over, it would score it a little differently.

    Parameters
    ----------
    samples : Samples
        What is learned from.
    first : TagModel
        Who teaches.
    to, of : list of int
        Columns of the labels, and of the model's scores, of the tags that both know.
    path : Path
        Where the scores are kept; read if they are there.
    """
    if not path.exists():
        scores = np.concatenate(list(_scores(samples, first)))
        with write_atomically(path) as new, new.open("wb") as file:
            np.save(file, scores)
    labels = np.array(samples.labels, np.float32)
    truth, scores = labels[:, to], np.load(path)[:, of]
    labels[:, to] = np.where(truth < 0, truth, truth + _TAUGHT * (scores - truth))
    return labels


def _scores(samples: Samples, first: TagModel) -> Iterator[np.ndarray]:
    starts = range(0, len(samples), _TOGETHER)
    for start in track(starts, description=f"Asking {first.name} {first.version}"):
        yield first.network.predict_on_batch(samples.inputs(slice(start, start + _TOGETHER))).astype(np.float16)
