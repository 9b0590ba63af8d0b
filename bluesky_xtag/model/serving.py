"""Serves a network: it turns the inputs of one frame into scores, which do not depend on other frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import numpy as np

from ..errors import ModelError
from .programs import Program, Score, inputs_alone, probes
from .quiet import without_build_notes

__all__ = ["serve"]

log = logging.getLogger("bluesky_xtag")


def serve(network: Any, on_gpu: bool = False, keep: Callable[[Program], None] = lambda program: None) -> Score:
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
    keep : callable
        Is given LiteRT's program, if that runs the network.

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
            program = _program(traced, score, network)
            quick = program.score()
        keep(program)
        return quick
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


def _program(traced: Any, right: Score, network: Any) -> Program:
    import tensorflow as tf

    shapes = {tensor.name: tuple(tensor.shape[1:]) for tensor in network.inputs}
    converted = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module()).convert()
    return Program(converted, shapes, np.array([right(probe) for probe in probes(shapes)]))


def _whole(traced: Any) -> Score:
    import tensorflow as tf

    # With oneDNN, which is on by default on many processors, TensorFlow crashes where one function runs twice at once.
    one_at_a_time = Lock()
    (specs,), _ = traced.structured_input_signature
    shapes = {name: tuple(spec.shape[1:]) for name, spec in specs.items()}

    def score(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        batch = inputs_alone(inputs, shapes)
        with one_at_a_time:
            return traced({name: tf.constant(values) for name, values in batch.items()}).numpy()[0]

    return score
