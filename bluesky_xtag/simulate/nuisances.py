"""What spoils frames, one by one: each nuisance changes a scene, by chance as in training or to a stated level.

A nuisance never touches what the others do, so any of them can be left out; the ranges are those that beamlines
show. `NUISANCES` holds them in the order in which they are applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from .patterns import Component, Guinier, Halo, HighQ, Rings, Streak, Yoneda
from .scenes import Part, Scene
from .shadows import Absorber, Beamstop, FlightTube, Slope

__all__ = ["NUISANCES", "Nuisance"]

SAMPLE = ("low_q", "high_q", "halo", "rings", "spots", "rods", "grazing")


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


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())


def _chance(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _sample_photons(scene: Scene) -> float:
    return sum(part.photons for part in scene.parts if part.kind in SAMPLE)


def _q_range(scene: Scene) -> tuple[float, float]:
    """Return the lowest and highest q of the frame, 1/angstrom."""
    q = scene.geometry.binned(max(1, max(scene.geometry.shape) // 24)).q()
    return float(q.min()), float(q.max())


def _defects(scene: Scene, **changes: Any) -> Scene:
    return replace(scene, defects=replace(scene.defects, **changes))


def _with(scene: Scene, *shadows: Any) -> Scene:
    return replace(scene, shadows=(*scene.shadows, *shadows))


# --- photons ---------------------------------------------------------------------------------------------------------


def _exposed(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return replace(scene, parts=tuple(replace(part, photons=part.photons * level) for part in scene.parts))


def _draw_exposure(scene: Scene, rng: np.random.Generator) -> Scene:
    wanted = _log_uniform(rng, 20, 3e3) if _chance(rng, 0.2) else _log_uniform(rng, 1e3, 5e8)
    photons = _sample_photons(scene)
    return _exposed(scene, wanted / photons, rng) if photons else scene


def _background_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    parts = [part for part in scene.parts if part.kind != "background"]
    photons = level * (_sample_photons(scene) or 1e4)
    return replace(scene, parts=(*parts, Part("background", HighQ(0.0, 1.0), photons)))


def _draw_background(scene: Scene, rng: np.random.Generator) -> Scene:
    photons = _sample_photons(scene)
    if photons:
        level = photons * (_log_uniform(rng, 3, 50) if _chance(rng, 0.12) else _log_uniform(rng, 1e-3, 3))
    else:
        level = _log_uniform(rng, 1, 1e3) if _chance(rng, 0.5) else _log_uniform(rng, 1e3, 1e7)
    parts = [part for part in scene.parts if part.kind != "background"]
    if _chance(rng, 0.9):
        parts.append(Part("background", HighQ(0.0, 1.0), level))
    if _chance(rng, 0.25):
        share = rng.uniform(0.4, 0.95)  # left of it in the far corner, as of air scatter
        falling = Guinier(float(np.sqrt(3 * np.log(1 / share))) / _q_range(scene)[1])
        parts.append(Part("background", falling, level))
    if _chance(rng, 0.05):
        parts.append(Part("window", _window(scene, rng), (photons or level) * _log_uniform(rng, 0.01, 0.5)))
    return replace(scene, parts=tuple(parts))


def _window(scene: Scene, rng: np.random.Generator) -> Component:
    """Return the ring or halo of a window: Kapton's lamellae at 0.4, its halo at 1.2 /angstrom, or another foil's."""
    low, high = _q_range(scene)
    known = [q0 for q0 in (0.4, 1.2) if low + 0.1 * (high - low) < q0 < 0.8 * high]
    q0 = float(rng.choice(known)) if known else low + (high - low) * float(rng.uniform(0.2, 0.7))
    return (
        Halo(q0, float(rng.uniform(0.2, 0.3))) if _chance(rng, 0.5) else Rings(q0, width=float(rng.uniform(0.04, 0.1)))
    )


def _streaked(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    if level <= 0:
        return scene
    low, high = _q_range(scene)
    step = (high - low) / 250
    width = max(low + (high - low) * rng.uniform(0.004, 0.02), 1.2 * step)
    length = max(low + (high - low) * rng.uniform(0.05, 0.3), 5 * width)
    streak = Streak(float(rng.uniform(0, 2 * np.pi)), width, length, _chance(rng, 0.6))
    photons = level * (_sample_photons(scene) or sum(part.photons for part in scene.parts))
    return replace(scene, parts=(*scene.parts, Part("streak", streak, photons)))


def _draw_streak(scene: Scene, rng: np.random.Generator) -> Scene:
    return _streaked(scene, _log_uniform(rng, 0.01, 0.3), rng) if _chance(rng, 0.13) else scene


# --- what stands in the way ------------------------------------------------------------------------------------------


def _tube(scene: Scene, radius: float, outside: float, rng: np.random.Generator) -> Scene:
    size, (x, y) = max(scene.geometry.shape), scene.geometry.beam_centre
    off = 0.05 * rng.standard_normal(2)
    return _with(scene, FlightTube((x / size + off[0], y / size + off[1]), radius, outside))


def _flight_tube_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return scene if level >= 1 else _tube(scene, level, 0.0, rng)


def _draw_flight_tube(scene: Scene, rng: np.random.Generator) -> Scene:
    if scene.layout.round or not _chance(rng, 0.25):
        return scene
    outside = 0.0 if _chance(rng, 0.5) else _log_uniform(rng, 0.001, 0.3)
    return _tube(scene, float(rng.uniform(0.35, 0.9)), outside, rng)


def _absorber(scene: Scene, position: float, transmission: float, rng: np.random.Generator) -> Scene:
    angle = float(rng.choice([0, np.pi / 2, np.pi, -np.pi / 2])) + rng.normal(0, 0.05)
    return _with(scene, Absorber(position, angle, transmission))


def _shadow_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return _absorber(scene, 0.5 - level, 0.1, rng) if level else scene


def _draw_shadow(scene: Scene, rng: np.random.Generator) -> Scene:
    if _chance(rng, 0.11):
        transmission = 0.0 if _chance(rng, 0.15) else _log_uniform(rng, 0.02, 0.8)
        scene = _absorber(scene, float(rng.uniform(0, 0.45)), transmission, rng)
    if _chance(rng, 0.2):
        scene = _with(scene, Slope(float(rng.uniform(0, 2 * np.pi)), _log_uniform(rng, 0.03, 1)))
    return scene


def _beamstop(scene: Scene, radius: float, rng: np.random.Generator) -> Beamstop:
    """Return a round stop, alone or with an arm, a wedge, a bar, or an L."""
    kind = rng.choice(["round", "arm", "wedge", "bar", "elbow"], p=[0.2, 0.33, 0.17, 0.18, 0.12])
    angle = float(rng.choice(4) * np.pi / 2 + rng.normal(0, 0.03))
    if kind == "bar" or any(isinstance(part.component, Yoneda) for part in scene.parts):  # from below
        angle = np.pi / 2 + rng.normal(0, 0.03)
    elif _chance(rng, 0.5):
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
        0.0 if _chance(rng, 0.6) else _log_uniform(rng, 0.003, 0.3),
        0.0 if _chance(rng, 0.4) else _log_uniform(rng, 0.001, 0.01),
        elbow,
    )


def _beamstop_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return _with(scene, _beamstop(scene, level, rng)) if level else scene


def _draw_beamstop(scene: Scene, rng: np.random.Generator) -> Scene:
    return _with(scene, _beamstop(scene, _log_uniform(rng, 0.012, 0.07), rng)) if _chance(rng, 0.6) else scene


# --- the detector ----------------------------------------------------------------------------------------------------


def _gaps_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Cut the frame into 3 x 3 modules whose gaps take this share of it."""
    width = round(min(scene.layout.shape) * (1 - np.sqrt(1 - level)) / 2)
    return replace(scene, layout=replace(scene.layout, name="", modules=(3, 3, width) if width else (1, 1, 0)))


