"""Serves a network: what it sees of one frame in, the frame's scores out, the same whatever else is scored."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import ModelError

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
        return _as_good(_lite(traced), score, network)
    except Exception as error:  # what LiteRT lacks is told in many ways
        log.warning("LiteRT cannot run this network, so TensorFlow does, which takes longer: %s", error)
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

    program = tf.lite.TFLiteConverter.from_concrete_functions([traced]).convert()

    class Own(threading.local):
        """The interpreter of a thread: one must not run in two threads at once."""

        def __init__(self) -> None:
            self.interpreter = Interpreter(model_content=program, num_threads=1)
            self.interpreter.allocate_tensors()
            self.places = {detail["name"]: detail["index"] for detail in self.interpreter.get_input_details()}
            self.scores = self.interpreter.get_output_details()[0]["index"]

    own = Own()

    def score(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        for name, place in own.places.items():
            own.interpreter.set_tensor(place, np.asarray(inputs[name], np.float32)[None])
        own.interpreter.invoke()
        return own.interpreter.get_tensor(own.scores)[0]

    return score


def _whole(traced: Any) -> Score:
    import tensorflow as tf

    # With oneDNN, which is on by default on many processors, TensorFlow crashes where one function runs twice at once.
    one_at_a_time = threading.Lock()

    def score(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        (names,), _ = traced.structured_input_signature
        with one_at_a_time:
            return traced({name: tf.constant(inputs[name][None], tf.float32) for name in names}).numpy()[0]

    return score


def _as_good(quick: Score, right: Score, network: Any) -> Score:
    """Return the quick way to score if it gives what the right one does."""
    random = np.random.default_rng(0)
    probe = {tensor.name: random.normal(size=tensor.shape[1:]).astype(np.float32) for tensor in network.inputs}
    np.testing.assert_allclose(quick(probe), right(probe), atol=_TOLERANCE, err_msg="it gives other scores")
    return quick
