"""Light that is not the sample's: air along the beam's path, scatter of slits to one side, caustics of optics.

Formulas: single scattering along a path (integral of 1/r^2), the fold caustic of Berry and Upstill (Progress in Optics
18, 1980).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .patterns import Component

__all__ = ["AirPath", "Caustic", "Lopsided"]


@dataclass(frozen=True)
class AirPath:
    """Air that the beam crosses between two places before the detector scatters slowly less away from the beam.

    Each piece dz of the path at distance z from the detector lights a pixel at radius R by dz / (z^2 + R^2), so from
    `near` to `far` they add up to (atan(far / R) - atan(near / R)) / R: nearly flat up to R = near, then about 1/R.

    Parameters
    ----------
    near, far : float
        Ends of the path: distances from the detector in units of the distance of the sample, 0 < near < far. The beam
        is stopped at `near`; more than 1 is before the sample.
    wavelength : float
        Angstrom: it tells at which R a q is.
    """

    near: float
    far: float
    wavelength: float

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return the scattering of the path, 1 at the beam."""
        sine = np.minimum(q * np.float32(self.wavelength / (4 * np.pi)), np.float32(0.99))
        radius = np.maximum(np.abs(np.tan(2 * np.arcsin(sine))), np.float32(1e-4))
        seen = np.arctan(self.far / radius) - np.arctan(self.near / radius)
        return (seen / radius / (1 / self.near - 1 / self.far)).astype(np.float32)


@dataclass(frozen=True)
class Lopsided:
    """A component that is stronger on one side of the beam: 1 + strength cos(chi - angle), brought to 1 at most.

    Parameters
    ----------
    component : Component
        What scatters, as a pinhole's edge near the beam.
    strength : float
        0 to 1.
    angle : float
        Azimuth of the stronger side, radians.
    """

    component: Component
    strength: float
    angle: float

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return the component, stronger on one side."""
        side = (1 + np.float32(self.strength) * np.cos(chi - np.float32(self.angle))) / np.float32(1 + self.strength)
        return self.component.intensity(q, chi) * side


@dataclass(frozen=True)
class Caustic:
    """Curved fans of light that a bent mirror or a lens throws beside the beam.

    Across a fold of rays the light is Ai^2(-d / w) of the signed distance d from the fold: bright fringes on one side,
    none on the other. The folds are parabolas that leave `origin`.

    Parameters
    ----------
    origin : tuple of float
        (x, y) from the beam along chi = 0 and chi = pi/2, 1/angstrom.
    angles : tuple of float
        Direction of each fold at the origin, radians.
    bends : tuple of float
        Curvature of each fold, angstrom.
    width : float
        Of a fringe at the origin, 1/angstrom.
    opening : float
        Growth of the fringes along the fold.
    length : float
        Over which the light falls off along the fold, 1/angstrom.
    glow : float
        Height of the blurred light about the origin, of the brightest fringe.
    """

    origin: tuple[float, float]
    angles: tuple[float, ...]
    bends: tuple[float, ...]
    width: float
    opening: float
    length: float
    glow: float = 0.0

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return the sum of the folds and the glow."""
        x = q * np.cos(chi) - np.float32(self.origin[0])
        y = q * np.sin(chi) - np.float32(self.origin[1])
        total = np.float32(self.glow) * np.exp(-(x**2 + y**2) / np.float32(2 * self.length**2))
        for angle, bend in zip(self.angles, self.bends, strict=True):
            along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
            aside = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))
            off = (aside - np.float32(bend / 2) * along**2) / (self.width + self.opening * np.abs(along))
            fall = np.where(along > 0, np.exp(-np.maximum(along, 0) / np.float32(self.length)), 0)
            total += (fall * np.interp(off, *_airy_squared())).astype(np.float32)
        return total


@cache
def _airy_squared() -> tuple[np.ndarray, np.ndarray]:
    """Return d / w and the light there, at most 1; it fades, because a beam of finite width has so many rays only."""
    from scipy.special import airy

    off = np.linspace(-6, 40, 4000)
    light = airy(-off)[0] ** 2 * np.exp(-np.maximum(off, 0) / 8)
    light[[0, -1]] = 0
    return off, light / light.max()
