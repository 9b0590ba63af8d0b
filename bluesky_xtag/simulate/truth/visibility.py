"""How well the parts of a scene can be seen: signal-to-noise ratios, alone and against what could explain them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ...model import Preparation, coarse
from ..scene.scenes import Rendering

__all__ = ["SAMPLE", "Visibility"]

SAMPLE = ("low_q", "high_q", "halo", "rings", "spots", "rods", "grazing")
VIEW = Preparation()


class Visibility:
    """What can be seen of each part of a rendered scene, through the noise of all of them.

    Parameters
    ----------
    rendering : Rendering
        At the resolution of the working grid.
    """

    def __init__(self, rendering: Rendering) -> None:
        scene = rendering.scene
        self.rendering, self.scene, self.valid = rendering, scene, rendering.valid
        self.total = rendering.total
        background = scene.defects.offset / scene.defects.gain * rendering.factor**2
        read = (scene.defects.read_noise / scene.defects.gain * rendering.factor) ** 2
        if scene.defects.readout is not None:
            read += scene.defects.readout.variance(rendering.factor) / scene.defects.gain**2
        self.under = self.total + background
        self.noise = (self.total + read) * self.valid + 1e-9
        self._weights = self.valid / np.sqrt(self.noise)
        self.parts = tuple(zip(scene.parts, rendering.photons, strict=True))
        self.snrs = tuple(self.snr(photons) for _, photons in self.parts)
        sample = [photons for part, photons in self.parts if part.kind in SAMPLE]
        # What a background would explain as well is not seen, however many its photons.
        q = rendering.q / rendering.q.max()
        level, bent = (self._weigh(np.ones_like(q), *more) for more in ((), (q, q**2)))
        self.strongest = max((self._beyond(photons, level) for photons in sample), default=0.0)
        self.surest = max((min(self._beyond(photons, bent), self.view_snr(photons)) for photons in sample), default=0.0)

    def snr(self, photons: np.ndarray, where: np.ndarray | None = None) -> float:
        """SNR of a matched filter, on all valid blocks or on some."""
        information = (photons * self.valid) ** 2 / self.noise
        return float(np.sqrt((information if where is None else information[where]).sum()))

    def distinct(self, photons: np.ndarray, *others: np.ndarray) -> float:
        """SNR of what no mixture of the others could explain (their levels are not known to whoever looks)."""
        return self._beyond(photons, self._weigh(*others))

    def _weigh(self, *layers: np.ndarray) -> np.ndarray:
        """Return layers in units of the noise, (layers, blocks)."""
        return np.stack([(layer * self._weights).ravel() for layer in layers])

    def _beyond(self, photons: np.ndarray, others: np.ndarray) -> float:
        """SNR of what no mixture of other layers, in units of the noise, could explain."""
        own = (photons * self._weights).ravel()
        shared, among = others @ own, others @ others.T
        explained = shared @ np.linalg.lstsq(among, shared, rcond=1e-6)[0]
        return float(np.sqrt(max(own @ own - explained, 0)))

    def others(self, photons: np.ndarray) -> list[np.ndarray]:
        """Return the photons of all parts but this one."""
        return [other for _, other in self.parts if other is not photons]

    def view_snr(self, photons: np.ndarray) -> float:
        """SNR at the resolution of the network's views: the better of the plain and the polar one."""
        signal = photons * self.valid
        return max(_snr(add(signal), noise) for add, noise in self._views)

    @cached_property
    def _views(self) -> tuple[tuple[Callable[[np.ndarray], np.ndarray], np.ndarray], ...]:
        """How each view adds up a layer, and its noise."""
        noise = self.noise * (self.valid > 0)
        return tuple((add, add(noise)) for add in (self._plain, self._polar))

    def _plain(self, layer: np.ndarray) -> np.ndarray:
        means, step = coarse(layer, VIEW.side)
        return means * step**2

    def _polar(self, layer: np.ndarray) -> np.ndarray:
        return np.bincount(self._cells, layer.ravel(), VIEW.radii * VIEW.azimuths)

    @cached_property
    def _cells(self) -> np.ndarray:
        q = self.rendering.q
        low, high = float(q.min()), float(q.max())
        radius = ((q - low) * ((VIEW.radii - 0.01) / max(high - low, 1e-9))).astype(np.int32)
        sector = (np.mod(self.rendering.chi / (2 * np.pi), 1) * VIEW.azimuths).astype(np.int32) % VIEW.azimuths
        return (radius * VIEW.azimuths + sector).ravel()

    @cached_property
    def smooth(self) -> tuple[np.ndarray, ...]:
        """Shapes that a background may have: level, slope in q, and what falls from the beam."""
        q = self.rendering.q / self.rendering.q.max()
        return np.ones_like(q), q, np.exp(-((3 * q) ** 2)), 1 / (1 + (10 * q) ** 2), np.exp(-((1.3 * q) ** 2))

    def contrast(self, photons: np.ndarray) -> float:
        """Peak share of a part in all that arrives at the same place."""
        share = photons / (self.under - photons + 0.02 * photons + 1e-9)
        return float(np.percentile(share[self.valid > 0.3], 99))


def _snr(signal: np.ndarray, noise: np.ndarray) -> float:
    return float(np.sqrt((signal**2 / np.maximum(noise, 1e-9)).sum()))
