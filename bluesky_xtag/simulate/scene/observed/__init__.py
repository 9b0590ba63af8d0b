"""What measured frames show and the nuisances do not: each effect is off unless it is asked for.

`OBSERVED` holds them by name, in the order in which they are applied, after the nuisances. A network that is trained
without them takes what they draw for a property of the sample: each says for which tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ....errors import XTagValueError
from ..scenes import Scene
from .effect import Effect
from .of_panels import OF_PANELS
from .of_samples import OF_SAMPLES
from .of_stray_light import OF_STRAY_LIGHT

__all__ = ["OBSERVED", "Effect", "draw_observed"]

OBSERVED: Mapping[str, Effect] = MappingProxyType(
    {effect.name: effect for effect in (*OF_PANELS, *OF_SAMPLES, *OF_STRAY_LIGHT)}
)


def draw_observed(scene: Scene, rng: np.random.Generator, rate: float = 1.0) -> Scene:
    """Apply each effect by its own chance: whether one is drawn changes nothing else.

    Parameters
    ----------
    scene : Scene
    rng : numpy.random.Generator
        Source of all chance.
    rate : float
        By which the share of each effect is multiplied, 0 to 1.

    Raises
    ------
    XTagValueError
        `rate` is not from 0 to 1.
    """
    if not 0 <= rate <= 1:
        raise XTagValueError(f"the rate of observed effects is {rate}: choose a number from 0 to 1")
    for effect, own in zip(OBSERVED.values(), rng.spawn(len(OBSERVED)), strict=True):
        if own.random() < rate * effect.share and effect.fits(scene):
            scene = effect.draw(scene, own)
    return scene
