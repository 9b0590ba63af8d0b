"""Which detectors are simulated: module layouts, pixel sizes, and which of them are held out for testing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from .detectors import module_mask

__all__ = ["HELD_OUT", "TRAINING", "Layout", "draw_layout", "valid_fraction"]


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
        down, across = self.lines()
        return down[:, None] | across

    def lines(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which rows and which columns are gaps, for a detector without a name."""
        down, across, width = self.modules
        lines = []
        for number, size in ((down, self.shape[0]), (across, self.shape[1])):
            gap = np.zeros(size, bool)
            for edge in range(1, number):
                start = round(edge * size / number - width / 2)
                gap[start : start + width] = True
            lines.append(gap)
        return lines[0], lines[1]


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


def draw_layout(rng: np.random.Generator) -> Layout:
    """Draw a training detector: half real ones, half made up, so that a network cannot learn real ones by heart.

    Where the gaps lie is drawn apart from the shape in most of them: a network that sees each shape with one set of
    gaps only would tell gaps by the shape.
    """
    real = bool(rng.random() < 0.5)
    layout = TRAINING[rng.integers(len(TRAINING))] if real else _invent(rng)
    if layout.integrating or (real and rng.random() < 0.6):
        return layout
    return replace(layout, name="", modules=_modules(rng, layout.shape) if rng.random() < 0.5 else (1, 1, 0))


def _invent(rng: np.random.Generator) -> Layout:
    long, aspect = rng.integers(200, 2600), 8 ** (rng.random() ** 1.6)
    sides = (max(100, round(long / aspect)), int(long))
    shape = sides if rng.random() < 0.6 else (sides[1], sides[0])
    integrating = bool(rng.random() < 0.25)
    return Layout(
        shape, float(10 ** rng.uniform(-4.3, -3.7)), "", integrating, integrating and bool(rng.random() < 0.3)
    )


def _modules(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[int, int, int]:
    down, across = (int(rng.integers(1, 1 + max(2, min(9, side // 120)))) for side in shape)
    if down == across == 1:
        down, across = (2, 1) if rng.random() < shape[0] / (shape[0] + shape[1]) else (1, 2)
    return down, across, int(rng.integers(2, 8) if rng.random() < 0.4 else rng.integers(7, 40))


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


def valid_fraction(layout: Layout, factor: int) -> np.ndarray:
    """Return the valid share of each block of factor x factor pixels, (rows, columns) float32, read-only."""
    if layout.name:
        return _valid_fraction(layout, factor)
    down, across = (_block_share(~line, factor) for line in layout.lines())  # straight gaps: one profile times another
    fraction = down[:, None] * across
    fraction.setflags(write=False)
    return fraction


@lru_cache(maxsize=64)
def _valid_fraction(layout: Layout, factor: int) -> np.ndarray:
    rows, columns = layout.shape
    blocks = (-(-rows // factor), -(-columns // factor))
    pixels = np.zeros((blocks[0] * factor, blocks[1] * factor), np.float32)
    pixels[:rows, :columns] = ~layout.gaps()
    fraction = pixels.reshape(blocks[0], factor, blocks[1], factor).mean((1, 3))
    fraction.setflags(write=False)
    return fraction


def _block_share(line: np.ndarray, factor: int) -> np.ndarray:
    filled = np.zeros(-(-line.size // factor) * factor, np.float32)
    filled[: line.size] = line
    return filled.reshape(-1, factor).mean(1)
