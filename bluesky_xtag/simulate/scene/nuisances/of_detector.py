"""What the detector makes of the photons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..scenes import Scene
from .nuisance import Nuisance, chance, log_uniform, with_defects

__all__ = ["DETECTOR"]


def _gaps_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Cut the frame into 3 x 3 modules whose gaps take this share of it."""
    width = round(min(scene.layout.shape) * (1 - np.sqrt(1 - level)) / 2)
    return replace(scene, layout=replace(scene.layout, name="", modules=(3, 3, width) if width else (1, 1, 0)))


def _draw_gaps(scene: Scene, rng: np.random.Generator) -> Scene:
    """Keep the modules of the layout; in a fifth of the frames no mask is told."""
    return with_defects(scene, gap_value=0 if chance(rng, 0.2) else int(rng.choice([-1, -2])))


def _mask_wrong_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    shift = tuple(int(step) for step in np.rint(level * rng.choice([-1, 1], 2)))
    return with_defects(scene, mask_shift=shift)


def _draw_mask_wrong(scene: Scene, rng: np.random.Generator) -> Scene:
    return _mask_wrong_at(scene, float(rng.uniform(2, 12)), rng) if chance(rng, 0.06) else scene


def _masked_region_at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Mask a corner of this share of the frame."""
    if level <= 0:
        return scene
    side = float(np.sqrt(level))
    x, y = (float(rng.choice([0, 1 - side])) for _ in range(2))
    return replace(scene, blind=((x, y, x + side, y + side),))


def _draw_masked_region(scene: Scene, rng: np.random.Generator) -> Scene:
    if not chance(rng, 0.09):
        return scene
    x0, x1 = np.sort(rng.choice([0, 0.25, 0.5, 0.75, 1], 2, replace=False))
    y0, y1 = np.sort(rng.choice([0, 0.25, 0.5, 0.75, 1], 2, replace=False))
    if (x1 - x0) * (y1 - y0) > 0.4:
        x1, y1 = x0 + 0.25, y0 + 0.25
    return replace(scene, blind=((float(x0), float(y0), float(x1), float(y1)),))


def _set_defect(name: str) -> Callable[[Scene, float, np.random.Generator], Scene]:
    """Return what sets one defect of the detector."""

    def at(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
        return with_defects(scene, **{name: level})

    return at


def _draw_defect(name: str, share: float, low: float, high: float) -> Callable[[Scene, np.random.Generator], Scene]:
    """Return what draws one defect in that share of the frames, log-uniformly."""

    def draw(scene: Scene, rng: np.random.Generator) -> Scene:
        return with_defects(scene, **{name: log_uniform(rng, low, high)}) if chance(rng, share) else scene

    return draw


def _salt(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return with_defects(scene, salt=level, salt_count=float(round(log_uniform(rng, 10, 1e4))))


def _draw_salt(scene: Scene, rng: np.random.Generator) -> Scene:
    return _salt(scene, log_uniform(rng, 1e-5, 1e-2), rng) if chance(rng, 0.08) else scene


def _draw_noise(scene: Scene, rng: np.random.Generator) -> Scene:
    """Integrating detectors have an offset, read noise, and a gain of their own."""
    if not scene.layout.integrating:
        return with_defects(scene, gain=log_uniform(rng, 0.3, 4)) if chance(rng, 0.05) else scene
    return with_defects(
        scene,
        read_noise=log_uniform(rng, 0.5, 5),
        offset=log_uniform(rng, 1, 100),
        gain=log_uniform(rng, 0.3, 4),
    )


def _add_noise(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    return with_defects(scene, read_noise=level, offset=5 * level)


def _draw_psf(scene: Scene, rng: np.random.Generator) -> Scene:
    sigma = log_uniform(rng, 0.5, 2.5)
    return with_defects(scene, psf=sigma if scene.layout.integrating else 0.0)


def _draw_limit(scene: Scene, rng: np.random.Generator) -> Scene:
    limits = (65534.0, 65534.0, 16383.0) if scene.layout.integrating else (2.0**20 - 1, 2.0**16 - 2, 2.0**31 - 2)
    lossy = not scene.layout.integrating and chance(rng, 0.2)
    limit = float(rng.choice(limits))
    return with_defects(scene, limit=limit, dead_time=log_uniform(rng, 1e-7, 1e-5) if lossy else 0.0)


DETECTOR = (
    Nuisance("gaps", "module gaps", "of the frame", (0, 0.03, 0.08, 0.15, 0.25), _gaps_at, _draw_gaps),
    Nuisance(
        "masked_region",
        "masked region",
        "of the frame",
        (0, 0.06, 0.12, 0.25, 0.4),
        _masked_region_at,
        _draw_masked_region,
    ),
    Nuisance("mask_wrong", "mask beside the gaps", "pixels", (0, 3, 6, 9, 12), _mask_wrong_at, _draw_mask_wrong),
    Nuisance(
        "hot_pixels",
        "hot pixels",
        "of all pixels",
        (0, 1e-5, 1e-4, 3e-4, 1e-3),
        _set_defect("hot"),
        _draw_defect("hot", 0.45, 1e-6, 1e-3),
    ),
    Nuisance(
        "dead_pixels",
        "dead pixels",
        "of all pixels",
        (0, 1e-5, 1e-4, 3e-4, 1e-3),
        _set_defect("dead"),
        _draw_defect("dead", 0.3, 1e-5, 1e-3),
    ),
    Nuisance(
        "zingers",
        "zingers",
        "of all pixels",
        (0, 1e-5, 1e-4, 2e-4, 5e-4),
        _set_defect("zingers"),
        _draw_defect("zingers", 0.3, 1e-6, 5e-4),
    ),
    Nuisance(
        "tracks",
        "cosmic tracks",
        "per pixel",
        (0, 1e-5, 5e-5, 1e-4, 3e-4),
        _set_defect("tracks"),
        _draw_defect("tracks", 0.25, 1e-6, 3e-4),
    ),
    Nuisance("salt_and_pepper", "salt and pepper", "of all pixels", (0, 1e-4, 1e-3, 3e-3, 1e-2), _salt, _draw_salt),
    Nuisance("noise", "read noise", "counts", (0, 1, 2, 3.5, 5), _add_noise, _draw_noise),
    Nuisance(
        "flat_field",
        "flat field",
        "relative",
        (0, 0.01, 0.02, 0.035, 0.05),
        _set_defect("flat_field"),
        _draw_defect("flat_field", 1.0, 0.005, 0.05),
    ),
    Nuisance("psf", "point spread", "pixels", (0, 0.5, 1, 1.5, 2), _set_defect("psf"), _draw_psf),
    Nuisance(
        "counter_limit",
        "counter's limit",
        "counts",
        (2.0**31 - 2, 2.0**20 - 1, 2.0**16 - 2, 2.0**14 - 1, 2.0**12 - 1),
        _set_defect("limit"),
        _draw_limit,
    ),
)
