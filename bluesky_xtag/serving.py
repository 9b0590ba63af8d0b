"""Serves a network: what it sees of one frame in, the frame's scores out, the same whatever else is scored."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import ModelError
from .quiet import without_build_notes

__all__ = ["Score", "serve"]

log = logging.getLogger(__name__)

_TOLERANCE = 1e-3  # of scores, 0 to 1; rounding makes a hundredth of it

Score = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def serve(network: Any, on_gpu: bool = False) -> Score:
    """Return a function from a network's inputs for one frame to its scores; any threads may call it at once.

    On the CPU, LiteRT runs the network, TensorFlow's runtime for inference: in half the time, and each thread on its
    own. A frame goes alone, because a network gives it slightly other scores in a batch of another size, whose sums
    are added up in another order; and live batches are of whatever waited.

    Parameters
    ----------
    network : keras.Model
        Its inputs have names.
    on_gpu : bool
        Whether TensorFlow itself is to run it, where it puts it on the GPU.

    Returns
    -------
    callable
        Takes float32 arrays by name, shaped as the inputs without the batch; returns (tags,) float32.

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
    traced = _traced(network)
    score = _whole(traced)
    if on_gpu:
        return score
    try:
        with without_build_notes():
            return _as_good(_lite(traced), score, network)
    except Exception as error:  # what LiteRT lacks is told in many ways
        reason, _, _ = str(error).partition("\n")
        log.warning("LiteRT cannot run this network, so TensorFlow does, which takes longer: %s", reason)
        return score


def _traced(network: Any) -> Any:
    """Return the TensorFlow function of a network for one frame, its weights constants in it."""
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

    own, names = Own(), _inputs(traced)

    def score(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        (scores,) = own.run(**{name: np.asarray(inputs[name], np.float32)[None] for name in names}).values()
        return scores[0]

    return score


def _whole(traced: Any) -> Score:
    import tensorflow as tf

    # With oneDNN, which is on by default on many processors, TensorFlow crashes where one function runs twice at once.
    one_at_a_time, names = threading.Lock(), _inputs(traced)

    def score(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        with one_at_a_time:
            return traced({name: tf.constant(inputs[name][None], tf.float32) for name in names}).numpy()[0]

    return score


def _inputs(traced: Any) -> list[str]:
    (specs,), _ = traced.structured_input_signature
    return list(specs)


def _as_good(quick: Score, right: Score, network: Any) -> Score:
    """Return the quick way to score if it gives what the right one does."""
    random = np.random.default_rng(0)
    probe = {tensor.name: random.normal(size=tensor.shape[1:]).astype(np.float32) for tensor in network.inputs}
    if not np.allclose(quick(probe), right(probe), rtol=0, atol=_TOLERANCE, equal_nan=True):
        raise ArithmeticError("it gives other scores")
    return quick
