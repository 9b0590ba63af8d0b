"""How samples scatter where the plain draws never go: nearly no texture, spots of a pixel, inclined plates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...truth.visibility import SAMPLE
from ..nuisances.nuisance import chance, log_uniform, q_range, sample_photons, with_shadows
from ..panels import Plate
from ..patterns import Halo, PowerLaw, Rings, Spots, Textured, Yoneda
from ..scenes import Part, Scene
from ..small_spots import SmallSpots
from .effect import Effect

__all__ = ["OF_SAMPLES"]


def _expose_well(scene: Scene, rng: np.random.Generator) -> Scene:
    """Take as many photons as people do who look at what they measure.

    Of 53 measured frames of many beamlines, nine in ten hold 2e6 to 7e8 counts; the plain draws, from 1e3 on, are
    fainter by orders of magnitude, so that tags come to mean how many photons there are.
    """
    more = log_uniform(rng, 2e6, 7e8) / sum(part.photons for part in scene.parts)
    return replace(scene, parts=tuple(replace(part, photons=part.photons * more) for part in scene.parts))


def _has_sample(scene: Scene) -> bool:
    return sample_photons(scene) > 0


def _untextured(part: Part) -> bool:
    return part.kind in ("halo", "rings", "low_q") and not isinstance(part.component, Textured)


def _texture(scene: Scene, rng: np.random.Generator) -> Scene:
    """Give the sample a contrast of 2 to 28 % round the circle, which people do not call oriented.

    Every rolled, drawn or pressed sample has a little texture; the plain draws leave out what lies between none and
    the 33 % from which a sample is oriented.
    """
    contrast = log_uniform(rng, 0.02, 0.28)
    eta = (1 - np.sqrt(1 - contrast**2)) / contrast  # of contrast = 2 eta / (1 + eta^2)
    fold, angle = int(rng.choice([2, 4, 6], p=[0.7, 0.2, 0.1])), float(rng.uniform(0, 2 * np.pi))
    parts = tuple(
        replace(part, component=Textured(part.component, float(eta), fold, angle)) if _untextured(part) else part
        for part in scene.parts
    )
    return replace(scene, parts=parts)


def _can_have_texture(scene: Scene) -> bool:
    return any(map(_untextured, scene.parts)) and not any(isinstance(part.component, Yoneda) for part in scene.parts)


def _small_spots(scene: Scene, rng: np.random.Generator) -> Scene:
    """Show a crystal of large cell: dozens to hundreds of spots of a pixel or two on the halo of its water.

    The intensities of its reflections follow Wilson's distribution (Acta Cryst. 2, 318, 1949): exponential. The spots
    are as large as beam and mosaic blocks make them, not as the blocks of pixels that are added up.
    """
    low, high = q_range(scene)
    number = int(log_uniform(rng, 20, 500))
    q = low + (high - low) * np.sqrt(rng.uniform(0.003, 0.8, number))
    pixel = _pixel(scene)
    heights = rng.exponential(1, number) * np.exp(-((q / high) ** 2) * rng.uniform(0, 3))
    chi = rng.uniform(-np.pi, np.pi, number)
    spots = SmallSpots(
        tuple(map(float, q)),
        tuple(map(float, chi)),
        tuple(map(float, heights)),
        pixel * log_uniform(rng, 0.35, 1.5),
        np.radians(0.3),
    )
    photons = sample_photons(scene)
    parts = [part for part in scene.parts if part.kind not in SAMPLE]
    parts.append(Part("spots", spots, photons * log_uniform(rng, 0.003, 0.3)))
    if chance(rng, 0.8):
        water = Halo(low + (high - low) * float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.2, 0.35)))
        parts.append(Part("halo", water, photons))
    if chance(rng, 0.5):
        solvent = PowerLaw(float(rng.uniform(1.8, 4)), low + (high - low) * log_uniform(rng, 0.01, 0.1))
        parts.append(Part("low_q", solvent, photons * log_uniform(rng, 0.03, 1)))
    return replace(scene, parts=tuple(parts))


def _pixel(scene: Scene) -> float:
    """Return the q that one pixel spans near the beam, 1/angstrom."""
    geometry = scene.geometry
    return 2 * np.pi / geometry.wavelength * geometry.pixel_size / geometry.distance


def _has_transmission(scene: Scene) -> bool:
    """Tell whether there is a sample, and the beam passes it."""
    return sample_photons(scene) > 0 and not any(isinstance(part.component, Yoneda) for part in scene.parts)


def _plate(scene: Scene, rng: np.random.Generator) -> Scene:
    """Incline a flat sample: where its scattering leaves it along the plane, more is absorbed."""
    plate = Plate(log_uniform(rng, 0.1, 3), float(np.radians(rng.uniform(10, 65))), float(rng.uniform(0, 2 * np.pi)))
    return with_shadows(scene, plate)


def _is_wide(scene: Scene) -> bool:
    """Tell whether rays leave at angles that differ much: then an inclined plate matters."""
    two_theta = 2 * np.arcsin(min(q_range(scene)[1] * scene.geometry.wavelength / (4 * np.pi), 1))
    return two_theta > np.radians(8) and _has_transmission(scene)


def _grainy(scene: Scene, rng: np.random.Generator) -> Scene:
    """Break the rings of a powder into grains of all sizes on top of the smooth ring, as after a heat treatment."""
    (index, powder), *_ = [(i, part) for i, part in enumerate(scene.parts) if isinstance(part.component, Rings)]
    rings = powder.component
    assert isinstance(rings, Rings)
    per_ring = int(log_uniform(rng, 8, 80))
    q = np.repeat(rings.q0 * np.array(rings.ratios[:12]), per_ring)
    heights = np.exp(rng.normal(0, 1.6, q.size))  # volumes of grains are log-normal
    grains = SmallSpots(
        tuple(map(float, q)),
        tuple(map(float, rng.uniform(-np.pi, np.pi, q.size))),
        tuple(map(float, heights)),
        max(_pixel(scene) * log_uniform(rng, 0.7, 2.5), 0.3 * rings.width * rings.q0),
        np.radians(0.3),
    )
    parts = list(scene.parts)
    parts.insert(index + 1, Part("spots", grains, powder.photons * log_uniform(rng, 0.1, 3)))
    return replace(scene, parts=tuple(parts))


def _has_powder(scene: Scene) -> bool:
    return any(isinstance(part.component, Rings) and part.kind == "rings" for part in scene.parts) and not any(
        isinstance(part.component, Spots) for part in scene.parts
    )


OF_SAMPLES = (
    Effect(
        "well_exposed", "a usual exposure", ("weak_scattering", "strong_scattering"), 0.6, _expose_well, _has_sample
    ),
    Effect("small_spots", "spots of a pixel", ("spots", "halo"), 0.05, _small_spots, _has_transmission),
    Effect("grainy_rings", "grains on smooth rings", ("spots", "ring", "oriented"), 0.5, _grainy, _has_powder),
    Effect("weak_texture", "texture of a few per cent", ("oriented", "symmetry_4"), 0.3, _texture, _can_have_texture),
    Effect("plate", "inclined plate", ("oriented", "grazing_incidence", "halo"), 0.4, _plate, _is_wide),
)
