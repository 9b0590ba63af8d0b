"""What parts of a detector count, and what an inclined sample lets through: factors between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Geometry

__all__ = ["Plate", "Tiles"]


@dataclass(frozen=True)
class Tiles:
    """Parts of the detector count different shares of the photons: modules whose thresholds or gains differ.

    Parameters
    ----------
    gains : tuple of tuple of float
        Share that each tile counts, rows of tiles of equal size; 0 to 1.
    """

    gains: tuple[tuple[float, ...], ...]

    def factor(self, geometry: Geometry) -> np.ndarray:
        """Return the counted share of each pixel, float32."""
        gains = np.array(self.gains, np.float32)
        down, across = (
            np.arange(size) * parts // size for size, parts in zip(geometry.shape, gains.shape, strict=True)
        )
        return gains[down[:, None], across]


@dataclass(frozen=True)
class Plate:
    """A flat sample, inclined to the beam, absorbs its own scattering unequally over the azimuth.

    With the cosines c and c' of the angles between the plate's normal and the beam, and the scattered ray, a plate of
    absorption m = mu t lets (exp(-m/c) - exp(-m/c')) / (m/c' - m/c) of the rays through (the parallel plate of
    Pauw, J. Phys.: Condens. Matter 25, 383201, 2013); here relative to a ray along the beam. Rays along the plate do
    not leave it.

    Parameters
    ----------
    absorption : float
        mu t of the plate, more than 0.
    inclination : float
        Angle between the plate's normal and the beam, radians.
    angle : float
        Azimuth towards which the normal leans, radians.
    """

    absorption: float
    inclination: float
    angle: float

    def factor(self, geometry: Geometry) -> np.ndarray:
        """Return what passes, relative to a ray along the beam and at most 1, float32."""
        two_theta = 2 * np.arcsin(np.minimum(geometry.q() * np.float32(geometry.wavelength / (4 * np.pi)), 1))
        lean = np.cos(geometry.chi() - np.float32(self.angle))
        straight = np.cos(self.inclination)
        leaving = np.cos(two_theta) * straight + np.sin(two_theta) * np.sin(self.inclination) * lean
        into, out = self.absorption / straight, self.absorption / np.maximum(leaving, 1e-3)
        more = out - into
        near = np.abs(more) < 1e-3
        passed = np.where(near, 1 - more / 2, -np.expm1(-np.clip(more, -50, 500)) / np.where(near, 1, more))
        return (passed * (leaving > 0) / passed.max()).astype(np.float32)
