"""What samples scatter: each component gives its intensity on a map of q and azimuth, peak about 1.

Formulas: Guinier 1939, Ornstein-Zernike 1914, Debye-Bueche 1949, Rayleigh 1911 (spheres); texture by
the Poisson kernel, whose mean over the azimuth is 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = [
    "BraggRods",
    "Component",
    "Compton",
    "DebyeBueche",
    "Guinier",
    "Halo",
    "HighQ",
    "OrnsteinZernike",
    "PowerLaw",
    "Rings",
    "Sphere",
    "Spots",
    "Streak",
    "Textured",
    "Yoneda",
]


class Component(Protocol):
    """Anything that scatters."""

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return relative intensity, float32, of the shape of q (1/angstrom) and chi (radians)."""
        ...


@dataclass(frozen=True)
class PowerLaw:
    """q^-exponent, flat below `q_min` (1/angstrom)."""

    exponent: float
    q_min: float

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return (q / q_min)^-exponent, at most 1."""
        return np.maximum(q / np.float32(self.q_min), 1) ** np.float32(-self.exponent)


@dataclass(frozen=True)
class Guinier:
    """exp(-q^2 Rg^2 / 3), radius of gyration in angstrom."""

    radius_of_gyration: float

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return exp(-q^2 Rg^2 / 3)."""
        return np.exp(-((q * np.float32(self.radius_of_gyration)) ** 2) / 3)


@dataclass(frozen=True)
class OrnsteinZernike:
    """1 / (1 + q^2 xi^2), correlation length in angstrom."""

    length: float

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return 1 / (1 + q^2 xi^2)."""
        return 1 / (1 + (q * np.float32(self.length)) ** 2)


@dataclass(frozen=True)
class DebyeBueche:
    """1 / (1 + q^2 xi^2)^2, correlation length in angstrom."""

    length: float

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return 1 / (1 + q^2 xi^2)^2."""
        return 1 / (1 + (q * np.float32(self.length)) ** 2) ** 2


@dataclass(frozen=True)
class HighQ:
    """Scattering that rises towards the edge of the frame: (q / q_max)^exponent, q_max in 1/angstrom."""

    exponent: float
    q_max: float

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return (q / q_max)^exponent."""
        return (q / np.float32(self.q_max)) ** np.float32(self.exponent)


@dataclass(frozen=True)
class Compton:
    """Incoherent scattering: rises from the beam and levels off, correlation length in angstrom."""

    length: float

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return 1 - 1 / (1 + q^2 length^2)^2."""
        return 1 - 1 / (1 + (q * np.float32(self.length)) ** 2) ** 2


@dataclass(frozen=True)
class Sphere:
    """Form factor of spheres: radius in angstrom, Gaussian polydispersity relative to it."""

    radius: float
    polydispersity: float = 0.0

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return [3 (sin x - x cos x) / x^3]^2, x = q R, averaged over volume-weighted sizes."""
        grid = np.linspace(0, float(q.max()) + 1e-9, 2048)
        steps = np.linspace(-2, 2, 9)
        radii = self.radius * (1 + self.polydispersity * steps)
        weights = np.exp(-(steps**2) / 2) * radii**6
        x = np.maximum(grid * radii[:, None], 1e-3)
        profile = weights @ (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2 / weights.sum()
        return np.interp(q, grid, profile).astype(np.float32)


@dataclass(frozen=True)
class Halo:
    """A broad Gaussian ring at q0 (1/angstrom), sigma relative to q0."""

    q0: float
    width: float = 0.25

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return exp(-(q - q0)^2 / (2 sigma^2))."""
        return np.exp(-(((q - np.float32(self.q0)) / np.float32(self.width * self.q0)) ** 2) / 2)


@dataclass(frozen=True)
class Rings:
    """Sharp rings of one structure.

    Parameters
    ----------
    q0 : float
        First ring, 1/angstrom.
    ratios : tuple of float
        Radii of the rings relative to the first.
    amplitudes : tuple of float
        Peak heights, one per ratio (all 1 if empty).
    width : float
        Sigma (Gaussian) or half width (Lorentzian) of every ring, relative to q0.
    lorentzian : bool
        Lorentzian rather than Gaussian peaks.
    """

    q0: float
    ratios: tuple[float, ...] = (1.0,)
    amplitudes: tuple[float, ...] = ()
    width: float = 0.03
    lorentzian: bool = False

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return the sum of the rings."""
        total = np.zeros_like(q, dtype=np.float32)
        heights = self.amplitudes or (1.0,) * len(self.ratios)
        for ratio, height in zip(self.ratios, heights, strict=True):
            off = (q - np.float32(self.q0 * ratio)) / np.float32(self.width * self.q0)
            total += np.float32(height) * (1 / (1 + off**2) if self.lorentzian else np.exp(-(off**2) / 2))
        return total


@dataclass(frozen=True)
class Spots:
    """Discrete spots: Bragg peaks of a crystal, or grains on powder rings.

    Parameters
    ----------
    q, chi, amplitudes : tuple of float
        Position (1/angstrom, radians) and peak height of each spot.
    width_q : float
        Radial sigma, 1/angstrom.
    width_chi : float
        Azimuthal sigma, radians.
    """

    q: tuple[float, ...]
    chi: tuple[float, ...]
    amplitudes: tuple[float, ...]
    width_q: float
    width_chi: float

    def order(self, fold: int = 2, each_ring: bool = False) -> float:
        """How far the spots repeat `fold` times round the circle, 0 (any way) to 1 (all on that many directions).

        Of all spots together, or of each ring by itself: the rings of a lattice repeat alike, but may be turned
        against each other.
        """
        weights = np.array(self.amplitudes)
        waves = weights * np.exp(1j * fold * np.array(self.chi))
        if not each_ring:
            return float(np.abs(waves.sum()) / weights.sum())
        rings = np.unique(np.round(np.array(self.q) / (3 * self.width_q)), return_inverse=True)[1]
        sums = np.bincount(rings, np.real(waves)), np.bincount(rings, np.imag(waves))
        return float(np.hypot(*sums).sum() / weights.sum())

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return the sum of the spots, each a Gaussian in q and azimuth."""
        order = np.argsort(q, axis=None)
        sorted_q, sorted_chi = q.ravel()[order], chi.ravel()[order]
        total = np.zeros(q.size, dtype=np.float32)
        for q0, chi0, height in zip(self.q, self.chi, self.amplitudes, strict=True):
            start, stop = np.searchsorted(sorted_q, [q0 - 4 * self.width_q, q0 + 4 * self.width_q])
            radial = (sorted_q[start:stop] - q0) / self.width_q
            turn = np.mod(sorted_chi[start:stop] - chi0 + np.pi, 2 * np.pi) - np.pi
            total[order[start:stop]] += height * np.exp(-(radial**2 + (turn / self.width_chi) ** 2) / 2)
        return total.reshape(q.shape)


