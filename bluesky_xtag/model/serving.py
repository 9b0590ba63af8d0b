"""Serves a network: it turns the inputs of one frame into scores, which do not depend on other frames."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import ModelError, XTagValueError
from .quiet import without_build_notes

__all__ = ["Score", "serve"]

log = logging.getLogger(__name__)

_TOLERANCE = 1e-4  # of scores, 0 to 1; rounding makes a tenth of it

Score = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def serve(network: Any, on_gpu: bool = False) -> Score:
    """Return a function from a network's inputs for one frame to its scores. Several threads may call it at once.

    On the CPU, LiteRT, TensorFlow's runtime for inference, runs the network: in half the time, and each thread on its
    own. Each frame runs alone. In batches of different sizes a network gives slightly different scores, because it adds
    in a different order, and the size of a live batch depends on how many frames wait.

    Parameters
    ----------
    network : keras.Model
        Its inputs have names.
    on_gpu : bool
        There is a GPU. TensorFlow then runs the network, because LiteRT would stay on the CPU.

    Returns
    -------
    callable
        Takes float32 arrays by name, with the shapes of the inputs without the batch; returns (tags,) float32. It
        raises `XTagValueError` if an input is missing or has another shape.

    Raises
    ------
    ModelError
        Keras runs on another backend than TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"Keras runs on {keras.backend.backend()}, but models are served with TensorFlow: "
            "set KERAS_BACKEND=tensorflow"
        )
    traced = _trace(network)
    score = _whole(traced)
    if on_gpu:
        return score
    try:
        with without_build_notes():
            return _as_good(_lite(traced), score, network)
    except Exception as error:  # what LiteRT lacks is told in many ways
        reason, _, _ = str(error).partition("\n")
        log.warning(
            "LiteRT cannot run this network, so TensorFlow runs it, which takes longer (%s: %s)",
            type(error).__name__,
            reason,
        )
        return score


def _trace(network: Any) -> Any:
    """Return the TensorFlow function of a network for one frame, of which the weights are constants."""
    import tensorflow as tf

    weights = [
        [tf.constant(variable.numpy()) for variable in variables]
        for variables in (network.trainable_variables, network.non_trainable_variables)
    ]

    def scores(inputs: Any) -> Any:
        return network.stateless_call(*weights, inputs, training=False)[0]

    specs = {
        tensor.name: tf.TensorSpec((1, *tensor.shape[1:]), tf.float32, name=tensor.name) for tensor in network.inputs
    }
    compiled: Any = tf.function(scores)
    return compiled.get_concrete_function(specs)


def _lite(traced: Any) -> Score:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    program = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module()).convert()

    class Own(threading.local):
        """The interpreter of a thread: one must not run in two threads at once."""

        def __init__(self) -> None:
            self.run = Interpreter(model_content=program, num_threads=1).get_signature_runner()

    own = Own()

    def score(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        (scores,) = own.run(**_alone(inputs, traced)).values()
        return scores[0]

    return score


def _whole(traced: Any) -> Score:
    import tensorflow as tf

    # With oneDNN, which is on by default on many processors, TensorFlow crashes where one function runs twice at once.
    one_at_a_time = threading.Lock()

    def score(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        with one_at_a_time:
            return traced({name: tf.constant(values) for name, values in _alone(inputs, traced).items()}).numpy()[0]

    return score


def _alone(inputs: Mapping[str, np.ndarray], traced: Any) -> dict[str, np.ndarray]:
    """Return the inputs of a frame as a batch of one, if they fit: LiteRT would take other shapes for granted."""
    (specs,), _ = traced.structured_input_signature
    batch = {name: np.asarray(inputs[name], np.float32)[None] for name in specs if name in inputs}
    if wrong := sorted(name for name, spec in specs.items() if name not in batch or batch[name].shape != spec.shape):
        shapes = {name: tuple(specs[name].shape[1:]) for name in wrong}
        raise XTagValueError(f"the network needs inputs of the shapes {shapes}: prepare frames as its model does")
    return batch


def _as_good(quick: Score, right: Score, network: Any) -> Score:
    """Return the quick way to score if it gives what the right one does, for faint inputs and for strong ones."""
    random = np.random.default_rng(0)
    for strength in (0.1, 0.3, 1):
        probe = {tensor.name: random.normal(0, strength, tensor.shape[1:]) for tensor in network.inputs}
        if not np.allclose(quick(probe), right(probe), rtol=0, atol=_TOLERANCE, equal_nan=True):
            raise ArithmeticError("it gives other scores")
    return quick
