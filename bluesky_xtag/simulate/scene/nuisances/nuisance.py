"""What a nuisance is, and what all of them use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...truth.visibility import SAMPLE
from ..scenes import Scene

__all__ = ["Nuisance", "chance", "log_uniform", "q_range", "sample_photons", "with_defects", "with_shadows"]


@dataclass(frozen=True)
class Nuisance:
    """One thing that spoils frames.

    Parameters
    ----------
    name, title, unit : str
        `title` is for people, `unit` that of the levels.
    levels : tuple of float
        From none (the first) to the end of its range (the last); the middle one stands for the middle of the range.
    at : callable
        (scene, level, rng) -> the scene with this nuisance at that level.
    draw : callable
        (scene, rng) -> the scene as training draws it, often unchanged.
    """

    name: str
    title: str
    unit: str
    levels: tuple[float, ...]
    at: Callable[[Scene, float, np.random.Generator], Scene]
    draw: Callable[[Scene, np.random.Generator], Scene]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw from low to high, each factor alike."""
    return float(low * (high / low) ** rng.random())


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Be true with this probability."""
    return bool(rng.random() < probability)


def sample_photons(scene: Scene) -> float:
    """Return the photons of the sample in the frame."""
    return sum(part.photons for part in scene.parts if part.kind in SAMPLE)


def q_range(scene: Scene) -> tuple[float, float]:
    """Return the lowest and highest q of the frame, 1/angstrom."""
    q = scene.geometry.bin(max(1, max(scene.geometry.shape) // 24)).q()
    return float(q.min()), float(q.max())


def with_defects(scene: Scene, **changes: Any) -> Scene:
    """Return the scene with these defects of its detector."""
    return replace(scene, defects=replace(scene.defects, **changes))


def with_shadows(scene: Scene, *shadows: Any) -> Scene:
    """Return the scene with more in the way."""
    return replace(scene, shadows=(*scene.shadows, *shadows))
