"""A scene: what scatters, what stands in the way, and which detector looks at it; rendered at any resolution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...errors import XTagValueError
from ...model import SPIKE_COUNTS, SPIKE_RATIO, Binned
from .defects import Defects
from .exposure_limits import draw_counts, limit_scale
from .geometry import Geometry
from .layouts import Layout, valid_fraction
from .panels import Plate, Tiles
from .patterns import Component, Yoneda
from .shadows import Absorber, Beamstop, FlightTube, Polarisation, Rim, Slope

__all__ = [
    "Defects",
    "Part",
    "Rendering",
    "Scene",
    "expose_binned",
    "expose_full",
    "make_mask",
    "render",
    "sample_azimuth",
]

_OF_INSTRUMENT = ("background", "window", "streak", "parasitic", "flare")  # what the sample's horizon does not hide


@dataclass(frozen=True)
class Part:
    """A component and the photons that it brings to the frame.

    `kind` is one of low_q, high_q, halo, rings, spots, rods, grazing (of the sample), streak, background, window,
    parasitic, flare (of the instrument; a window has a pattern of its own, parasitic is what slits scatter close to
    the beam, a flare is light of optics beside the beam).

    Raises
    ------
    XTagValueError
        `photons` is negative, infinite or not a number.
    """

    kind: str
    component: Component
    photons: float

    def __post_init__(self) -> None:
        if not 0 <= self.photons < math.inf:
            raise XTagValueError(f"{self.kind} brings {self.photons} photons: choose a finite number of 0 or more")


@dataclass(frozen=True)
class Scene:
    """Everything about one frame but chance.

    Parameters
    ----------
    layout : Layout
        The detector.
    geometry : Geometry
        Of its full frame.
    parts : tuple of Part
        What scatters.
    shadows : tuple
        What stands in the way of all photons.
    blind : tuple of tuple of float
        Masked rectangles (x0, y0, x1, y1), relative to the frame's sides.
    defects : Defects
        Of the detector.
    told_centre : tuple of float, optional
        The beam centre as the metadata tell it, (x, y) pixels; None if they do not.
    turn : float
        By how much the sample is turned about the beam, radians.
    mirrored : bool
        Left and right of the sample are exchanged.
    """

    layout: Layout
    geometry: Geometry
    parts: tuple[Part, ...]
    shadows: tuple[Beamstop | FlightTube | Absorber | Polarisation | Rim | Slope | Tiles | Plate, ...] = ()
    blind: tuple[tuple[float, float, float, float], ...] = ()
    defects: Defects = Defects()
    told_centre: tuple[float, float] | None = None
    turn: float = 0.0
    mirrored: bool = False


@dataclass(frozen=True, eq=False)
class Rendering:
    """A scene on blocks of factor x factor pixels; arrays are (rows, columns) float32.

    Parameters
    ----------
    scene : Scene
        Its parts bring the photons that they can (see `render`).
    factor : int
    q, chi : numpy.ndarray
        1/angstrom; azimuth of the sample, radians.
    photons : tuple of numpy.ndarray
        Expected photons per block of each part, behind the shadows, gaps included.
    missing : numpy.ndarray
        Expected photons per block that beamstops take away.
    below : numpy.ndarray
        Expected photons per block that the sample's horizon takes away.
    valid : numpy.ndarray
        Fraction of each block that has pixels.
    """

    scene: Scene
    factor: int
    q: np.ndarray
    chi: np.ndarray
    photons: tuple[np.ndarray, ...]
    missing: np.ndarray
    below: np.ndarray
    valid: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Expected photons per block of all parts."""
        return sum(self.photons, np.zeros_like(self.q))


