"""What stands in the way of the photons."""

from __future__ import annotations

import numpy as np

from ..patterns import Yoneda
from ..scenes import Scene
from ..shadows import Absorber, Beamstop, FlightTube, Rim, Slope
from .nuisance import Nuisance, chance, log_uniform, with_shadows

__all__ = ["SHADOWS"]


def _tube(scene: Scene, radius: float, outside: float, rng: np.random.Generator) -> Scene:
    size, (x, y) = max(scene.geometry.shape), scene.geometry.beam_centre
    off = 0.05 * rng.standard_normal(2)
    return with_shadows(scene, FlightTube((x / size + off[0], y / size + off[1]), radius, outside))


def _flight_tube_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return scene if level >= 1 else _tube(scene, level, 0.0, rng)


def _draw_flight_tube(scene: Scene, rng: np.random.Generator) -> Scene:
    if scene.layout.round or not chance(rng, 0.25):
        return scene
    outside = 0.0 if chance(rng, 0.5) else log_uniform(rng, 0.001, 0.3)
    return _tube(scene, float(rng.uniform(0.35, 0.9)), outside, rng)


def _absorber(scene: Scene, position: float, transmission: float, rng: np.random.Generator) -> Scene:
    angle = float(rng.choice([0, np.pi / 2, np.pi, -np.pi / 2])) + rng.normal(0, 0.05)
    return with_shadows(scene, Absorber(position, angle, transmission))


def _shadow_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return _absorber(scene, 0.5 - level, 0.1, rng) if level else scene


def _draw_shadow(scene: Scene, rng: np.random.Generator) -> Scene:
    if chance(rng, 0.11):
        transmission = 0.0 if chance(rng, 0.15) else log_uniform(rng, 0.02, 0.8)
        scene = _absorber(scene, float(rng.uniform(0, 0.45)), transmission, rng)
    if chance(rng, 0.2):
        scene = with_shadows(scene, Slope(float(rng.uniform(0, 2 * np.pi)), log_uniform(rng, 0.03, 1)))
    return scene


def _beamstop(scene: Scene, radius: float, rng: np.random.Generator) -> Beamstop:
    """Return a round stop, alone or with an arm, a wedge, a bar, or an L."""
    kind = rng.choice(["round", "arm", "wedge", "bar", "elbow"], p=[0.2, 0.33, 0.17, 0.18, 0.12])
    angle = float(rng.choice(4) * np.pi / 2 + rng.normal(0, 0.03))
    if kind == "bar" or any(isinstance(part.component, Yoneda) for part in scene.parts):  # from below
        angle = np.pi / 2 + rng.normal(0, 0.03)
    elif chance(rng, 0.5):
        angle = float(rng.uniform(0, 2 * np.pi))
    arm, spread, elbow = 0.0, 0.0, 0.0
    if kind in ("arm", "elbow"):
        arm = radius * rng.uniform(0.15, 0.8)
        elbow = float(rng.uniform(0.08, 0.5)) if kind == "elbow" else 0.0
    elif kind == "wedge":
        arm, spread = radius * rng.uniform(0.3, 1), rng.uniform(0.02, 0.2)
    elif kind == "bar":
        arm, radius = radius * 0.8, radius * 0.8
    off = radius * 0.25 * rng.standard_normal(2)
    return Beamstop(
        radius,
        float(arm),
        float(angle),
        float(spread),
        (float(off[0]), float(off[1])),
        0.0 if chance(rng, 0.6) else log_uniform(rng, 0.003, 0.3),
        0.0 if chance(rng, 0.4) else log_uniform(rng, 0.001, 0.01),
        elbow,
    )


def _beamstop_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return with_shadows(scene, _beamstop(scene, level, rng)) if level else scene


def _draw_beamstop(scene: Scene, rng: np.random.Generator) -> Scene:
    return with_shadows(scene, _beamstop(scene, log_uniform(rng, 0.012, 0.07), rng)) if chance(rng, 0.6) else scene


def _rim_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    bow, angle = float(level * rng.uniform(-1, 1.5)), float(rng.normal(0, 0.02))
    return with_shadows(scene, Rim(level, bow, angle)) if level else scene


def _draw_rim(scene: Scene, rng: np.random.Generator) -> Scene:
    """Only detectors that integrate have tapers."""
    if scene.layout.round or not scene.layout.integrating or not chance(rng, 0.4):
        return scene
    return _rim_at(scene, log_uniform(rng, 0.003, 0.05), rng)


SHADOWS = (
    Nuisance(
        "flight_tube", "flight tube", "radius/side", (1, 0.8, 0.65, 0.5, 0.35), _flight_tube_at, _draw_flight_tube
    ),
    Nuisance("shadow", "shadowed part", "of the frame", (0, 0.1, 0.2, 0.35, 0.5), _shadow_at, _draw_shadow),
    Nuisance("rim", "dark rim", "width/side", (0, 0.01, 0.02, 0.035, 0.05), _rim_at, _draw_rim),
    Nuisance("beamstop", "beamstop", "radius/side", (0, 0.015, 0.03, 0.05, 0.07), _beamstop_at, _draw_beamstop),
)
