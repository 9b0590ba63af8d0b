"""Where the detector stands, how the sample lies, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..patterns import Yoneda
from ..scenes import Scene
from .nuisance import Nuisance, chance

__all__ = ["GEOMETRY"]


def _misplace(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Tell a centre that is wrong by `level` pixels of 1000."""
    angle, off = rng.uniform(0, 2 * np.pi), level / 1000 * max(scene.geometry.shape)
    x, y = scene.geometry.beam_centre
    return replace(scene, told_centre=(float(x + off * np.cos(angle)), float(y + off * np.sin(angle))))


def _draw_centre_error(scene: Scene, rng: np.random.Generator) -> Scene:
    """Mostly a few pixels of 1000, at times 10 and more."""
    sigma = 2.5 if chance(rng, 0.8) else 6.0
    return _misplace(scene, float(np.hypot(*rng.normal(0, sigma, 2))), rng)


def _hide_centre(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return replace(scene, told_centre=None) if level else scene


def _draw_hidden_centre(scene: Scene, rng: np.random.Generator) -> Scene:
    return _hide_centre(scene, float(chance(rng, 0.38)), rng)


def _turn(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Turn the sample about the beam, and the beam about the middle of the frame, as when the whole image turns."""
    angle = float(np.radians(level))
    if not angle:
        return scene
    (rows, columns), (x, y) = scene.geometry.shape, scene.geometry.beam_centre
    across, down = x / columns - 0.5, y / rows - 0.5
    centre = (
        float((0.5 + across * np.cos(angle) - down * np.sin(angle)) * columns),
        float((0.5 + across * np.sin(angle) + down * np.cos(angle)) * rows),
    )
    return replace(
        scene,
        turn=scene.turn + angle,
        geometry=replace(scene.geometry, beam_centre=centre),
        told_centre=None if scene.told_centre is None else centre,
    )


def _draw_turn(scene: Scene, rng: np.random.Generator) -> Scene:
    """Turn by any angle; samples under grazing incidence mostly lie flat, stand upright or hang."""
    angle = float(rng.uniform(0, 360))
    if any(isinstance(part.component, Yoneda) for part in scene.parts) and not chance(rng, 0.2):
        angle = float(rng.choice([0, 90, 180, 270], p=[0.4, 0.2, 0.2, 0.2]))
    return _turn(scene, angle, rng)


def _mirror(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return replace(scene, mirrored=bool(level) != scene.mirrored)


def _draw_mirror(scene: Scene, rng: np.random.Generator) -> Scene:
    return _mirror(scene, float(chance(rng, 0.5)), rng)


def _incline(name: str) -> Callable[[Scene, float, np.random.Generator], Scene]:
    def at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
        angle = float(np.radians(level)) * (1 if chance(rng, 0.5) else -1)
        return replace(scene, geometry=replace(scene.geometry, **{name: angle}))

    return at


def _draw_tilt(scene: Scene, rng: np.random.Generator) -> Scene:
    return _incline("tilt")(scene, float(rng.uniform(0, 5)), rng) if chance(rng, 0.4) else scene


def _draw_swing(scene: Scene, rng: np.random.Generator) -> Scene:
    """Small, or large where the beam passes beside the detector, as on an arm."""
    beside = not 0 <= scene.geometry.beam_centre[0] <= scene.geometry.shape[1]
    if not chance(rng, 0.4 if beside else 0.25):
        return scene
    return _incline("swing")(scene, float(rng.uniform(0, 40 if beside else 5)), rng)


def _bring_nearer(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return replace(scene, geometry=replace(scene.geometry, distance=scene.geometry.distance * level))


def _leave(scene: Scene, rng: np.random.Generator) -> Scene:
    """Leave it: camera lengths and energies differ from scene to scene already."""
    return scene


GEOMETRY = (
    Nuisance("tilt", "tilt", "degrees", (0, 1, 2.5, 4, 5), _incline("tilt"), _draw_tilt),
    Nuisance("swing", "swing", "degrees", (0, 10, 20, 30, 40), _incline("swing"), _draw_swing),
    Nuisance("camera_length", "camera length", "of clean", (1, 1.25, 1.5, 2, 3), _bring_nearer, _leave),
    Nuisance("rotation", "rotation", "degrees", (0, 45, 90, 137, 180), _turn, _draw_turn),
    Nuisance("mirror", "mirror image", "", (0, 1), _mirror, _draw_mirror),
    Nuisance(
        "centre_error", "beam centre wrong by", "pixels of 1000", (0, 2, 5, 7.5, 10), _misplace, _draw_centre_error
    ),
    Nuisance("centre_unknown", "beam centre not told", "", (0, 1), _hide_centre, _draw_hidden_centre),
)