def _draw_gaps(scene: Scene, rng: np.random.Generator) -> Scene:
    """Keep the modules of the layout; in a fifth of the frames no mask is told."""
    return _defects(scene, gap_value=0 if _chance(rng, 0.2) else int(rng.choice([-1, -2])))


def _mask_wrong_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    shift = tuple(int(step) for step in np.rint(level * rng.choice([-1, 1], 2)))
    return _defects(scene, mask_shift=shift)


def _draw_mask_wrong(scene: Scene, rng: np.random.Generator) -> Scene:
    return _mask_wrong_at(scene, float(rng.uniform(2, 12)), rng) if _chance(rng, 0.06) else scene


def _masked_region_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Mask a corner of this share of the frame."""
    if level <= 0:
        return scene
    side = float(np.sqrt(level))
    x, y = (float(rng.choice([0, 1 - side])) for _ in range(2))
    return replace(scene, blind=((x, y, x + side, y + side),))


def _draw_masked_region(scene: Scene, rng: np.random.Generator) -> Scene:
    if not _chance(rng, 0.09):
        return scene
    x0, x1 = np.sort(rng.choice([0, 0.25, 0.5, 0.75, 1], 2, replace=False))
    y0, y1 = np.sort(rng.choice([0, 0.25, 0.5, 0.75, 1], 2, replace=False))
    if (x1 - x0) * (y1 - y0) > 0.4:
        x1, y1 = x0 + 0.25, y0 + 0.25
    return replace(scene, blind=((float(x0), float(y0), float(x1), float(y1)),))


def _defect(name: str) -> Callable[[Scene, float, np.random.Generator], Scene]:
    """Return what sets one defect of the detector."""

    def at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
        return _defects(scene, **{name: level})

    return at


def _drawn_defect(name: str, share: float, low: float, high: float) -> Callable[[Scene, np.random.Generator], Scene]:
    """Return what draws one defect in that share of the frames, log-uniformly."""

    def draw(scene: Scene, rng: np.random.Generator) -> Scene:
        return _defects(scene, **{name: _log_uniform(rng, low, high)}) if _chance(rng, share) else scene

    return draw


def _salted(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return _defects(scene, salt=level, salt_count=float(round(_log_uniform(rng, 10, 1e4))))


def _draw_salt(scene: Scene, rng: np.random.Generator) -> Scene:
    return _salted(scene, _log_uniform(rng, 1e-5, 1e-2), rng) if _chance(rng, 0.08) else scene


def _draw_noise(scene: Scene, rng: np.random.Generator) -> Scene:
    """Integrating detectors have an offset, read noise, and a gain of their own."""
    if not scene.layout.integrating:
        return _defects(scene, gain=_log_uniform(rng, 0.3, 4)) if _chance(rng, 0.05) else scene
    return _defects(
        scene,
        read_noise=_log_uniform(rng, 0.5, 5),
        offset=_log_uniform(rng, 1, 100),
        gain=_log_uniform(rng, 0.3, 4),
    )


def _noisy(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return _defects(scene, read_noise=level, offset=5 * level)


def _draw_psf(scene: Scene, rng: np.random.Generator) -> Scene:
    sigma = _log_uniform(rng, 0.5, 2.5)
    return _defects(scene, psf=sigma if scene.layout.integrating else 0.0)


def _draw_limit(scene: Scene, rng: np.random.Generator) -> Scene:
    limits = (65534.0, 65534.0, 16383.0) if scene.layout.integrating else (2.0**20 - 1, 2.0**16 - 2, 2.0**31 - 2)
    lossy = not scene.layout.integrating and _chance(rng, 0.2)
    return _defects(scene, limit=float(rng.choice(limits)), dead_time=_log_uniform(rng, 1e-7, 1e-5) if lossy else 0.0)


# --- the geometry ----------------------------------------------------------------------------------------------------


def _misplaced(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Tell a centre that is wrong by `level` pixels of 1000."""
    angle, off = rng.uniform(0, 2 * np.pi), level / 1000 * max(scene.geometry.shape)
    x, y = scene.geometry.beam_centre
    return replace(scene, told_centre=(float(x + off * np.cos(angle)), float(y + off * np.sin(angle))))


