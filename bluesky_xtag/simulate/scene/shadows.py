"""What stands in the way of the photons: beamstops, flight tubes, absorbers. Factors between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .geometry import Geometry

__all__ = ["Absorber", "Beamstop", "FlightTube", "Polarisation", "Rim", "Slope"]


@dataclass(frozen=True)
class Beamstop:
    """An absorber at the beam; lengths relative to the longest side of the frame.

    Parameters
    ----------
    radius : float
        Of the round stop; 0 for none.
    arm : float
        Half width of the holder that runs from the stop to the edge; 0 for none.
    angle : float
        Azimuth of the holder, radians.
    spread : float
        Growth of the holder's half width with the distance from the beam: more than 0 is a wedge.
    offset : tuple of float
        (x, y) from the beam centre.
    transmission : float
        What passes through.
    blur : float
        Sigma of its edge.
    elbow : float
        Distance at which the holder bends by a right angle; 0 for a straight one.
    arms : int
        Holders, evenly round the beam: 2 make a bar through the frame, 4 a cross.
    """

    radius: float
    arm: float = 0.0
    angle: float = 0.0
    spread: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    transmission: float = 0.0
    blur: float = 0.0
    elbow: float = 0.0
    arms: int = 1

    def factor(self, geometry: Geometry) -> np.ndarray:
        """Return the transmitted share of each pixel, float32."""
        rows, columns = geometry.shape
        size = max(rows, columns)
        across = (np.arange(columns, dtype=np.float32) - geometry.beam_centre[0]) / size - self.offset[0]
        down = ((np.arange(rows, dtype=np.float32) - geometry.beam_centre[1]) / size - self.offset[1])[:, None]
        hidden = np.hypot(across, down) < self.radius
        for number in range(self.arms if self.arm > 0 else 0):
            angle = self.angle + number * (2 * np.pi / self.arms)
            along = across * np.cos(angle) + down * np.sin(angle)
            aside = down * np.cos(angle) - across * np.sin(angle)
            held = (along > 0) & (np.abs(aside) < self.arm + self.spread * along)
            if self.elbow > 0:
                held &= along < self.elbow + self.arm
                held |= (np.abs(along - self.elbow) < self.arm) & (aside > 0)
            hidden |= held
        shadow = hidden.astype(np.float32)
        if self.blur * size > 0.3:
            shadow = cv2.GaussianBlur(shadow, (0, 0), self.blur * size)
        return np.clip(1 - (1 - np.float32(self.transmission)) * shadow, 0, 1)


@dataclass(frozen=True)
class FlightTube:
    """Light reaches only a disc; centre and radius relative to the longest side of the frame."""

    centre: tuple[float, float]
    radius: float
    outside: float = 0.0

    def factor(self, geometry: Geometry) -> np.ndarray:
        """Return the transmitted share of each pixel, float32."""
        rows, columns = geometry.shape
        size = max(rows, columns)
        across = np.arange(columns, dtype=np.float32) / size - self.centre[0]
        down = (np.arange(rows, dtype=np.float32) / size - self.centre[1])[:, None]
        return np.where(np.hypot(across, down) < self.radius, 1, self.outside).astype(np.float32)


@dataclass(frozen=True)
class Absorber:
    """Half of the frame is dimmed; a straight edge at `position` (relative to the side) across `angle`."""

    position: float
    angle: float
    transmission: float

    def factor(self, geometry: Geometry) -> np.ndarray:
        """Return the transmitted share of each pixel, float32."""
        rows, columns = geometry.shape
        across = np.arange(columns, dtype=np.float32) / columns - 0.5
        down = (np.arange(rows, dtype=np.float32) / rows - 0.5)[:, None]
        behind = across * np.cos(self.angle) + down * np.sin(self.angle) > self.position
        return np.where(behind, self.transmission, 1).astype(np.float32)


@dataclass(frozen=True)
class Rim:
    """The lit area ends before the frame does, in four bowed edges: a CCD whose taper's distortion was corrected.

    Parameters
    ----------
    width : float
        From the frame's edge to the middle of the lit area's, relative to the side.
    bow : float
        How much further the corners lie from the frame's edge, relative to the side; below 0 nearer.
    angle : float
        Turn of the lit area, radians.
    """

    width: float
    bow: float
    angle: float

    def factor(self, geometry: Geometry) -> np.ndarray:
        """Return 1 where the detector is lit and 0 in its rim, float32."""
        rows, columns = geometry.shape
        across = np.arange(columns, dtype=np.float32) / columns - 0.5
        down = (np.arange(rows, dtype=np.float32) / rows - 0.5)[:, None]
        x = np.abs(across * np.cos(self.angle) + down * np.sin(self.angle))
        y = np.abs(down * np.cos(self.angle) - across * np.sin(self.angle))
        lit = np.maximum(x + 4 * self.bow * y**2, y + 4 * self.bow * x**2) < 0.5 - self.width
        return lit.astype(np.float32)


@dataclass(frozen=True)
class Slope:
    """The frame grows dimmer evenly along `angle`, by the factor exp(-strength) from edge to edge.

    As behind a sample or window that is thicker on one side.
    """

    angle: float
    strength: float

    def factor(self, geometry: Geometry) -> np.ndarray:
        """Return the transmitted share of each pixel, float32."""
        rows, columns = geometry.shape
        across = np.arange(columns, dtype=np.float32) / columns - 0.5
        down = (np.arange(rows, dtype=np.float32) / rows - 0.5)[:, None]
        along = across * np.cos(self.angle) + down * np.sin(self.angle)
        return np.exp(-np.float32(self.strength) * (along - along.min())).astype(np.float32)


@dataclass(frozen=True)
class Polarisation:
    """The beam's electric field lies along the rows with this share of the photons, as at synchrotrons."""

    share: float = 0.98

    def factor(self, geometry: Geometry) -> np.ndarray:
        """Return share (1 - (sin 2theta cos chi)^2) + (1 - share) (1 - (sin 2theta sin chi)^2), float32."""
        sine = np.sin(2 * np.arcsin(geometry.q() * np.float32(geometry.wavelength / (4 * np.pi))))
        across, up = sine * np.cos(geometry.chi()), sine * np.sin(geometry.chi())
        return (self.share * (1 - across**2) + (1 - self.share) * (1 - up**2)).astype(np.float32)
