"""Which detectors are simulated: module layouts, pixel sizes, and which of them are held out for testing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .detectors import module_mask

__all__ = ["HELD_OUT", "SYNTHETIC", "TRAINING", "Layout", "valid_fraction"]


@dataclass(frozen=True)
class Layout:
    """A detector.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns).
    pixel_size : float
        Metres.
    name : str
        pyFAI's name where the detector has gaps between modules, else "".
    integrating : bool
        A CCD or flat panel (read noise, offset) rather than a photon counter.
    round : bool
        Only a disc is lit.
    modules : tuple of int
        For detectors without a name: (rows of modules, columns of modules, gap in pixels).
    """

    shape: tuple[int, int]
    pixel_size: float
    name: str = ""
    integrating: bool = False
    round: bool = False
    modules: tuple[int, int, int] = (1, 1, 0)

    def gaps(self) -> np.ndarray:
        """Return where no pixels are, (rows, columns) bool."""
        if self.name:
            return module_mask(self.name)
        gaps = np.zeros(self.shape, bool)
        down, across, width = self.modules
        for number, size, view in ((down, self.shape[0], gaps), (across, self.shape[1], gaps.T)):
            for edge in range(1, number):
                start = round(edge * size / number - width / 2)
                view[start : start + width] = True
        return gaps


TRAINING = (
    Layout((1043, 981), 172e-6, "Pilatus 1M"),
    Layout((1043, 981), 172e-6, "Pilatus 1M"),
    Layout((619, 487), 172e-6, "Pilatus 300k"),
    Layout((1679, 1475), 172e-6, "Pilatus 2M"),
    Layout((195, 487), 172e-6),
    Layout((1065, 1030), 75e-6, "Eiger 1M"),
    Layout((2167, 2070), 75e-6, "Eiger 4M"),
    Layout((512, 2068), 75e-6, "Eiger2 1M-W"),
    Layout((514, 1030), 75e-6),
    Layout((516, 1556), 55e-6, "Lambda 750k"),
    Layout((1064, 1030), 75e-6, "Jungfrau 1M"),
    Layout((960, 560), 130e-6, "Xpad S540 flat"),
    Layout((2048, 2048), 200e-6, integrating=True),
    Layout((2048, 2048), 80e-6, integrating=True, round=True),
    Layout((1024, 1024), 160e-6, integrating=True),
    Layout((512, 512), 150e-6, integrating=True),
    Layout((256, 256), 55e-6),
)


def _synthetic(number: int, seed: int) -> tuple[Layout, ...]:
    """Return made-up detectors, so that a network cannot learn real ones by heart."""
    rng = np.random.default_rng(seed)
    layouts = []
    for _ in range(number):
        long, aspect = rng.integers(200, 2600), 8 ** (rng.random() ** 2.5)
        sides = (max(100, round(long / aspect)), int(long))
        shape = sides if rng.random() < 0.6 else (sides[1], sides[0])
        pixel_size = float(10 ** rng.uniform(-4.3, -3.7))
        kind = rng.random()
        if kind < 0.5:
            down, across = (int(rng.integers(1, 1 + max(2, min(9, side // 120)))) for side in shape)
            width = int(rng.integers(1, 6) if rng.random() < 0.3 else rng.integers(4, 40))
            layouts.append(Layout(shape, pixel_size, modules=(down, across, width)))
        else:
            layouts.append(Layout(shape, pixel_size, integrating=kind > 0.7, round=kind > 0.92))
    return tuple(layouts)


SYNTHETIC = _synthetic(200, 0)

HELD_OUT = (
    Layout((619, 1475), 172e-6, "Pilatus 900k"),
    Layout((407, 487), 172e-6, "Pilatus 200k"),
    Layout((195, 1475), 172e-6, "Pilatus 300kw"),
    Layout((1062, 1028), 75e-6, "Eiger2 1M"),
    Layout((1556, 1556), 55e-6, "Lambda 2M"),
    Layout((2527, 2463), 172e-6, "Pilatus 6M"),
    Layout((256, 1024), 50e-6),
    Layout((773, 1153), 75e-6),
    Layout((1300, 1340), 20e-6, integrating=True),
    Layout((1200, 1200), 90e-6, integrating=True, round=True),
)


@lru_cache(maxsize=256)
def valid_fraction(layout: Layout, factor: int) -> np.ndarray:
    """Return the valid share of each block of factor x factor pixels, (rows, columns) float32, read-only."""
    rows, columns = layout.shape
    blocks = (-(-rows // factor), -(-columns // factor))
    pixels = np.zeros((blocks[0] * factor, blocks[1] * factor), np.float32)
    pixels[:rows, :columns] = ~layout.gaps()
    fraction = pixels.reshape(blocks[0], factor, blocks[1], factor).mean((1, 3))
    fraction.setflags(write=False)
    return fraction
