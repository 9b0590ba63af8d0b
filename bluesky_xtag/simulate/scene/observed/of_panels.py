"""How detectors are built and read: strips, missing and unequal modules, offsets of amplifiers, dark frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...truth.visibility import SAMPLE
from ..layouts import Layout
from ..nuisances.nuisance import chance, log_uniform, with_defects, with_shadows
from ..panels import Tiles
from ..patterns import HighQ, Yoneda
from ..readout import Readout
from ..scenes import Part, Scene
from ..shadows import Beamstop
from .effect import Effect

__all__ = ["OF_PANELS"]

_CELLS = (2, 2, 3, 4, 5)  # modules along a side, of detectors whose modules are not known


def _strip(scene: Scene, rng: np.random.Generator) -> Scene:
    """Look at the same sample through a row of modules with narrow gaps, far from the beam: rings are shallow arcs.

    The strip is moved so that the highest q stays the same.
    """
    short, long = int(rng.integers(150, 270)), int(rng.integers(900, 2100))
    flat = chance(rng, 0.8)
    shape = (short, long) if flat else (long, short)
    modules = int(rng.integers(2, 5))
    gap = int(rng.integers(4, 11))
    layout = Layout(shape, scene.layout.pixel_size, modules=(1, modules, gap) if flat else (modules, 1, gap))
    along, aside = float(rng.uniform(-0.4, 1.4)), float(rng.uniform(-3.5, 0.9) if chance(rng, 0.6) else 0.5)
    x, y = (along, aside) if flat else (aside, along)
    centre = x * shape[1], y * shape[0]
    old = scene.geometry
    wide = _far(centre, shape) / _far(old.beam_centre, old.shape)
    geometry = replace(old, shape=shape, beam_centre=centre, distance=old.distance * wide, tilt=0.0, swing=0.0)
    told = scene.told_centre
    if told is not None:
        scale = max(shape) / max(old.shape)
        told = tuple(c + scale * (t - o) for c, t, o in zip(centre, told, old.beam_centre, strict=True))
    on_image = 0 <= x <= 1 and 0 <= y <= 1
    shadows = tuple(shadow for shadow in scene.shadows if on_image or not isinstance(shadow, Beamstop))
    value = 0 if chance(rng, 0.4) else scene.defects.gap_value
    return with_defects(
        replace(scene, layout=layout, geometry=geometry, told_centre=told, shadows=shadows, blind=()), gap_value=value
    )


def _far(centre: tuple[float, float], shape: tuple[int, int]) -> float:
    """Return the distance from a centre to the farthest corner, pixels."""
    x, y = (max(abs(c), abs(size - c)) for c, size in zip(centre, shape[::-1], strict=True))
    return float(np.hypot(x, y))


def _is_counter(scene: Scene) -> bool:
    """Tell whether photons are counted, by modules; samples that lie flat keep their frame."""
    flat = any(isinstance(part.component, Yoneda) for part in scene.parts)
    return not scene.layout.integrating and not flat


def _counts_photons(scene: Scene) -> bool:
    return not scene.layout.integrating


def _integrates(scene: Scene) -> bool:
    return scene.layout.integrating


def _is_round(scene: Scene) -> bool:
    return scene.layout.round


def _grid(scene: Scene, rng: np.random.Generator) -> tuple[int, int]:
    """Return rows and columns of modules."""
    if not scene.layout.name and max(scene.layout.modules[:2]) > 1:
        return scene.layout.modules[:2]
    return int(rng.choice(_CELLS)), int(rng.choice(_CELLS[:3]))


def _unequal(scene: Scene, rng: np.random.Generator) -> Scene:
    """Let modules count shares that differ by some per cent: thresholds, and quantum efficiencies, are not equal."""
    rows, columns = _grid(scene, rng)
    gains = np.exp(-np.abs(rng.normal(0, log_uniform(rng, 0.01, 0.12), (rows, columns))))
    return with_shadows(scene, Tiles(tuple(tuple(map(float, row)) for row in gains)))


def _missing(scene: Scene, rng: np.random.Generator) -> Scene:
    """Leave out neighbouring modules at a corner, which are broken or give way to the beam's pipe."""
    rows, columns = _grid(scene, rng)
    down, across = (int(rng.integers(1, max(2, number // 2 + 1))) for number in (rows, columns))
    height, width = down / rows, across / columns
    if height * width > 0.3:
        height, width = 0.5, 0.5
    x, y = (0.0 if chance(rng, 0.5) else 1 - share for share in (width, height))
    return replace(scene, blind=(*scene.blind, (x, y, x + width, y + height)))


def _two(scene: Scene, rng: np.random.Generator) -> Scene:
    """Join two detectors to one frame: a wide gap between them, and one counts less."""
    wide = int(rng.integers(20, max(21, min(scene.layout.shape) // 6)))
    beside = chance(rng, 0.5)
    dim = log_uniform(rng, 0.2, 1)
    gains = (1.0, dim) if chance(rng, 0.5) else (dim, 1.0)
    layout = replace(scene.layout, name="", modules=(1, 2, wide) if beside else (2, 1, wide))
    tiles = Tiles((gains,) if beside else tuple((gain,) for gain in gains))
    return with_shadows(replace(scene, layout=layout), tiles)


def _readout(scene: Scene, rng: np.random.Generator) -> Scene:
    """Give the amplifiers, rows, columns and pixels of a CCD or flat panel offsets, of the size of the noise."""
    noise = scene.defects.read_noise
    spread = {
        name: noise * log_uniform(rng, 0.05, 1.5) if chance(rng, share) else 0.0
        for name, share in {"tile": 0.7, "row": 0.3, "column": 0.6, "pixel": 0.4, "bow": 0.4}.items()
    }
    tiles = (2, 2) if chance(rng, 0.6) else (int(rng.integers(1, 5)), int(rng.integers(1, 9)))
    pattern = Readout(int(rng.integers(2**31)), tiles, **spread)
    return with_defects(scene, readout=pattern, offset=max(scene.defects.offset, 2 * noise))


def _has_noise(scene: Scene) -> bool:
    return scene.layout.integrating and scene.defects.read_noise > 0


def _dark(scene: Scene, rng: np.random.Generator) -> Scene:
    """Close the shutter: a handful of counts, tracks of cosmic rays, and what the read-out writes."""
    parts = tuple(part for part in scene.parts if part.kind not in (*SAMPLE, "streak", "window", "background"))
    dark = Part("background", HighQ(0.0, 1.0), log_uniform(rng, 0.3, 200))
    scene = replace(scene, parts=(*parts, dark))
    return with_defects(scene, tracks=log_uniform(rng, 1e-7, 2e-5))


def _blank(scene: Scene, rng: np.random.Generator) -> Scene:
    return with_defects(scene, blank=True)


def _cross(scene: Scene, rng: np.random.Generator) -> Scene:
    """Hold the beamstop by two arms or four, as wires and blades across the whole window do."""
    arms = 4 if chance(rng, 0.6) else 2
    half, radius = log_uniform(rng, 0.004, 0.04), log_uniform(rng, 0.012, 0.05)
    stop = Beamstop(
        radius,
        half,
        float(rng.normal(0, 0.05) if chance(rng, 0.7) else rng.uniform(0, np.pi)),
        transmission=0.0 if chance(rng, 0.6) else log_uniform(rng, 0.003, 0.3),
        blur=0.0 if chance(rng, 0.4) else log_uniform(rng, 0.001, 0.008),
        arms=arms,
    )
    others = tuple(shadow for shadow in scene.shadows if not isinstance(shadow, Beamstop))
    return replace(scene, shadows=(*others, stop))


OF_PANELS = (
    Effect("strip", "strip of modules", ("detector_gaps", "beam_off_image", "ring"), 0.06, _strip, _is_counter),
    Effect("two_detectors", "two detectors in a frame", ("halo", "beamstop"), 0.02, _two, _is_counter),
    Effect("missing_modules", "missing modules", ("symmetry_4", "grazing_incidence"), 0.05, _missing, _counts_photons),
    Effect("unequal_modules", "unequal modules", ("oriented", "symmetry_4"), 0.15, _unequal, _counts_photons),
    Effect("crossed_arms", "crossed arms", ("symmetry_4", "bragg_rods", "beamstop"), 0.05, _cross),
    Effect("readout", "offsets of the read-out", ("empty", "high_background", "spots"), 0.6, _readout, _has_noise),
    Effect("blank_corners", "corners of exactly 0", ("beamstop", "halo"), 0.7, _blank, _is_round),
    Effect("dark", "dark frame", ("empty", "weak_scattering"), 0.05, _dark),
)
