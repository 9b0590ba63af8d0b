"""The network: two views and the scalars of a frame in, one logit per tag out. Only standard Keras layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["build"]


def build(shapes: Mapping[str, tuple[int, ...]], tags: int) -> keras.Model:
    """Return an untrained network.

    The polar view is padded round the circle and pooled over the azimuth by mean and maximum, so that turning the
    sample changes little; what has a direction on the detector is left to the plain view.

    Parameters
    ----------
    shapes : mapping
        Shape of the inputs `plain`, `polar` and `scalars`, without the batch.
    tags : int
        Number of tags.

    Returns
    -------
    keras.Model
        Inputs by name; one output `logits`, (batch, tags).
    """
    import keras
    from keras import layers

    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}

    polar = _block(inputs["polar"], 32, size=5, stride=2, circular=True)
    polar = _residual(polar, 32, circular=True)
    for width in (64, 96):
        polar = layers.MaxPooling2D(2, padding="same")(polar)
        polar = _block(polar, width, circular=True)
        polar = _residual(polar, width, circular=True)
    circle = (1, polar.shape[2])
    polar = layers.Concatenate()([layers.AveragePooling2D(circle)(polar), layers.MaxPooling2D(circle)(polar)])
    polar = layers.Reshape((polar.shape[1], polar.shape[3]))(polar)
    polar = layers.Conv1D(32, 3, padding="same", activation="relu")(polar)
    polar = layers.Flatten()(polar)

    plain = _block(inputs["plain"], 24, size=5, stride=2)
    plain = _residual(plain, 24)
    for width in (48, 64):
        plain = layers.MaxPooling2D(2)(plain)
        plain = _block(plain, width)
        plain = _residual(plain, width)
    plain = [layers.GlobalAveragePooling2D()(plain), layers.GlobalMaxPooling2D()(plain)]

    hidden = layers.Concatenate()([polar, *plain, layers.Dense(32, activation="relu")(inputs["scalars"])])
    hidden = layers.Dropout(0.1)(layers.Dense(128, activation="relu")(hidden))
    return keras.Model(inputs, layers.Dense(tags, name="logits")(hidden), name="xtag")


def _block(x: Any, width: int, *, size: int = 3, stride: int = 1, circular: bool = False) -> Any:
    """Convolve, normalise, rectify; `circular` joins the ends of the second axis."""
    from keras import layers

    x = _convolve(x, width, size, stride, circular)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.97)(x))


def _residual(x: Any, width: int, *, circular: bool = False) -> Any:
    from keras import layers

    y = layers.BatchNormalization(momentum=0.97)(_convolve(x, width, 3, 1, circular))
    return layers.ReLU()(layers.Add()([x, y]))


def _convolve(x: Any, width: int, size: int, stride: int, circular: bool) -> Any:
    from keras import layers

    if not circular:
        return layers.Conv2D(width, size, strides=stride, padding="same", use_bias=False)(x)
    pad, azimuths = size // 2, x.shape[2]
    last = layers.Cropping2D(((0, 0), (azimuths - pad, 0)))(x)
    first = layers.Cropping2D(((0, 0), (0, azimuths - pad)))(x)
    x = layers.Concatenate(axis=2)([last, x, first])
    x = layers.ZeroPadding2D((pad, 0))(x)
    return layers.Conv2D(width, size, strides=stride, padding="valid", use_bias=False)(x)
