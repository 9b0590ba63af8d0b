"""A simulated sample whose places scatter differently: empty, amorphous, powder, oriented, crystalline.

A film on a round support, 10 mm across: domains with soft, irregular borders, and two thin places where it
scatters weakly. The truth is known everywhere, so that tags can be checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np

from ...model import Preparation
from ..scene.detectors import expose
from ..scene.exposure_limits import check_seconds
from ..scene.geometry import Geometry
from ..scene.layouts import Layout, valid_fraction
from ..scene.patterns import Component, HighQ
from ..scene.scenes import Part, Scene, render
from ..scene.shadows import Beamstop
from ..truth.labels import TAGS, label
from .sample_phases import PHASES, TURNS, parts

__all__ = ["SIZE", "Sample", "film"]

SIZE = 10.0
"""Width and height of the sample's map in mm; positions run from 0."""

_GEOMETRY = Geometry(shape=(1043, 981), pixel_size=172e-6, distance=0.30, wavelength=0.9184, beam_centre=(470.0, 560.0))
_LAYOUT = Layout(_GEOMETRY.shape, _GEOMETRY.pixel_size, "Pilatus 1M")
_BEAMSTOP = Beamstop(radius=0.025, arm=0.0045, angle=1.45, blur=0.0015)
_STRAY = Part("background", HighQ(0.0, 1.0), 3e5)  # photons a second, the same everywhere
_CENTRES = np.array([(3.1, 3.0), (6.9, 3.4), (3.3, 7.0), (7.0, 6.8)])  # of the domains, mm, as PHASES[1:]
_THIN = ((1.7, 5.0, 7.0), (8.3, 5.0, 5.5))  # x, y in mm and depth (in powers of e) of the thin places


class Sample:
    """What a detector sees of the sample; serves as `bluesky_xtag.simulate.Exposures`.

    Parameters
    ----------
    seed : int
        Decides the borders of the domains, the crystals' settings and the counting noise.
    """

    shape = _GEOMETRY.shape
    dtype = np.dtype(np.int32)
    wavelength = _GEOMETRY.wavelength
    distance = _GEOMETRY.distance
    fixed_beam = True

    def __init__(self, seed: int = 0):
        rng = np.random.default_rng(seed)
        self._wavevectors, self._phases = rng.normal(0, 0.9, (2, 6, 2)), rng.uniform(0, 2 * np.pi, (2, 6))
        self._settings = rng.integers(TURNS, size=(24, 24))
        self._noise = rng
        self._gaps = valid_fraction(_LAYOUT, 1) < 0.5

    def beam_centre(self, x: float, y: float) -> tuple[float, float]:
        """Return the beam centre (column, row) in pixels: the same everywhere."""
        return _GEOMETRY.beam_centre

    def fractions(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        """Return how much of each phase stands in the beam.

        Parameters
        ----------
        x, y : array_like
            Positions in mm, any shape.

        Returns
        -------
        numpy.ndarray
            (len(PHASES), ...) float64; the phases add up to 1.
        """
        at = np.stack(np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float)))
        waves = np.einsum("cwd,d...->cw...", self._wavevectors, at)
        waves += self._phases.reshape(2, 6, *(1,) * (at.ndim - 1))
        at = at + 0.22 * np.sin(waves).sum(axis=1)
        squares = ((at - _CENTRES.reshape(4, 2, *(1,) * (at.ndim - 1))) ** 2).sum(axis=1)
        shares = np.exp((squares.min(axis=0) - squares) / 1.2)
        film = 1 / (1 + np.exp((np.hypot(*(at - SIZE / 2)) - 4.4) / 0.03))
        return np.concatenate([1 - film[None], film * shares / shares.sum(axis=0)])

    def phase(self, x: float, y: float) -> str:
        """Return the name of the phase that prevails at a position in mm."""
        return PHASES[int(np.argmax(self.fractions(x, y)))]

    def thickness(self, x: float, y: float) -> float:
        """Return the thickness of the film at a position in mm, relative to its thickest place."""
        return float(np.exp(-sum(d * np.exp(-2 * ((x - x0) ** 2 + (y - y0) ** 2)) for x0, y0, d in _THIN)))

    def scene(self, x: float, y: float, seconds: float) -> Scene:
        """Return all that scatters at a position in mm, with the photons of an exposure.

        Raises
        ------
        XTagValueError
            `seconds` is not from 0 to `LONGEST_EXPOSURE`.
        """
        check_seconds(seconds)
        fractions, thickness = self.fractions(x, y), self.thickness(x, y)
        found = []
        for phase, fraction in zip(PHASES, fractions, strict=True):
            for part in _parts(phase, self._turn(phase, x, y)):
                found.append(replace(part, photons=float(seconds * part.photons * fraction * thickness)))
        return film(found, seconds)

    def photons(self, x: float, y: float, seconds: float) -> np.ndarray:
        """Return the photons expected per pixel in an exposure, (rows, columns) float32."""
        visible = (part for part in self.scene(x, y, seconds).parts if part.photons > 0.1)
        total = np.zeros(self.shape, np.float32)
        for part in visible:
            total += np.float32(part.photons) * _pattern(part.kind, part.component)
        return total

    def expose(self, x: float, y: float, seconds: float) -> np.ndarray:
        """Return the counts of an exposure, (rows, columns) int32, -1 in the gaps."""
        return expose(self.photons(x, y, seconds), self._noise, gaps=self._gaps)

    def truth(self, x: float, y: float, seconds: float) -> tuple[frozenset[str], frozenset[str]]:
        """Return the tags that hold at a position in mm, and those that do not; the others are undecided.

        They are found by `bluesky_xtag.simulate.truth.labels.label`, at the resolution at which a network looks.
        """
        scene = self.scene(x, y, seconds)
        verdicts = label(render(scene, -(-max(scene.layout.shape) // Preparation().grid)))
        holds, lacks = (
            frozenset(tag for tag, verdict in zip(TAGS.names, verdicts, strict=True) if verdict == wanted)
            for wanted in (1, 0)
        )
        return holds, lacks

    def _turn(self, phase: str, x: float, y: float) -> int:
        """Return the direction of the fibres (it turns slowly) or the setting of the crystal (at random)."""
        if phase == "oriented":
            return round(TURNS * (0.2 + 0.05 * (x - y))) % TURNS
        if phase == "crystalline":
            return int(self._settings[round(2 * x) % 24, round(2 * y) % 24])
        return 0


def film(scattering: Iterable[Part], seconds: float) -> Scene:
    """Return what the sample's detector sees of these parts, and of the stray light of that time."""
    stray = replace(_STRAY, photons=seconds * _STRAY.photons)
    return Scene(_LAYOUT, _GEOMETRY, (stray, *scattering), (_BEAMSTOP,), told_centre=_GEOMETRY.beam_centre)


_parts = cache(parts)


@lru_cache(maxsize=64)
def _pattern(kind: str, component: Component) -> np.ndarray:
    """Return where one photon of a component falls, (rows, columns) float32, behind the beamstop."""
    return render(Scene(_LAYOUT, _GEOMETRY, (Part(kind, component, 1.0),), (_BEAMSTOP,))).photons[0]
