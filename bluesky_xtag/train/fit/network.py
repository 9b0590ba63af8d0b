"""The network: three views and the scalars of a frame in, logits of tags and strengths of components out.

Only standard Keras layers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["IMAGE_WIDTH", "VIEWS", "WIDTH", "build", "jit_compile"]

VIEWS = ("plain", "polar", "profile")
Wide = Callable[[int], int]  # channels at width 1 -> channels
# Of the packaged network: the model card says why. Nearly all of a frame's time goes into the images' layers.
WIDTH, IMAGE_WIDTH = 1.5, 1.0


def build(
    shapes: Mapping[str, tuple[int, ...]],
    tags: int,
    *,
    width: float = WIDTH,
    image_width: float = IMAGE_WIDTH,
    views: Collection[str] = VIEWS,
    strengths: int = 0,
) -> keras.Model:
    """Return an untrained network.

    The polar view is padded round the circle and pooled over the azimuth by mean and maximum, so that turning the
    sample changes little; what has a direction on the detector is left to the plain view, fine radii and symmetry
    to the profile.

    Parameters
    ----------
    shapes : mapping
        Shape of the inputs `plain`, `polar`, `profile` and `scalars`, without the batch.
    tags : int
        Number of tags.
    width : float
        Channels of the profile's layers, 1 gives 48 in the first, and of those in which the views meet.
    image_width : float
        Channels of the layers that look at the images: 1 gives 24 in the plain view's first, 32 in the polar's.
    views : collection of str
        Which views are looked at; the inputs are all there.
    strengths : int
        Number of components whose strength is estimated.

    Returns
    -------
    keras.Model
        Inputs by name; the outputs `logits`, (batch, tags), and, unless there are none, `strengths`, (batch,
        strengths), both of the layer `features`, (batch, 128 width).
    """
    import keras
    from keras import layers

    def wide(channels: int) -> int:
        return round(channels * width)

    def image_wide(channels: int) -> int:
        return round(channels * image_width)

    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    ways: dict[str, Callable[[Any], list[Any]]] = {
        "plain": lambda x: _plain(x, image_wide),
        "polar": lambda x: _polar(x, image_wide, wide(32)),
        "profile": lambda x: _profile(x, wide),
    }
    seen = [feature for name in VIEWS if name in views for feature in ways[name](inputs[name])]
    scalars = layers.Dense(wide(32), activation="relu", name="scalars_hidden")(inputs["scalars"])
    hidden = layers.Concatenate()([*seen, scalars])
    hidden = layers.Dense(wide(128), activation="relu", name="features")(hidden)
    hidden = layers.Dropout(0.1)(hidden)
    logits = layers.Dense(tags, name="logits")(hidden)
    outputs = [logits, layers.Dense(strengths, name="strengths")(hidden)] if strengths else logits
    return keras.Model(inputs, outputs, name="xtag")


def jit_compile(steps: int) -> Any:
    """Return the argument of `keras.Model.compile` for a training of so many steps.

    On two cores XLA makes a step a seventh shorter, but takes as long as a hundred steps to compile.
    """
    return "auto" if steps > 100 else False


def _plain(x: Any, wide: Wide) -> list[Any]:
    from keras import layers

    x = _block(x, wide(24), "plain_0", size=5, stride=2)
    x = _residual(x, wide(24), "plain_1")
    for number, channels in ((2, 48), (4, 64)):
        x = layers.MaxPooling2D(2)(x)
        x = _block(x, wide(channels), f"plain_{number}")
        x = _residual(x, wide(channels), f"plain_{number + 1}")
    return [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]


def _polar(x: Any, wide: Wide, radial: int) -> list[Any]:
    from keras import layers

    x = _block(x, wide(32), "polar_0", size=5, stride=2, circular=True)
    x = _residual(x, wide(32), "polar_1", circular=True)
    for number, channels in ((2, 64), (4, 96)):
        x = layers.MaxPooling2D(2, padding="same")(x)
        x = _block(x, wide(channels), f"polar_{number}", circular=True)
        x = _residual(x, wide(channels), f"polar_{number + 1}", circular=True)
    circle = (1, x.shape[2])
    x = layers.Concatenate()([layers.AveragePooling2D(circle)(x), layers.MaxPooling2D(circle)(x)])
    x = layers.Reshape((x.shape[1], x.shape[3]))(x)
    x = layers.Conv1D(radial, 3, padding="same", activation="relu", name="polar_radii")(x)
    return [layers.Flatten()(x)]


def _profile(x: Any, wide: Wide) -> list[Any]:
    """Look along the radii: sharp first, then over ever longer stretches."""
    from keras import layers

    x = _line(x, wide(48), "profile_0", 7)
    x = _line(x, wide(48), "profile_1", 5)
    for number in (2, 4, 6):
        x = layers.MaxPooling1D(2)(x)
        x = _line(x, wide(64), f"profile_{number}", 5)
        x = layers.Add()([x, _line(x, wide(64), f"profile_{number + 1}", 5)])
    place = layers.Conv1D(wide(16), 1, activation="relu", name="profile_place")(x)
    return [layers.Flatten()(place), layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)]


def _line(x: Any, channels: int, name: str, size: int) -> Any:
    from keras import layers

    x = layers.Conv1D(channels, size, padding="same", use_bias=False, name=f"{name}_convolution")(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(x))


def _block(x: Any, channels: int, name: str, *, size: int = 3, stride: int = 1, circular: bool = False) -> Any:
    """Convolve, normalise, rectify; `circular` joins the ends of the second axis."""
    from keras import layers

    x = _convolve(x, channels, name, size, stride, circular)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(x))


def _residual(x: Any, channels: int, name: str, *, circular: bool = False) -> Any:
    from keras import layers

    y = _convolve(x, channels, name, 3, 1, circular)
    y = layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(y)
    return layers.ReLU()(layers.Add()([x, y]))


def _convolve(x: Any, channels: int, name: str, size: int, stride: int, circular: bool) -> Any:
    from keras import layers

    name = f"{name}_convolution"
    if not circular:
        return layers.Conv2D(channels, size, strides=stride, padding="same", use_bias=False, name=name)(x)
    pad, azimuths = size // 2, x.shape[2]
    last = layers.Cropping2D(((0, 0), (azimuths - pad, 0)))(x)
    first = layers.Cropping2D(((0, 0), (0, azimuths - pad)))(x)
    x = layers.Concatenate(axis=2)([last, x, first])
    x = layers.ZeroPadding2D((pad, 0))(x)
    return layers.Conv2D(channels, size, strides=stride, padding="valid", use_bias=False, name=name)(x)
