"""A simulated sample whose places scatter differently: empty, amorphous, powder, oriented, crystalline.

A film on a round support, 10 mm across: domains with soft, irregular borders, and two thin places where it
scatters weakly. The truth is known everywhere, so that tags can be checked.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .detectors import expose, module_mask
from .geometry import Geometry
from .patterns import PowerLaw
from .phases import PHASES, TURNS, component

__all__ = ["SIZE", "Sample"]

SIZE = 10.0
"""Width and height of the sample's map in mm; positions run from 0."""

_GEOMETRY = Geometry(shape=(1043, 981), pixel_size=172e-6, distance=0.30, wavelength=0.9184, beam_centre=(470.0, 560.0))
_CENTRES = np.array([(3.1, 3.0), (6.9, 3.4), (3.3, 7.0), (7.0, 6.8)])  # of the domains, mm, as PHASES[1:]
_THIN = ((1.7, 5.0, 7.0), (8.3, 5.0, 5.5))  # x, y in mm and depth (in powers of e) of the thin places
# Tags of the whole vocabulary that this sample never shows.
_NEVER = {"beam_off_image", "bragg_rods", "grazing_incidence"}


class Sample:
    """What a detector sees of the sample; serves as `bluesky_xtag.simulate.beamline.Exposures`.

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
        self._gaps = module_mask("Pilatus 1M")
        self._q, self._chi = _GEOMETRY.q(), _GEOMETRY.chi()
        self._shadow = _beamstop(_GEOMETRY)
        self._air = 0.3 + 30 * PowerLaw(exponent=2.0, q_min=0.05).intensity(self._q, self._chi)
        self._pattern = lru_cache(maxsize=None)(self._compute_pattern)

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
        film = 1 / (1 + np.exp((np.hypot(*(at - SIZE / 2)) - 4.4) / 0.06))
        return np.concatenate([1 - film[None], film * shares / shares.sum(axis=0)])

    def phase(self, x: float, y: float) -> str:
        """Return the name of the phase that prevails at a position in mm."""
        return PHASES[int(np.argmax(self.fractions(x, y)))].name

    def thickness(self, x: float, y: float) -> float:
        """Return the thickness of the film at a position in mm, relative to its thickest place."""
        return float(np.exp(-sum(d * np.exp(-2 * ((x - x0) ** 2 + (y - y0) ** 2)) for x0, y0, d in _THIN)))

    def expected(self, x: float, y: float, seconds: float) -> np.ndarray:
        """Return the photons expected per pixel in an exposure, (rows, columns) float32."""
        return sum(self._parts(x, y, seconds).values(), seconds * self._air * self._shadow)

    def expose(self, x: float, y: float, seconds: float) -> np.ndarray:
        """Return the counts of an exposure, (rows, columns) int32, -1 in the gaps."""
        return expose(self.expected(x, y, seconds), self._noise, gaps=self._gaps)

    def snr(self, x: float, y: float, seconds: float) -> dict[str, float]:
        """Return the matched-filter signal-to-noise ratio of each phase in the beam.

        It is sqrt(sum s^2 / (s + b)) over the valid pixels, s photons of the phase and b all others.
        """
        total = self.expected(x, y, seconds)
        return {
            name: float(np.sqrt(np.sum(s**2 / np.maximum(total, 1e-9), where=~self._gaps)))
            for name, s in self._parts(x, y, seconds).items()
        }

    def truth(self, x: float, y: float, seconds: float) -> tuple[frozenset[str], frozenset[str]]:
        """Return the tags that hold at a position and those that do not; about others nothing is said.

        A phase is visible from an SNR of 5 on and absent below 1; in between its tags are open.
        """
        snr = self.snr(x, y, seconds)
        strongest = max(snr.values(), default=0.0)
        holds, open_ = {"detector_gaps"}, set[str]()
        known = _NEVER | {"empty", "weak_scattering"}
        for phase in PHASES[1:]:
            known |= {*phase.present, *phase.possible}
            if snr.get(phase.name, 0.0) >= 5:
                holds |= set(phase.present)
                open_ |= set(phase.possible)
            elif snr.get(phase.name, 0.0) >= 1:
                open_ |= {*phase.present, *phase.possible}
        if strongest < 1:
            holds |= {"empty"}
        elif strongest < 5:
            open_ |= {"empty", "weak_scattering"}
        elif strongest < 20:
            holds |= {"weak_scattering"}
        # Only where much is scattered is the beamstop's shadow sure to be seen.
        (holds if strongest >= 100 else open_).add("beamstop")
        return frozenset(holds), frozenset(known - holds - open_)

    def _parts(self, x: float, y: float, seconds: float) -> dict[str, np.ndarray]:
        """Return the photons expected from each phase in the beam."""
        fractions, thickness = self.fractions(x, y), self.thickness(x, y)
        return {
            phase.name: np.float32(seconds * phase.photons * fraction * thickness)
            * self._pattern(phase.name, self._turn(phase.name, x, y))
            for phase, fraction in zip(PHASES[1:], fractions[1:], strict=True)
            if fraction > 1e-3
        }

    def _turn(self, name: str, x: float, y: float) -> int:
        """Return the direction of the fibres (it turns slowly) or the setting of the crystal (at random)."""
        if name == "oriented":
            return round(TURNS * (0.2 + 0.05 * (x - y))) % TURNS
        if name == "crystalline":
            return int(self._settings[round(2 * x) % 24, round(2 * y) % 24])
        return 0

    def _compute_pattern(self, name: str, turn: int) -> np.ndarray:
        """Return the pattern of a phase behind the beamstop, (rows, columns) float32, peak about 1."""
        return component(name, turn).intensity(self._q, self._chi).astype(np.float32) * self._shadow


def _beamstop(geometry: Geometry) -> np.ndarray:
    """Return the transmission of a round beamstop on an arm from below, (rows, columns) float32."""
    column, row = (round(value) for value in geometry.beam_centre)
    passes = np.ones(geometry.shape, np.float32)
    cv2.circle(passes, (column, row), 26, 0.0, thickness=-1)
    cv2.line(passes, (column, row), (column + 60, geometry.shape[0]), 0.0, thickness=9)
    return np.maximum(cv2.GaussianBlur(passes, (0, 0), 1.5), 1e-3)
