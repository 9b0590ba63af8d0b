"""Light that is not the sample's: air, slits, the direct beam, optics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..nuisances.nuisance import chance, log_uniform, q_range, sample_photons
from ..patterns import Guinier, PowerLaw, Streak
from ..scenes import Part, Scene
from ..shadows import Beamstop
from ..stray_patterns import AirPath, Caustic, Lopsided
from .effect import Effect, locate

__all__ = ["OF_STRAY_LIGHT"]


def _level(scene: Scene, rng: np.random.Generator, low: float, high: float) -> float:
    """Return photons relative to the sample's, or else to all that there are."""
    photons = sample_photons(scene) or sum(part.photons for part in scene.parts) or 1e4
    return photons * log_uniform(rng, low, high)


def _add(scene: Scene, *parts: Part) -> Scene:
    return replace(scene, parts=(*scene.parts, *parts))


def _air_path(scene: Scene, rng: np.random.Generator) -> Scene:
    """Let the beam cross air from where a pipe ends to the beamstop: nobody calls that scattering of the sample.

    At short distances it is seen at any level, on powders between the rings. `near` is chosen from the size of the
    frame, so that the fall is slow across it.
    """
    edge = float(np.tan(2 * np.arcsin(min(q_range(scene)[1] * scene.geometry.wavelength / (4 * np.pi), 0.7))))
    near = max(edge * log_uniform(rng, 0.12, 1.5), 1e-3)
    far = near + float(rng.uniform(0.1, 1.3))
    path = AirPath(near, far, scene.geometry.wavelength)
    return _add(scene, Part("background", path, _level(scene, rng, 0.03, 3)))


def _parasitic(scene: Scene, rng: np.random.Generator) -> Scene:
    """Let a slit or pinhole scatter close to the beam, more to one side: its blades are not equally far away.

    A surface scatters as q^-4 (Porod), so the light is narrow.
    """
    low, high = q_range(scene)
    law = PowerLaw(float(rng.uniform(2.5, 4)), low + (high - low) * log_uniform(rng, 0.01, 0.06))
    halo = Lopsided(law, float(rng.uniform(0.2, 0.8)), float(rng.uniform(0, 2 * np.pi)))
    return _add(scene, Part("parasitic", halo, _level(scene, rng, 0.003, 0.3)))


def _direct_beam(scene: Scene, rng: np.random.Generator) -> Scene:
    """Take the beamstop away: the attenuated beam, the halo that it makes in the sensor, and short streaks of slits."""
    low, high = q_range(scene)
    step = (high - low) / 250
    spot = Part("parasitic", Guinier(1.7 / (step * log_uniform(rng, 1, 6))), _level(scene, rng, 0.03, 1))
    streaks = []
    first = float(rng.uniform(0, np.pi))
    for number in range(int(rng.integers(0, 4))):
        width = step * float(rng.uniform(0.6, 1.5))
        angle = first + number * (np.pi / 2 + float(rng.normal(0, 0.1)))
        streak = Streak(angle, width, width * float(rng.uniform(5, 14)), chance(rng, 0.5))
        streaks.append(Part("streak", streak, _level(scene, rng, 0.01, 0.3)))
    bare = tuple(shadow for shadow in scene.shadows if not isinstance(shadow, Beamstop))
    return _add(replace(scene, shadows=bare), spot, *streaks)


def _on_image(scene: Scene) -> bool:
    (x, y), (rows, columns) = scene.geometry.beam_centre, scene.geometry.shape
    return -0.02 * columns < x < 1.02 * columns and -0.02 * rows < y < 1.02 * rows


def _flare(scene: Scene, rng: np.random.Generator) -> Scene:
    """Throw curved fans of light into a corner, as a bent mirror, a lens or a laser does, and a glow about them."""
    low, high = q_range(scene)
    size = high - low
    x, y = (float(rng.uniform(0.0, 0.3)) if chance(rng, 0.5) else float(rng.uniform(0.7, 1.0)) for _ in range(2))
    origin = locate(scene, x, y)
    towards = np.arctan2(*np.subtract(locate(scene, 0.5, 0.5), origin)[::-1])
    angles = towards + rng.normal(0, 0.7, int(rng.integers(2, 6)))
    length = size * log_uniform(rng, 0.08, 0.5)
    fans = Caustic(
        origin,
        tuple(map(float, angles)),
        tuple(map(float, rng.normal(0, 1.2, angles.size) / length)),
        size * log_uniform(rng, 0.002, 0.01),
        float(log_uniform(rng, 0.005, 0.06)),
        length,
        log_uniform(rng, 0.01, 0.3),
    )
    return _add(scene, Part("flare", fans, _level(scene, rng, 0.05, 1)))


OF_STRAY_LIGHT = (
    Effect("air_path", "air along the beam", ("diffuse_low_q", "halo", "high_background"), 0.3, _air_path),
    Effect(
        "parasitic", "scatter of slits", ("oriented", "diffuse_low_q", "parasitic_streak"), 0.1, _parasitic, _on_image
    ),
    Effect("direct_beam", "direct beam", ("parasitic_streak", "beamstop"), 0.04, _direct_beam, _on_image),
    Effect("flare", "flare of optics", ("grazing_incidence", "bragg_rods", "symmetry_4", "symmetry_6"), 0.04, _flare),
)
