"""Serves a network with TensorFlow: arrays in, scores out, the same for a frame whatever comes with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import ModelError

__all__ = ["folded", "serve"]

_WEIGHTS = 4  # of a normalisation with scale and shift: these, mean and variance
_AT_ONCE = 4  # frames of a call that the network may work on side by side


def serve(network: Any) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Return a function from a network's inputs by name, of any number of frames, to their scores.

    Frames go through the network one by one, a few side by side. A network gives a frame slightly other scores in
    a batch of another size, because its sums are added up in another order; live batches are of whatever waited, so
    the same frame would get other scores in a replay.

    Raises
    ------
    ModelError
        Keras runs on another backend than TensorFlow.
    """
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"Keras runs on {keras.backend.backend()}, but models are served with TensorFlow: "
            "set KERAS_BACKEND=tensorflow"
        )
    quick = folded(network)
    shapes = {tensor.name: tuple(tensor.shape[1:]) for tensor in quick.inputs}

    def one(inputs: dict[str, Any]) -> Any:
        return quick({name: values[None] for name, values in inputs.items()}, training=False)[0]

    def several(inputs: dict[str, Any]) -> Any:
        return tf.map_fn(one, inputs, fn_output_signature=tf.float32, parallel_iterations=_AT_ONCE)

    def traced(function: Any, frames: tuple[None, ...]) -> Any:
        specs = {name: tf.TensorSpec(frames + shape, tf.float32) for name, shape in shapes.items()}
        compiled: Any = tf.function(function)
        return compiled.get_concrete_function(specs)

    single, batch = traced(one, ()), traced(several, (None,))

    def scores(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if len(inputs[quick.inputs[0].name]) == 1:  # a loop over one frame takes longer to set up
            return single({name: tf.constant(inputs[name][0]) for name in shapes}).numpy()[None]
        return batch({name: tf.constant(inputs[name]) for name in shapes}).numpy()

    return scores


def folded(network: Any) -> Any:
    """Return a Keras network that gives the same scores with less work.

    A convolution takes up the batch normalisation behind it, if nothing else reads what it gives: with the scale s
    of the normalisation, its kernel becomes s times the kernel, and its bias what the normalisation gives for 0.
    """
    import keras

    norms = _normalised(network)
    if not norms:
        return network
    behind = {norm.name for norm in norms.values()}

    def clone(layer: Any) -> Any:
        more = {"use_bias": True} if layer.name in norms else {}
        return type(layer).from_config(layer.get_config() | more)

    def call(layer: Any, *arguments: Any, **more: Any) -> Any:
        return arguments[0] if layer.name in behind else layer(*arguments, **more)

    quick: Any = keras.models.clone_model(network, clone_function=clone, call_function=call)
    for layer in quick.layers:
        weights = network.get_layer(layer.name).get_weights()
        if layer.name in norms:
            gamma, beta, mean, variance = norms[layer.name].get_weights()
            scale = gamma / np.sqrt(variance + norms[layer.name].epsilon)
            weights = [weights[0] * scale, beta - mean * scale]
        layer.set_weights(weights)
    return quick


def _normalised(network: Any) -> dict[str, Any]:
    """Return the batch normalisation that alone reads what a convolution without bias gives, by the latter's name."""
    from keras import activations, layers, tree

    places = [len(layer.get("inbound_nodes", ())) for layer in network.get_config()["layers"]]
    if max(places) > 1:  # of a layer in several places only the first would be seen here
        return {}
    read = [(layer, tree.flatten(layer.input), layer.output) for layer in getattr(network, "operations", ())]
    readers = Counter(id(tensor) for _, tensors, _ in read for tensor in tensors)
    readers.update(id(tensor) for tensor in network.outputs)
    convolutions = {
        id(given): layer
        for layer, _, given in read
        if isinstance(layer, layers.Conv1D | layers.Conv2D)
        and not layer.use_bias
        and layer.activation is activations.linear
        and layer.data_format == "channels_last"
        and readers[id(given)] == 1
    }
    return {
        convolutions[id(tensors[0])].name: layer
        for layer, tensors, given in read
        if isinstance(layer, layers.BatchNormalization)
        and len(layer.weights) == _WEIGHTS
        and layer.axis in (-1, len(given.shape) - 1)
        and id(tensors[0]) in convolutions
    }
