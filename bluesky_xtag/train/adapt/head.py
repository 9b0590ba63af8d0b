"""The last layer of a network, taken off and put on again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ModelError
from ...model import TagModel

__all__ = ["Head"]


@dataclass(frozen=True, eq=False)
class Head:
    """What turns the features of a frame into logits: features @ kernel + bias.

    Parameters
    ----------
    trunk : keras.Model
        From prepared frames to features.
    kernel : numpy.ndarray
        (features, tags) float32.
    bias : numpy.ndarray
        (tags,) float32.
    """

    trunk: Any
    kernel: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, model: TagModel) -> Head:
        """Take the last layer off a model's network.

        Raises
        ------
        ModelError
            The network does not end with a dense layer and a sigmoid.
        """
        import keras

        *_, last = model.network.layers
        dense: Any = last
        if isinstance(last, keras.layers.Activation):
            dense = next(layer for layer in model.network.layers if layer.output is last.input)
        if not isinstance(dense, keras.layers.Dense) or last.get_config()["activation"] != "sigmoid":
            raise ModelError(
                f"model {model.name} ends with the layer {last.name!r}, not with a dense layer and a sigmoid: "
                "adapt a model whose network does"
            )
        kernel, bias = dense.get_weights() if dense.use_bias else (*dense.get_weights(), np.zeros(dense.units))
        return cls(keras.Model(model.network.inputs, dense.input), kernel, bias)

    def features(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return (n, features) float32 of n prepared frames, given as the network's inputs by name."""
        return self.trunk.predict_on_batch(dict(inputs))

    def network(self, kernel: np.ndarray, bias: np.ndarray) -> Any:
        """Return a network that gives scores, with another last layer."""
        import keras

        layer = keras.layers.Dense(bias.size, name="logits")
        scores = keras.layers.Activation("sigmoid", name="scores")(layer(self.trunk.output))
        layer.set_weights([kernel, bias])
        return keras.Model(self.trunk.inputs, scores, name="xtag")
