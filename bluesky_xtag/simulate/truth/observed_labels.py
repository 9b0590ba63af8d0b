"""Labels where observed effects are drawn: the rules of `labels`, but for where people see measured frames otherwise.

On measured frames people call scattering weak by how grainy a frame looks, not by the sum of all that it holds; they
tell neither a slow fall of the air from that of a sample, nor name a texture of a few per cent; and they see spots that
are lost where pixels are added up. What only they, or only the sums can tell is ignored.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..scene.panels import Plate
from ..scene.small_spots import SmallSpots
from .labels import IGNORED, NO, YES, Judge, verdict
from .visibility import SAMPLE

__all__ = ["ObservedJudge"]

_WEAK, _NOT_WEAK = 10.0, 25.0
_NOT_STRONG, _STRONG = 100.0, 200.0
_FALL = 1.0  # of what lies under it, from which a fall near the beam is taken for that of a sample


class ObservedJudge(Judge):
    """The rules of one frame that observed effects may disturb."""

    slightest = 0.2

    @cached_property
    def brightness(self) -> float:
        """SNR per block of the strongest component of the sample where it is brightest: its highest percent.

        SNR = s / sqrt(s + b + sigma_read^2), of a block of the working grid, which is what a person can tell apart
        where the whole frame is shown. The sum over the frame, by which the plain rules go, grows with its size.
        """
        lit = self.valid > 0.3
        of_sample = [photons for part, photons in self.parts if part.kind in SAMPLE]
        if not of_sample or not lit.any():
            return 0.0
        shares = (photons * self.valid / np.sqrt(self.noise) for photons in of_sample)
        return max(float(np.percentile(share[lit], 99)) for share in shares)

    def weak(self) -> int:
        """Judge weakness by the brightest percent."""
        if self.strongest < 1:
            return NO
        if self.surest < 5:
            return IGNORED
        return YES if self.brightness < _WEAK else NO if self.brightness >= _NOT_WEAK else IGNORED

    def strong(self) -> int:
        """Judge strength by the brightest percent."""
        return verdict(self.brightness, _NOT_STRONG, _STRONG)

    def empty(self) -> int:
        """Judge emptiness; light of the instrument that stands out leaves it open."""
        found = super().empty()
        stray = found == YES and any(self.visible(kind) != NO for kind in ("parasitic", "flare"))
        return IGNORED if stray else found

    def low_q(self) -> int:
        """Judge what falls from the beam: air does so slowly, and slits steeply, whatever the sample."""
        found = super().low_q()
        if found == YES:
            falls = [photons for part, photons in self.parts if part.kind == "low_q"]
            return YES if max(map(self.contrast, falls)) >= _FALL else IGNORED
        if found == NO and self.visible("parasitic") != NO:
            return IGNORED
        rises = (self._rise(photons) for part, photons in self.parts if part.kind == "background")
        return IGNORED if found == NO and max(rises, default=0.0) > _FALL else found

    def _rise(self, photons: np.ndarray) -> float:
        """Return by how much of what is seen at its lowest a background is higher near the beam."""
        lit = self.valid > 0.3
        if not lit.any():
            return 0.0
        low, high = np.percentile(photons[lit], [2, 99])
        return float((high - low) / (np.percentile(self.under[lit], 10) + 1e-9))

    def halo(self) -> int:
        """Judge halos; a bump of less than a fifth of what lies under it may as well be bent background."""
        found = super().halo()
        bumps = [photons for part, photons in self.parts if part.kind == "halo"]
        if found == YES and max(map(self.contrast, bumps)) < 0.2:
            return IGNORED
        return found

    def grazing(self) -> int:
        """Judge the horizon; the side of an inclined plate that no ray leaves looks like one."""
        found = super().grazing()
        return IGNORED if found == NO and any(np.mean(passed < 0.05) > 0.03 for passed in self._plates) else found

    def symmetry(self) -> dict[str, int]:
        """Judge the azimuthal folds; an inclined plate of strong absorption gives two of its own."""
        found = super().symmetry()
        if found["oriented"] == NO and any(self._twofold(passed) > 0.2 for passed in self._plates):
            found["oriented"] = IGNORED
        return found

    @cached_property
    def _plates(self) -> list[np.ndarray]:
        geometry = self.scene.geometry.bin(self.rendering.factor)
        return [shadow.factor(geometry) for shadow in self.scene.shadows if isinstance(shadow, Plate)]

    def _twofold(self, passed: np.ndarray) -> float:
        """Return the two-fold part of what passes, relative to its mean, over the outer half of the frame."""
        q, chi = self.rendering.q, self.rendering.chi
        outer = (self.valid > 0.3) & (q > 0.5 * q.max())
        if not outer.any():
            return 0.0
        sector = (np.mod(chi[outer] / (2 * np.pi), 1) * 36).astype(int) % 36
        pixels = np.bincount(sector, minlength=36)
        mean = np.bincount(sector, passed[outer], 36)[pixels > 0] / pixels[pixels > 0]
        turn = 4 * np.pi * (np.flatnonzero(pixels) + 0.5) / 36
        return float(2 * np.abs((mean * np.exp(1j * turn)).mean()) / max(mean.mean(), 1e-9))

    def peaks(self) -> dict[str, int]:
        """Judge peaks; spots that only single pixels show are not absent."""
        found = super().peaks()
        if found["spots"] == NO and any(
            self.pixel_spots(part.component, photons) >= 3
            for part, photons in self.parts
            if isinstance(part.component, SmallSpots)
        ):
            found["spots"] = IGNORED
        return found

    def pixel_spots(self, spots: SmallSpots, photons: np.ndarray) -> int:
        """Count spots of SNR 5 among the pixels that they cover, whatever the blocks that these are added up to.

        A Gaussian of sigma s has its photons n on 4 pi s^2 pixels (its noise-equivalent area), at least one.
        """
        geometry, factor = self.scene.geometry, self.rendering.factor
        pixel = 2 * np.pi / geometry.wavelength * geometry.pixel_size / geometry.distance
        area = max(4 * np.pi * (spots.width_q / pixel) ** 2, 1.0)
        lit = self.valid > 0.3
        if not lit.any() or self.snr(photons) <= 0:
            return 0
        heights = np.array(spots.amplitudes)
        total = heights / heights.sum() * float(photons.sum())
        around = self.noise[lit] / self.valid[lit] - photons[lit]
        behind = max(float(np.median(around)), 0.0) / factor**2
        snr = total / np.sqrt(total + behind * area + 1e-9)
        inside = [bool(lit.flat[np.argmin(np.abs(self._places - place))]) for place in self._at(spots)]
        return int((snr[inside] >= 5).sum())

    @cached_property
    def _places(self) -> np.ndarray:
        """Where blocks lie in the plane of q, complex, 1/angstrom."""
        return (self.rendering.q * np.exp(1j * self.rendering.chi)).ravel()

    @staticmethod
    def _at(spots: SmallSpots) -> np.ndarray:
        return np.array(spots.q) * np.exp(1j * np.array(spots.chi))
