"""What an observed effect is, and what all of them use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..scenes import Scene, sample_azimuth

__all__ = ["Effect", "any_scene", "locate"]


def any_scene(scene: Scene) -> bool:
    """Be true: the effect happens everywhere."""
    return True


@dataclass(frozen=True)
class Effect:
    """Something that measured frames show.

    Parameters
    ----------
    name, title : str
        `title` is for people.
    confuses : tuple of str
        Tags that a network gives, or misses, where it has never seen the effect.
    share : float
        Of the scenes that it fits, how many show it.
    draw : callable
        (scene, rng) -> the scene with the effect.
    fits : callable
        (scene) -> whether such a scene can show it.
    """

    name: str
    title: str
    confuses: tuple[str, ...]
    share: float
    draw: Callable[[Scene, np.random.Generator], Scene]
    fits: Callable[[Scene], bool] = any_scene


def locate(scene: Scene, x: float, y: float) -> tuple[float, float]:
    """Return where a place on the frame lies for the components of a scene.

    Parameters
    ----------
    scene : Scene
    x, y : float
        Relative to the frame's sides, 0 to 1.

    Returns
    -------
    tuple of float
        (along chi = 0, along chi = pi/2), 1/angstrom.
    """
    geometry = scene.geometry.bin(max(1, max(scene.geometry.shape) // 100))
    rows, columns = geometry.shape
    place = min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)
    q, chi = float(geometry.q()[place]), float(sample_azimuth(scene, geometry.chi())[place])
    return q * float(np.cos(chi)), q * float(np.sin(chi))