def render(scene: Scene, factor: int = 1) -> Rendering:
    """Render a scene on blocks of factor x factor pixels.

    No part scatters more than `MOST_SCATTERED` photons towards the frame. One whose stated photons would need more,
    because nearly all of it falls where no pixel sees it, brings fewer; the scene of the rendering says how many.
    """
    geometry = scene.geometry.bin(factor)
    q, chi = geometry.q(), sample_azimuth(scene, geometry.chi())
    valid = _blind(valid_fraction(scene.layout, factor), scene.blind)
    around, passed = np.ones_like(q), np.ones_like(q)
    for shadow in scene.shadows:
        if isinstance(shadow, Beamstop):
            passed = passed * shadow.factor(geometry)
        else:
            around = around * shadow.factor(geometry)
    horizon = 1.0
    for part in scene.parts:
        if isinstance(part.component, Yoneda):
            horizon = part.component.transmission(q, chi)
    photons, missing, below = [], np.zeros_like(q), np.zeros_like(q)
    parts = []
    for part in scene.parts:
        scattered = part.component.intensity(q, chi)
        unstopped = scattered * around
        above = unstopped
        if part.kind not in _OF_INSTRUMENT:
            unstopped = above * horizon
        shape = unstopped * passed
        if scene.defects.psf / factor > 0.25:
            shape = cv2.GaussianBlur(shape, (0, 0), scene.defects.psf / factor)
        visible = float((shape * valid).sum())
        wanted = part.photons / max(visible, 1e-12)
        possible = limit_scale(wanted, float(scattered.sum()))
        parts.append(part if possible == wanted else replace(part, photons=possible * visible))
        level = np.float32(possible)
        photons.append(level * shape)
        missing += level * unstopped * (1 - passed)
        below += level * (above - unstopped) * passed
    return Rendering(replace(scene, parts=tuple(parts)), factor, q, chi, tuple(photons), missing, below, valid)


def sample_azimuth(scene: Scene, chi: np.ndarray) -> np.ndarray:
    """Return azimuths of the sample where those of the detector are `chi`, radians."""
    return (np.float32(np.pi) - chi if scene.mirrored else chi) - np.float32(scene.turn)


def expose_binned(rendering: Rendering, rng: np.random.Generator) -> Binned:
    """Expose straight onto blocks (a sum of Poisson counts is a Poisson count): as binning a full frame would."""
    defects, factor = rendering.scene.defects, rendering.factor
    area = factor**2
    told = _tell_valid(rendering)
    lit = rendering.valid if told is rendering.valid else rendering.valid * told
    counts = _count(rendering.total * lit, rng, rendering.scene, factor)
    ceiling = (defects.limit * area * lit).astype(np.float32)
    at_limit = int((area * lit[counts >= ceiling]).sum())
    counts = np.minimum(counts, ceiling)
    # The brightest pixel of a block stands above the block's mean by chance alone.
    brightest = float((counts / np.maximum(lit, 0.05) / area).max())
    maximum = brightest + 4 * np.sqrt(brightest) + (1 if counts.any() else 0)
    if defects.dead + defects.salt > 0:
        lost = rng.poisson((defects.dead + defects.salt / 2) * area, counts.shape).astype(np.float32)
        counts *= 1 - np.minimum(lost / area, 1)
    where, hits = _tracks(defects, counts.shape, factor, rng)
    np.add.at(counts.reshape(-1), where, hits * (lit.flat[where] > 0))
    level = counts.ravel() / area
    kept = np.ones(counts.size, np.float32)  # share of a block's pixels that the preparation does not leave as spikes
    crowded = 8 * (defects.hot + defects.zingers + defects.salt / 2)
    for where, bursts in _bursts(defects, counts.size, area, rng):
        bursts = bursts * (lit.flat[where] > 0)
        around = level[where] + 2.5 * np.sqrt(level[where])  # the brightest of eight neighbours
        spikes = (bursts > SPIKE_RATIO * around + SPIKE_COUNTS) & (rng.random(where.size) >= crowded)
        np.subtract.at(kept, where[spikes], np.float32(1 / area))
        np.add.at(counts.reshape(-1), where[~spikes], bursts[~spikes].astype(np.float32))
        if not spikes.all():
            highest = float(bursts[~spikes].max())
            if highest >= maximum:
                at_limit, maximum = int((bursts[~spikes] == highest).sum()), highest
    kept = np.maximum(kept, 0).reshape(counts.shape)
    maximum = min(round(maximum), defects.limit)
    return Binned(counts * kept, told * kept, factor, float(maximum), max(at_limit, 1) if maximum >= 254 else 0)


