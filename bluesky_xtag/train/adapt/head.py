"""The last layer of a network, taken off, corrected, and put on again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

from ...errors import ModelError
from ...model import TagModel
from .last_layer import Examples
from .stages import Correction

__all__ = ["Head", "Layer"]


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
    strengths : keras.layers.Dense, optional
        The layer that turns the features into strengths, if the network has one; it stays as it is.
    """

    trunk: Any
    kernel: np.ndarray
    bias: np.ndarray
    strengths: Any = None

    @classmethod
    def of(cls, model: TagModel) -> Head:
        """Take the last layer off a model's network.

        Raises
        ------
        ModelError
            The network does not end with a dense layer and a sigmoid.
        """
        import keras

        layers = {id(layer.output): layer for layer in model.network.layers}
        *_, last = model.network.layers
        strengths = None
        if isinstance(last, keras.layers.Concatenate) and model.taxonomy.graded:
            last, strengths = (layers[id(tensor)] for tensor in last.input)
        dense: Any = last
        if isinstance(last, keras.layers.Activation):
            dense = layers[id(last.input)]
        if not isinstance(dense, keras.layers.Dense) or last.get_config()["activation"] != "sigmoid":
            raise ModelError(
                f"model {model.name} ends with the layer {last.name!r}, not with a dense layer and a sigmoid: "
                "adapt a model whose network does"
            )
        kernel, bias = dense.get_weights() if dense.use_bias else (*dense.get_weights(), np.zeros(dense.units))
        return cls(keras.Model(model.network.inputs, dense.input), kernel, bias, strengths)

    def features(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return (n, features) float32 of n prepared frames, given as the network's inputs by name."""
        return self.trunk.predict_on_batch(dict(inputs))

    def network(self, kernel: np.ndarray, bias: np.ndarray) -> Any:
        """Return a network that gives scores, with another last layer."""
        import keras

        layer = keras.layers.Dense(bias.size, name="logits")
        scores = keras.layers.Activation("sigmoid", name="scores")(layer(self.trunk.output))
        layer.set_weights([kernel, bias])
        if self.strengths is None:
            return keras.Model(self.trunk.inputs, scores, name="xtag")
        estimated = keras.layers.Dense(self.strengths.units, name="strengths")
        outputs = keras.layers.Concatenate(name="outputs")([scores, estimated(self.trunk.output)])
        estimated.set_weights(self.strengths.get_weights())
        return keras.Model(self.trunk.inputs, outputs, name="xtag")


@dataclass(frozen=True, eq=False)
class Layer:
    """The last layer with the thresholds, and with room for tags that are new to it.

    Parameters
    ----------
    kernel : numpy.ndarray
        (features, tags).
    bias : numpy.ndarray
        (tags,).
    thresholds : numpy.ndarray
        (tags,) 0.5 for new tags.
    known : numpy.ndarray
        (tags,) bool: the network knows the tag.
    """

    kernel: np.ndarray
    bias: np.ndarray
    thresholds: np.ndarray
    known: np.ndarray

    @classmethod
    def of(cls, head: Head, model: TagModel, tags: int) -> Layer:
        """Make room for so many tags, the model's own first."""
        new = tags - head.bias.size
        thresholds = np.pad(model.thresholds.astype(np.float64), (0, new), constant_values=0.5)
        kernel, bias = np.pad(head.kernel, ((0, 0), (0, new))), np.pad(head.bias, (0, new))
        return cls(kernel, bias, thresholds, np.arange(tags) < head.bias.size)

    @property
    def _least(self) -> np.ndarray:
        """Logits of the thresholds."""
        return logit(np.clip(self.thresholds, 1e-6, 1 - 1e-6))

    def examples(self, features: np.ndarray, labels: np.ndarray, sources: np.ndarray) -> Examples:
        """Return frames with the margins that this layer gives them."""
        return Examples(features, features @ self.kernel + self.bias - self._least, labels, sources)

    def corrected_by(self, learned: Correction) -> Layer:
        """Return the layer with corrected scores; tags that have changed are accepted from 0.5 on."""
        changed, slopes = learned.changed, learned.calibration.slopes
        kernel = self.kernel * slopes + learned.delta[:-1]
        bias = (self.bias - self._least) * slopes + learned.calibration.offsets + learned.delta[-1]
        return Layer(
            np.where(changed, kernel, self.kernel),
            np.where(changed, bias, self.bias),
            np.where(changed, 0.5, self.thresholds),
            self.known,
        )

    def of_tags(self, which: np.ndarray) -> Layer:
        """Return the layer of some tags only, (tags,) bool."""
        return Layer(self.kernel[:, which], self.bias[which], self.thresholds[which], self.known[which])