@dataclass(frozen=True)
class Textured:
    """A component whose intensity depends on the azimuth.

    Parameters
    ----------
    component : Component
        What scatters.
    eta : float
        Order, 0 (isotropic) to below 1.
    fold : int
        Number of maxima round the circle.
    angle : float
        Azimuth of a maximum, radians.
    """

    component: Component
    eta: float
    fold: int = 2
    angle: float = 0.0

    @property
    def contrast(self) -> float:
        """(max - min) / (max + min) round the circle."""
        return 2 * self.eta / (1 + self.eta**2)

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return the component times the texture."""
        return self.component.intensity(q, chi) * self.texture(chi)

    def texture(self, chi: np.ndarray) -> np.ndarray:
        """Return (1-eta^2) / ((1+eta)^2 - 4 eta cos^2(n chi / 2)), brought to peak 1."""
        cosine = np.cos(np.float32(self.fold / 2) * (chi - np.float32(self.angle)))
        texture = (1 - self.eta) ** 2 / ((1 + self.eta) ** 2 - 4 * self.eta * cosine**2)
        return texture.astype(np.float32)


@dataclass(frozen=True)
class BraggRods:
    """Rods along qz (up the frame) at qy = +- the positions (1/angstrom), falling off over `length`."""

    positions: tuple[float, ...]
    width: float
    length: float

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return the sum of the rods above the horizon."""
        qy, qz = np.abs(q * np.cos(chi)), -q * np.sin(chi)
        total = sum(np.exp(-(((qy - position) / self.width) ** 2) / 2) for position in self.positions)
        fall = np.where(qz > 0, np.exp(-np.maximum(qz, 0) / self.length), 0)
        return (total * fall).astype(np.float32)


@dataclass(frozen=True)
class Streak:
    """Parasitic flare: a line through the beam at azimuth `angle`, to one side or both (1/angstrom)."""

    angle: float
    width: float
    length: float
    both: bool = True

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return a Gaussian across the line, falling off exponentially along it."""
        along = q * np.cos(chi - np.float32(self.angle))
        aside = q * np.sin(chi - np.float32(self.angle))
        fall = np.exp(-np.abs(along) / self.length)
        if not self.both:
            fall = np.where(along > 0, fall, 0)
        return (fall * np.exp(-((aside / self.width) ** 2) / 2)).astype(np.float32)


@dataclass(frozen=True)
class Yoneda:
    """Grazing incidence: the Yoneda band at `qz` and the specular rod with its spot (1/angstrom).

    `tilt` turns the sample's normal from the frame's upward direction, radians; `below` is what the sample lets
    through below its horizon.
    """

    qz: float
    width: float
    spread: float
    specular: float
    tilt: float = 0.0
    below: float = 0.02

    def _components(self, q: np.ndarray, chi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turned = chi - np.float32(self.tilt)
        return q * np.cos(turned), -q * np.sin(turned)

    def transmission(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return what the sample's horizon lets through: about 1 above it, little below."""
        _, qz = self._components(q, chi)
        above = 1 / (1 + np.exp(-np.clip((qz - self.qz / 2) / (self.width / 4), -30, 30)))
        return (self.below + (1 - self.below) * above).astype(np.float32)

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return the band, the specular rod and the specular spot."""
        qy, qz = self._components(q, chi)
        band = np.exp(-(((qz - self.qz) / self.width) ** 2) / 2) / (1 + (qy / self.spread) ** 2)
        rod = np.exp(-((qy / self.width) ** 2) / 2) * np.where(qz > 0, np.exp(-qz / self.specular), 0)
        spot = np.exp(-((qy / self.width) ** 2 + ((qz - 2 * self.qz) / self.width) ** 2) / 2)
        return (0.5 * band + 0.4 * rod + spot).astype(np.float32)