def expose_full(rendering: Rendering, rng: np.random.Generator) -> np.ndarray:
    """Expose a rendering of factor 1 as the detector writes it: (rows, columns) int32."""
    defects = rendering.scene.defects
    counts = _count(rendering.total, rng, rendering.scene, 1).astype(np.float64)
    lost = rng.poisson((defects.dead + defects.salt / 2) * counts.size)
    counts.flat[rng.integers(0, counts.size, lost)] = 0
    for where, bursts in (_tracks(defects, counts.shape, 1, rng), *_bursts(defects, counts.size, 1, rng)):
        np.add.at(counts.reshape(-1), where, bursts)
    image = np.clip(np.rint(counts), 0, defects.limit).astype(np.int32)
    # A mask beside the gaps is given apart from the image: the gaps themselves are not marked then.
    image[rendering.valid < 0.5] = 0 if any(defects.mask_shift) else defects.gap_value
    return image


def make_mask(rendering: Rendering) -> np.ndarray | None:
    """Return the mask that is told apart from the image, true where pixels must not be used; None if none is."""
    return _tell_valid(rendering) < 0.5 if any(rendering.scene.defects.mask_shift) else None


def _tell_valid(rendering: Rendering) -> np.ndarray:
    """Return the share of valid pixels in each block as the mask tells it."""
    defects = rendering.scene.defects
    if any(defects.mask_shift):
        return np.roll(rendering.valid, [round(shift / rendering.factor) for shift in defects.mask_shift], (0, 1))
    return np.ones_like(rendering.valid) if defects.gap_value == 0 else rendering.valid


def _bursts(
    defects: Defects, blocks: int, area: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places and counts of hot pixels, of zingers, and of grains of salt."""
    salt = max(defects.salt_count, 1.0)
    for fraction, low, high in ((defects.hot, 1e2, 1e6), (defects.zingers, 10, 1e4), (defects.salt / 2, salt, salt)):
        where = rng.integers(0, blocks, rng.poisson(fraction * area * blocks))
        yield where, np.minimum(low * (high / low) ** rng.random(where.size), defects.limit)


def _tracks(
    defects: Defects, shape: tuple[int, ...], factor: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return places, each for every pixel that a track crosses there, and their counts, float32."""
    rows, columns = shape
    number = rng.poisson(defects.tracks * rows * columns * factor**2)
    angle, length = rng.uniform(0, 2 * np.pi, number), rng.geometric(0.35, number)
    counts = np.rint(5 ** rng.random(number))
    steps = np.arange(1 + length.max(initial=0))[:, None]
    row = (rng.uniform(0, rows * factor, number) + steps * np.sin(angle)) // factor
    column = (rng.uniform(0, columns * factor, number) + steps * np.cos(angle)) // factor
    crossed = (steps < length) & (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    where = (row[crossed] * columns + column[crossed]).astype(np.intp)
    return where, np.broadcast_to(counts, crossed.shape)[crossed].astype(np.float32)


def _count(expected: np.ndarray, rng: np.random.Generator, scene: Scene, factor: int) -> np.ndarray:
    defects = scene.defects
    if defects.dead_time > 0:
        expected = expected / (1 + np.float32(defects.dead_time / factor**2) * expected)
    if defects.flat_field > 0:
        gain = 1 + defects.flat_field / factor * rng.standard_normal(expected.shape, dtype=np.float32)
        expected = expected * np.maximum(gain, 0)
    counts = draw_counts(expected, factor**2, rng).astype(np.float32) * np.float32(defects.gain)
    if defects.read_noise > 0:
        noise = rng.standard_normal(expected.shape, dtype=np.float32)
        counts += np.float32(defects.offset * factor**2) + np.float32(defects.read_noise * factor) * noise
        if defects.readout is not None:
            counts += defects.readout.counts(scene.geometry.shape, factor)
        counts = np.maximum(counts, 0)
    if defects.blank:
        for disc in scene.shadows:
            if isinstance(disc, FlightTube) and disc.outside == 0:
                counts *= disc.factor(scene.geometry.bin(factor))
    return counts


def _blind(valid: np.ndarray, blind: tuple[tuple[float, float, float, float], ...]) -> np.ndarray:
    if not blind:
        return valid
    valid = valid.copy()
    rows, columns = valid.shape
    for x0, y0, x1, y1 in blind:
        valid[round(y0 * rows) : round(y1 * rows), round(x0 * columns) : round(x1 * columns)] = 0
    return valid
