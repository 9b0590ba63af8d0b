"""The image about the beam centre, and what each of its radii holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from .binning import Binned
from .compiled import compiled
from .grid import LEAST, log1p, ratio, residual, stretch

__all__ = ["POLAR_CHANNELS", "PROFILE_CHANNELS", "polar_views"]

Log = Callable[[Any], Any]
POLAR_CHANNELS = ("log_mean", "valid", "excess_variance", "residual", "azimuthal_residual")
# Folds of the azimuthal harmonics: of texture and symmetric lattices, and 1, which a wrong centre or a slope makes.
FOLDS = (1, 2, 4, 6)
PROFILE_CHANNELS = (
    "log_mean",
    "coverage",
    "residual",
    "broad_residual",
    "scatter",
    "peak",
    *(f"harmonic_{fold}" for fold in FOLDS),
    *(f"smooth_harmonic_{fold}" for fold in FOLDS),
    *(f"contrast_{fold}" for fold in FOLDS),
)


def polar_views(
    binned: Binned, centre: tuple[float, float], shape: tuple[int, int], log: Log
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the polar view of `shape` (radii, azimuths), the profile, and nearest / farthest radius.

    Parameters
    ----------
    binned : Binned
    centre : tuple of float
        (x, y), bins.
    shape : tuple of int
        Radii and azimuths of the polar view; the profile has twice the radii.
    log : callable
        Photons per bin to the logarithm that the network sees.
    """
    radii, azimuths = shape
    half_bins = (round(2 * centre[0]), round(2 * centre[1]))
    cells, pixels, nearest = _polar_cells(binned.counts.shape, half_bins, 2 * radii, azimuths)
    sums = _sums(cells, binned.counts.ravel(), binned.valid.ravel(), 2 * radii * azimuths, LEAST)
    fine_counts, fine_valid, fine_squares = sums.astype(np.float32).reshape(3, 2 * radii, azimuths)
    counts, valid, squares, pixels = map(_pairs, (fine_counts, fine_valid, fine_squares, pixels))
    mean = ratio(counts, valid)
    variance = np.maximum(ratio(squares, valid) - mean**2, 0)
    ring = ratio(counts.sum(1), valid.sum(1))[:, None]
    around = ratio(_blur_polar(counts), _blur_polar(valid))
    view = np.stack(
        [
            log(mean),
            valid / np.maximum(pixels, 1),
            log1p(variance / (mean + 0.1)) / 5,
            residual(counts, around * valid),
            residual(counts, ring * valid),
        ],
        axis=-1,
    )
    return view.astype(np.float32), _profile(fine_counts, fine_valid, log), nearest


@compiled()
def _sums(cells: np.ndarray, counts: np.ndarray, valid: np.ndarray, size: int, least: np.float32) -> np.ndarray:
    """Return sums over the bins of each of `size` cells, (3, size): photons, validity, squares per valid bin."""
    sums = np.zeros((3, size))
    for place in range(len(cells)):
        cell, count, share = cells[place], counts[place], valid[place]
        sums[0, cell] += count
        sums[1, cell] += share
        if share > least:
            sums[2, cell] += count * count / share
    return sums


def _profile(counts: np.ndarray, valid: np.ndarray, log: Log) -> np.ndarray:
    """Return what each radius of the (2 radii, azimuths) sums holds: the channels of `PROFILE_CHANNELS`."""
    total, area = counts.sum(1), valid.sum(1)
    mean, seen = ratio(total, area), valid > LEAST
    sectors = np.maximum(seen.sum(1), 1).astype(np.float32)
    expected = mean[:, None] * valid
    sigmas = np.where(seen, (counts - expected) / np.sqrt(expected + 1), 0).astype(np.float32)
    wave, smoothing = _waves(counts.shape[1]), np.ones(9, np.float32)
    harmonics = (sigmas @ wave).T  # (folds, radii) complex, each of unit variance per sector by chance
    smooth = np.stack([np.convolve(row, smoothing, "same") for row in harmonics])
    noise = np.sqrt(sectors)
    smooth_noise = np.sqrt(np.convolve(sectors, smoothing, "same"))
    excess = np.where(seen, ratio(counts, valid) - mean[:, None], 0)
    contrast = 2 * np.abs((excess @ wave).T) / (sectors * (mean + 1e-3))
    channels = [
        log(mean),
        sectors / counts.shape[1] * (area > 0),
        residual(total, area * ratio(_blur_line(total, 15), _blur_line(area, 15))),
        residual(total, area * ratio(_blur_line(total, 61), _blur_line(area, 61))),
        log1p((sigmas**2).sum(1) / sectors) / 5,
        stretch(sigmas.max(1)),
        *stretch(np.abs(harmonics) / noise),
        *stretch(np.abs(smooth) / smooth_noise),
        *np.clip(contrast, 0, 2),
    ]
    return np.stack(channels, axis=-1).astype(np.float32)


def _pairs(layer: np.ndarray) -> np.ndarray:
    """Add neighbouring radii."""
    return layer[::2] + layer[1::2]


def _blur_line(line: np.ndarray, width: int) -> np.ndarray:
    """Return running means."""
    return cv2.blur(line[None].astype(np.float32), (width, 1), borderType=cv2.BORDER_REPLICATE)[0]


@lru_cache(maxsize=4)
def _waves(azimuths: int) -> np.ndarray:
    """Return exp(i n chi) at the middle of each sector, (azimuths, folds) complex64."""
    chi = (np.arange(azimuths) + 0.5) * (2 * np.pi / azimuths)
    waves = np.exp(1j * chi[:, None] * np.array(FOLDS)).astype(np.complex64)
    waves.setflags(write=False)
    return waves


def _blur_polar(layer: np.ndarray) -> np.ndarray:
    """Return means over 13 radii and 9 azimuths, round the circle."""
    wrapped = cv2.copyMakeBorder(layer, 0, 0, 4, 4, cv2.BORDER_WRAP)
    return cv2.blur(wrapped, (9, 13), borderType=cv2.BORDER_REPLICATE)[:, 4:-4]


@lru_cache(maxsize=16)
def _polar_cells(
    shape: tuple[int, int], half_bins: tuple[int, int], radii: int, azimuths: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the polar cell of each bin, the bins in each cell, and nearest / farthest radius.

    Radii run from the nearest to the farthest bin of the frame, so that a centre far outside wastes none.
    """
    rows, columns = shape
    x, y = half_bins[0] / 2, half_bins[1] / 2
    across = np.arange(columns, dtype=np.float32) - np.float32(x)
    down = np.arange(rows, dtype=np.float32)[:, None] - np.float32(y)
    radius, azimuth = np.hypot(across, down), np.arctan2(down, across)
    farthest = float(radius.max()) + 0.5
    nearest = max(0.0, float(radius.min()) - 0.5) if not (0 <= x < columns and 0 <= y < rows) else 0.0
    ring = np.minimum(((radius - nearest) * (radii / (farthest - nearest))).astype(np.int32), radii - 1)
    sector = ((azimuth / (2 * np.pi) + 0.5) * azimuths).astype(np.int32)
    sector[sector >= azimuths] = 0  # pi is -pi
    cells = (ring * azimuths + sector).ravel()
    cells.setflags(write=False)
    pixels = np.bincount(cells, minlength=radii * azimuths).astype(np.float32).reshape(radii, azimuths)
    return cells, pixels, nearest / farthest
