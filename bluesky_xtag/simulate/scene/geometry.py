"""Where the pixels of a flat detector lie in reciprocal space."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

__all__ = ["Geometry"]


@dataclass(frozen=True)
class Geometry:
    """A flat detector, across the beam or inclined.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns).
    pixel_size : float
        Metres, square pixels.
    distance : float
        Sample to detector, metres.
    wavelength : float
        Angstrom.
    beam_centre : tuple of float
        (x, y) = (column, row) where the direct beam meets the detector's plane, pixels; may lie outside the frame.
    tilt, swing : float
        Inclination of the plane about the row and the column through the beam centre, radians.
    """

    shape: tuple[int, int]
    pixel_size: float
    distance: float
    wavelength: float
    beam_centre: tuple[float, float]
    tilt: float = 0.0
    swing: float = 0.0

    def _offsets(self) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = self.shape
        x, y = self.beam_centre
        return np.arange(columns, dtype=np.float32) - x, (np.arange(rows, dtype=np.float32) - y)[:, None]

    def radius(self) -> np.ndarray:
        """Return the distance from the beam centre, pixels, (rows, columns) float32."""
        across, down = self._offsets()
        return np.hypot(across, down).astype(np.float32)

    @lru_cache(maxsize=1)  # noqa: B019  (rendering and shadows ask for the same; only one is kept)
    def q(self) -> np.ndarray:
        """Return q = (4 pi / wavelength) sin(theta), 1/angstrom, (rows, columns) float32, read-only.

        With 2 theta = atan(radius / distance) on a plane across the beam.
        """
        if self.tilt == self.swing == 0:
            two_theta = np.arctan(self.radius() * np.float32(self.pixel_size / self.distance))
        else:
            across, down, along = self._positions()
            two_theta = np.arctan2(np.hypot(across, down), along)
        return _freeze(np.float32(4 * np.pi / self.wavelength) * np.sin(two_theta / 2))

    @lru_cache(maxsize=1)  # noqa: B019
    def chi(self) -> np.ndarray:
        """Return azimuths about the beam, radians, (rows, columns) float32, read-only; along columns 0, down pi/2."""
        across, down = self._offsets() if self.tilt == self.swing == 0 else self._positions()[:2]
        return _freeze(np.arctan2(down, across).astype(np.float32))

    def _positions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return where the pixels are: across and down from the beam, and along it, in distances to the sample."""
        scale = np.float32(self.pixel_size / self.distance)
        across, down = (offset * scale for offset in self._offsets())
        (sine_s, cosine_s), (sine_t, cosine_t) = (
            (np.float32(np.sin(angle)), np.float32(np.cos(angle))) for angle in (self.swing, self.tilt)
        )
        x = across * cosine_s + down * (sine_s * sine_t)
        y = np.broadcast_to(down * cosine_t, x.shape)
        return x, y, 1 - across * sine_s + down * (cosine_s * sine_t)

    def radius_at(self, q: float) -> float:
        """Return the radius in pixels at which q (1/angstrom) falls on a plane across the beam; inf if nowhere."""
        sine = q * self.wavelength / (4 * np.pi)
        if sine >= np.sin(np.pi / 4):
            return float("inf")
        return float(np.tan(2 * np.arcsin(sine)) * self.distance / self.pixel_size)

    def bin(self, factor: int) -> Geometry:
        """Return the geometry after adding blocks of factor x factor pixels (ragged edges kept)."""
        rows, columns = self.shape
        x, y = ((centre + 0.5) / factor - 0.5 for centre in self.beam_centre)
        shape = (-(-rows // factor), -(-columns // factor))
        return replace(self, shape=shape, pixel_size=self.pixel_size * factor, beam_centre=(x, y))


def _freeze(layer: np.ndarray) -> np.ndarray:
    """Make a layer read-only, since others will be given the same one."""
    layer.setflags(write=False)
    return layer
