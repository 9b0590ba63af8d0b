"""What the read-out of an integrating detector writes where no photon arrived."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...errors import XTagValueError

__all__ = ["Readout"]


@dataclass(frozen=True)
class Readout:
    """A pattern that stands in every frame of a detector, in counts per pixel.

    A CCD is read by an amplifier a corner or tile, each with an offset of its own; rows and columns share a clock and
    an amplifier; each pixel has its dark current (Janesick, Scientific Charge-Coupled Devices, 2001; EMVA 1288 names
    the last two row, column and dark signal non-uniformity).

    Parameters
    ----------
    seed : int
        Of the pattern: the same detector has the same.
    tiles : tuple of int
        (rows, columns) of parts that are read by amplifiers of their own.
    tile, row, column, pixel : float
        Sigma of the offsets of tiles, rows, columns and single pixels.
    bow : float
        How much higher the offset is at the first and last columns than in the middle.

    Raises
    ------
    XTagValueError
        A spread is negative or not finite, or there is no tile.
    """

    seed: int
    tiles: tuple[int, int] = (1, 1)
    tile: float = 0.0
    row: float = 0.0
    column: float = 0.0
    pixel: float = 0.0
    bow: float = 0.0

    def __post_init__(self) -> None:
        for name in ("tile", "row", "column", "pixel", "bow"):
            if not 0 <= getattr(self, name) < math.inf:
                raise XTagValueError(f"`{name}` is {getattr(self, name)}: choose a finite number of 0 or more")
        if min(self.tiles) < 1:
            raise XTagValueError(f"`tiles` is {self.tiles}: a detector has at least one tile each way")

    def variance(self, factor: int) -> float:
        """Return the variance of the pattern among blocks of factor x factor pixels, counts^2.

        Whoever does not know the pattern takes it for noise. Tiles are shared by all pixels of a block, a row or column
        by those of one line, and pixels are on their own.
        """
        shared = (self.tile**2 if max(self.tiles) > 1 else 0.0) + 4 / 45 * self.bow**2
        return shared * factor**4 + (self.row**2 + self.column**2) * factor**3 + self.pixel**2 * factor**2

    def counts(self, shape: tuple[int, int], factor: int) -> np.ndarray:
        """Return the pattern summed over blocks of factor x factor pixels.

        Parameters
        ----------
        shape : tuple of int
            (rows, columns) of the full frame, pixels.
        factor : int
            Pixels along one side of a block.

        Returns
        -------
        numpy.ndarray
            (rows / factor, columns / factor), rounded up, float32 counts; they can be negative.
        """
        rng = np.random.default_rng(self.seed)
        tiles = self.tile * rng.standard_normal(self.tiles)
        along = self.row * rng.standard_normal(shape[0])
        across = self.column * rng.standard_normal(shape[1])
        across += self.bow * np.linspace(-1, 1, shape[1]) ** 2
        (down, rows), (right, columns) = (
            (_membership(size, parts, factor), _sizes(size, factor))
            for size, parts in zip(shape, self.tiles, strict=True)
        )
        pattern = down @ tiles @ right.T
        pattern += _sums(along, factor)[:, None] * columns + rows[:, None] * _sums(across, factor)
        noise = np.random.default_rng([self.seed, factor]).standard_normal(pattern.shape)
        return (pattern + self.pixel * np.sqrt(rows[:, None] * columns) * noise).astype(np.float32)


def _sums(line: np.ndarray, factor: int) -> np.ndarray:
    return np.add.reduceat(line, np.arange(0, line.size, factor))


def _sizes(size: int, factor: int) -> np.ndarray:
    return _sums(np.ones(size), factor)


def _membership(size: int, parts: int, factor: int) -> np.ndarray:
    """Return how many of the lines of each block belong to each tile, (blocks, parts)."""
    part = np.arange(size) * parts // size
    return np.stack([_sums((part == number).astype(float), factor) for number in range(parts)], 1)
