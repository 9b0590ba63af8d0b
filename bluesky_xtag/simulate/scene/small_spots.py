"""Spots of a pixel or two, as of macromolecular crystals on large detectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .patterns import Spots

__all__ = ["SmallSpots"]


@dataclass(frozen=True)
class SmallSpots(Spots):
    """Spots that may be smaller than the blocks on which they are rendered; round, with sigma `width_q`.

    A spot brings its photons whatever the blocks: on those with sides of h it is spread as a Gaussian of variance
    width_q^2 + h^2 / 12, the variance of a spot that a square blurs.
    """

    def intensity(self, q: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Return the sum of the spots, each a Gaussian across the detector."""
        x, y = q * np.cos(chi), q * np.sin(chi)
        step = float(np.median(np.hypot(np.diff(x, axis=1), np.diff(y, axis=1))))
        variance = self.width_q**2 + step**2 / 12
        order = np.argsort(q, axis=None)
        sorted_q, x, y = (layer.ravel()[order] for layer in (q, x, y))
        total, reach = np.zeros(q.size, dtype=np.float32), 4 * np.sqrt(variance)
        for q0, chi0, height in zip(self.q, self.chi, self.amplitudes, strict=True):
            start, stop = np.searchsorted(sorted_q, [q0 - reach, q0 + reach])
            off = (x[start:stop] - q0 * np.cos(chi0)) ** 2 + (y[start:stop] - q0 * np.sin(chi0)) ** 2
            if off.size and off.min() < step**2:  # else it lies beside the frame
                spread = np.exp(-off / (2 * variance))
                sharing = height * 2 * np.pi * self.width_q**2 / step**2 / spread.sum()
                total[order[start:stop]] += sharing * spread
        return total.reshape(q.shape)