def _draw_centre_error(scene: Scene, rng: np.random.Generator) -> Scene:
    """Mostly a few pixels of 1000, at times 10 and more."""
    sigma = 2.5 if _chance(rng, 0.8) else 6.0
    return _misplaced(scene, float(np.hypot(*rng.normal(0, sigma, 2))), rng)


def _untold(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return replace(scene, told_centre=None) if level else scene


def _draw_untold(scene: Scene, rng: np.random.Generator) -> Scene:
    return _untold(scene, float(_chance(rng, 0.38)), rng)


def _turned(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return replace(scene, turn=scene.turn + float(np.radians(level)))


def _draw_turn(scene: Scene, rng: np.random.Generator) -> Scene:
    """Turn by any angle; samples under grazing incidence mostly lie flat or stand upright."""
    angle = float(rng.uniform(0, 360))
    if any(isinstance(part.component, Yoneda) for part in scene.parts) and not _chance(rng, 0.15):
        angle = float(rng.choice([0, 90, 180, 270], p=[0.79, 0.07, 0.07, 0.07]))
    return _turned(scene, angle, rng)


def _mirrored(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return replace(scene, mirrored=bool(level) != scene.mirrored)


def _draw_mirror(scene: Scene, rng: np.random.Generator) -> Scene:
    return _mirrored(scene, float(_chance(rng, 0.5)), rng)


def _inclined(name: str) -> Callable[[Scene, float, np.random.Generator], Scene]:
    def at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
        angle = float(np.radians(level)) * (1 if _chance(rng, 0.5) else -1)
        return replace(scene, geometry=replace(scene.geometry, **{name: angle}))

    return at


def _draw_tilt(scene: Scene, rng: np.random.Generator) -> Scene:
    return _inclined("tilt")(scene, float(rng.uniform(0, 5)), rng) if _chance(rng, 0.4) else scene


def _draw_swing(scene: Scene, rng: np.random.Generator) -> Scene:
    """Small, or large where the beam passes beside the detector, as on an arm."""
    beside = not 0 <= scene.geometry.beam_centre[0] <= scene.geometry.shape[1]
    if not _chance(rng, 0.4 if beside else 0.25):
        return scene
    return _inclined("swing")(scene, float(rng.uniform(0, 40 if beside else 5)), rng)


def _nearer(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return replace(scene, geometry=replace(scene.geometry, distance=scene.geometry.distance * level))


def _as_drawn(scene: Scene, rng: np.random.Generator) -> Scene:
    """Leave it: camera lengths and energies differ from scene to scene already."""
    return scene


NUISANCES: Mapping[str, Nuisance] = MappingProxyType(
    {
        nuisance.name: nuisance
        for nuisance in (
            Nuisance("exposure", "exposure", "of clean", (1, 1e-1, 1e-2, 1e-3, 1e-4), _exposed, _draw_exposure),
            Nuisance(
                "background",
                "flat background",
                "of the sample",
                (1e-3, 0.1, 0.3, 1, 3),
                _background_at,
                _draw_background,
            ),
            Nuisance("streak", "parasitic streak", "of the sample", (0, 0.03, 0.1, 0.2, 0.3), _streaked, _draw_streak),
            Nuisance(
                "flight_tube",
                "flight tube",
                "radius/side",
                (1, 0.8, 0.65, 0.5, 0.35),
                _flight_tube_at,
                _draw_flight_tube,
            ),
            Nuisance("shadow", "shadowed part", "of the frame", (0, 0.1, 0.2, 0.35, 0.5), _shadow_at, _draw_shadow),
            Nuisance("beamstop", "beamstop", "radius/side", (0, 0.015, 0.03, 0.05, 0.07), _beamstop_at, _draw_beamstop),
            Nuisance("gaps", "module gaps", "of the frame", (0, 0.03, 0.08, 0.15, 0.25), _gaps_at, _draw_gaps),
            Nuisance(
                "masked_region",
                "masked region",
                "of the frame",
                (0, 0.06, 0.12, 0.25, 0.4),
                _masked_region_at,
                _draw_masked_region,
            ),
            Nuisance(
                "mask_wrong", "mask beside the gaps", "pixels", (0, 3, 6, 9, 12), _mask_wrong_at, _draw_mask_wrong
            ),
            Nuisance(
                "hot_pixels",
                "hot pixels",
                "of all pixels",
                (0, 1e-5, 1e-4, 3e-4, 1e-3),
                _defect("hot"),
                _drawn_defect("hot", 0.45, 1e-6, 1e-3),
            ),
            Nuisance(
                "dead_pixels",
                "dead pixels",
                "of all pixels",
                (0, 1e-5, 1e-4, 3e-4, 1e-3),
                _defect("dead"),
                _drawn_defect("dead", 0.3, 1e-5, 1e-3),
            ),
            Nuisance(
                "zingers",
                "zingers",
                "of all pixels",
                (0, 1e-5, 1e-4, 2e-4, 5e-4),
                _defect("zingers"),
                _drawn_defect("zingers", 0.3, 1e-6, 5e-4),
            ),
            Nuisance(
                "salt_and_pepper", "salt and pepper", "of all pixels", (0, 1e-4, 1e-3, 3e-3, 1e-2), _salted, _draw_salt
            ),
            Nuisance("noise", "read noise", "counts", (0, 1, 2, 3.5, 5), _noisy, _draw_noise),
            Nuisance(
                "flat_field",
                "flat field",
                "relative",
                (0, 0.01, 0.02, 0.035, 0.05),
                _defect("flat_field"),
                _drawn_defect("flat_field", 1.0, 0.005, 0.05),
            ),
            Nuisance("psf", "point spread", "pixels", (0, 0.5, 1, 1.5, 2), _defect("psf"), _draw_psf),
            Nuisance(
                "counter_limit",
                "counter's limit",
                "counts",
                (2.0**31 - 2, 2.0**20 - 1, 2.0**16 - 2, 2.0**14 - 1, 2.0**12 - 1),
                _defect("limit"),
                _draw_limit,
            ),
            Nuisance("tilt", "tilt", "degrees", (0, 1, 2.5, 4, 5), _inclined("tilt"), _draw_tilt),
            Nuisance("swing", "swing", "degrees", (0, 10, 20, 30, 40), _inclined("swing"), _draw_swing),
            Nuisance("camera_length", "camera length", "of clean", (1, 1.25, 1.5, 2, 3), _nearer, _as_drawn),
            Nuisance("rotation", "rotation", "degrees", (0, 45, 90, 137, 180), _turned, _draw_turn),
            Nuisance("mirror", "mirror image", "", (0, 1), _mirrored, _draw_mirror),
            Nuisance(
                "centre_error",
                "beam centre wrong by",
                "pixels of 1000",
                (0, 2, 5, 7.5, 10),
                _misplaced,
                _draw_centre_error,
            ),
            Nuisance("centre_unknown", "beam centre not told", "", (0, 1), _untold, _draw_untold),
        )
    }
)
