"""How many photons arrive, and which of them are not the sample's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..patterns import Component, Guinier, Halo, HighQ, Rings, Streak
from ..scenes import Part, Scene
from .nuisance import Nuisance, chance, log_uniform, q_range, sample_photons

__all__ = ["PHOTONS"]


def _expose(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return replace(scene, parts=tuple(replace(part, photons=part.photons * level) for part in scene.parts))


def _draw_exposure(scene: Scene, rng: np.random.Generator) -> Scene:
    wanted = log_uniform(rng, 20, 3e3) if chance(rng, 0.2) else log_uniform(rng, 1e3, 5e8)
    photons = sample_photons(scene)
    return _expose(scene, wanted / photons, rng) if photons else scene


def _background_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    parts = [part for part in scene.parts if part.kind != "background"]
    photons = level * (sample_photons(scene) or 1e4)
    return replace(scene, parts=(*parts, Part("background", HighQ(0.0, 1.0), photons)))


def _draw_background(scene: Scene, rng: np.random.Generator) -> Scene:
    photons = sample_photons(scene)
    if photons:
        level = photons * (log_uniform(rng, 3, 50) if chance(rng, 0.12) else log_uniform(rng, 1e-3, 3))
    else:
        level = log_uniform(rng, 1, 1e3) if chance(rng, 0.5) else log_uniform(rng, 1e3, 1e7)
    parts = [part for part in scene.parts if part.kind != "background"]
    if chance(rng, 0.9):
        parts.append(Part("background", HighQ(0.0, 1.0), level))
    if chance(rng, 0.25):
        share = rng.uniform(0.4, 0.95)  # left of it in the far corner, as of air scatter
        falling = Guinier(float(np.sqrt(3 * np.log(1 / share))) / q_range(scene)[1])
        parts.append(Part("background", falling, level))
    if chance(rng, 0.05):
        parts.append(Part("window", _window(scene, rng), (photons or level) * log_uniform(rng, 0.01, 0.5)))
    return replace(scene, parts=tuple(parts))


def _window(scene: Scene, rng: np.random.Generator) -> Component:
    """Return the ring or halo of a window: Kapton's lamellae at 0.4, its halo at 1.2 /angstrom, or another foil's."""
    low, high = q_range(scene)
    known = [q0 for q0 in (0.4, 1.2) if low + 0.1 * (high - low) < q0 < 0.8 * high]
    q0 = float(rng.choice(known)) if known else low + (high - low) * float(rng.uniform(0.2, 0.7))
    return (
        Halo(q0, float(rng.uniform(0.2, 0.3))) if chance(rng, 0.5) else Rings(q0, width=float(rng.uniform(0.04, 0.1)))
    )


def _add_streak(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    if level <= 0:
        return scene
    low, high = q_range(scene)
    step = (high - low) / 250
    width = max(low + (high - low) * rng.uniform(0.004, 0.02), 1.2 * step)
    length = max(low + (high - low) * rng.uniform(0.05, 0.3), 8 * width)
    streak = Streak(float(rng.uniform(0, 2 * np.pi)), width, length, chance(rng, 0.6))
    photons = level * (sample_photons(scene) or sum(part.photons for part in scene.parts))
    return replace(scene, parts=(*scene.parts, Part("streak", streak, photons)))


def _draw_streak(scene: Scene, rng: np.random.Generator) -> Scene:
    return _add_streak(scene, log_uniform(rng, 0.01, 0.3), rng) if chance(rng, 0.13) else scene


PHOTONS = (
    Nuisance("exposure", "exposure", "of clean", (1, 1e-1, 1e-2, 1e-3, 1e-4), _expose, _draw_exposure),
    Nuisance(
        "background", "flat background", "of the sample", (1e-3, 0.1, 0.3, 1, 3), _background_at, _draw_background
    ),
    Nuisance("streak", "parasitic streak", "of the sample", (0, 0.03, 0.1, 0.2, 0.3), _add_streak, _draw_streak),
)
