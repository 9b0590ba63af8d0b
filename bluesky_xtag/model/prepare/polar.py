"""The polar image about the beam centre, and the profile of its radii."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .binning import Binned
from .compiled import compile_loop
from .grid import LEAST, QUICK, log1p, ratio, residual, stretch
from .inputs import FOLDS, POLAR_CHANNELS, PROFILE_CHANNELS

__all__ = ["polar_views"]

_NEARBY, _WIDER = np.int64(15), np.int64(61)  # radii that a radius is compared with
_LOG_MEAN, _COVERAGE, _RESIDUAL, _BROAD_RESIDUAL, _SCATTER, _PEAK, _HARMONICS = range(7)
_SMOOTH_HARMONICS, _CONTRASTS = _HARMONICS + len(FOLDS), _HARMONICS + 2 * len(FOLDS)


def polar_views(
    binned: Binned, centre: tuple[float, float], shape: tuple[int, int], log_scale: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the polar view of `shape` (radii, azimuths), the profile, and nearest / farthest radius.

    Parameters
    ----------
    binned : Binned
    centre : tuple of float
        (x, y), bins.
    shape : tuple of int
        Radii and azimuths of the polar view; the profile has twice the radii.
    log_scale : float
        As in `Preparation`.
    """
    radii, azimuths = shape
    half_bins = (round(2 * centre[0]), round(2 * centre[1]))
    cells, pixels, nearest = _polar_cells(binned.counts.shape, half_bins, 2 * radii, azimuths)
    counts, valid, squares = _sums(cells, binned.counts.ravel(), binned.valid.ravel(), (2 * radii, azimuths))
    view = _view(counts, valid, squares, pixels, np.float32(log_scale))
    return view, _profile(counts, valid, _waves(azimuths), np.float32(log_scale)), nearest


@compile_loop()
def _sums(
    cells: np.ndarray, counts: np.ndarray, valid: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sums over the bins of each of the cells, each of `shape`: photons, validity, squares per valid bin."""
    size = shape[0] * shape[1]
    photons, share, squares = np.zeros(size), np.zeros(size), np.zeros(size)
    for place in range(len(cells)):
        cell, count, known = cells[place], counts[place], valid[place]
        photons[cell] += count
        share[cell] += known
        if known > LEAST:
            squares[cell] += count * count / known
    return (
        photons.astype(np.float32).reshape(shape),
        share.astype(np.float32).reshape(shape),
        squares.astype(np.float32).reshape(shape),
    )


@compile_loop(
    "reassoc", "nsz"
)  # with "contract", the variance of a lone bin would be what rounding makes of it, and not 0
def _view(
    fine_counts: np.ndarray, fine_valid: np.ndarray, fine_squares: np.ndarray, pixels: np.ndarray, log_scale: np.float32
) -> np.ndarray:
    """Return the polar view, (radii, azimuths, channels of `POLAR_CHANNELS`), of sums over half its radii."""
    counts, valid, squares = _pairs(fine_counts), _pairs(fine_valid), _pairs(fine_squares)
    around_counts, around_valid, bins = _around(counts), _around(valid), _pairs(pixels)
    radii, azimuths = counts.shape
    view = np.empty((radii, azimuths, len(POLAR_CHANNELS)), np.float32)
    for radius in range(radii):
        ring = ratio(counts[radius].sum(), valid[radius].sum())
        for azimuth in range(azimuths):
            count, area, cell = counts[radius, azimuth], valid[radius, azimuth], view[radius, azimuth]
            mean = ratio(count, area)
            variance = max(ratio(squares[radius, azimuth], area) - mean * mean, np.float32(0))
            around = ratio(around_counts[radius, azimuth], around_valid[radius, azimuth])
            cell[0] = log1p(log_scale * mean) / np.float32(10)  # in the order of POLAR_CHANNELS
            cell[1] = area / max(bins[radius, azimuth], np.float32(1))
            cell[2] = log1p(variance / (mean + np.float32(0.1))) / np.float32(5)
            cell[3] = residual(count, around * area)
            cell[4] = residual(count, ring * area)
    return view


@compile_loop(*QUICK)
def _profile(counts: np.ndarray, valid: np.ndarray, waves: np.ndarray, log_scale: np.float32) -> np.ndarray:
    """Return what each radius of the (2 radii, azimuths) sums holds: the channels of `PROFILE_CHANNELS`."""
    (radii, azimuths), folds = counts.shape, len(FOLDS)
    profile, harmonics = np.empty((radii, len(PROFILE_CHANNELS)), np.float32), np.empty((radii, 2 * folds), np.float32)
    total, area, sectors = np.empty(radii, np.float32), np.empty(radii, np.float32), np.empty(radii, np.float32)
    for radius in range(radii):
        total[radius], area[radius] = counts[radius].sum(), valid[radius].sum()
        mean = ratio(total[radius], area[radius])
        profile[radius, _LOG_MEAN] = log1p(log_scale * mean) / np.float32(10)
        sectors[radius] = _of_radius(counts[radius], valid[radius], mean, waves, profile[radius], harmonics[radius])
        profile[radius, _COVERAGE] = sectors[radius] / np.float32(azimuths) if area[radius] > 0 else np.float32(0)
    near, far = _expected_total(total, area, _NEARBY), _expected_total(total, area, _WIDER)
    for radius in range(radii):
        profile[radius, _RESIDUAL] = residual(total[radius], near[radius])
        profile[radius, _BROAD_RESIDUAL] = residual(total[radius], far[radius])
        first, last = max(radius - 4, 0), radius + 5
        noise = np.sqrt(sectors[first:last].sum())
        for fold in range(folds):
            smooth = _length(harmonics[first:last, fold].sum(), harmonics[first:last, folds + fold].sum())
            profile[radius, _SMOOTH_HARMONICS + fold] = stretch(smooth / noise)
    return profile


@compile_loop(*QUICK)
def _of_radius(
    counts: np.ndarray,
    valid: np.ndarray,
    mean: np.float32,
    waves: np.ndarray,
    channels: np.ndarray,
    harmonics: np.ndarray,
) -> np.float32:
    """Fill the channels that one radius tells by itself, and its harmonics; return how many sectors are seen, or 1."""
    azimuths, folds = len(counts), len(FOLDS)
    sigmas, excess = np.empty(azimuths, np.float32), np.empty(azimuths, np.float32)
    seen, squares, highest = np.float32(0), np.float32(0), np.float32(-np.inf)
    for azimuth in range(azimuths):
        count, share = counts[azimuth], valid[azimuth]
        known = share > LEAST
        expected = mean * share
        sigma = (count - expected) / np.sqrt(expected + np.float32(1)) if known else np.float32(0)
        sigmas[azimuth] = sigma
        excess[azimuth] = ratio(count, share) - mean if known else np.float32(0)
        seen += np.float32(known)
        squares += sigma * sigma
        highest = max(highest, sigma)
    sectors = max(seen, np.float32(1))
    channels[_SCATTER] = log1p(squares / sectors) / np.float32(5)
    channels[_PEAK] = stretch(highest)
    scale = np.float32(2) / (sectors * (mean + np.float32(1e-3)))
    for fold in range(folds):  # the root of the sectors is what chance makes of them
        cosine, sine = _dot(sigmas, waves[fold]), _dot(sigmas, waves[folds + fold])
        harmonics[fold], harmonics[folds + fold] = cosine, sine
        channels[_HARMONICS + fold] = stretch(_length(cosine, sine) / np.sqrt(sectors))
        contrast = scale * _length(_dot(excess, waves[fold]), _dot(excess, waves[folds + fold]))
        channels[_CONTRASTS + fold] = min(contrast, np.float32(2))
    return sectors


@compile_loop(*QUICK)
def _dot(values: np.ndarray, wave: np.ndarray) -> np.float32:
    total = np.float32(0)
    for place in range(len(values)):
        total += values[place] * wave[place]
    return total


@compile_loop(*QUICK)
def _length(x: Any, y: Any) -> Any:
    return np.sqrt(x * x + y * y)


@compile_loop(*QUICK)
def _expected_total(total: np.ndarray, area: np.ndarray, width: int) -> np.ndarray:
    """Return what each radius would hold if it were as bright as the `width` about it; the first and last go on."""
    radii, half = len(total), width // 2
    expected = np.empty(radii, np.float32)
    for radius in range(radii):
        counts = bins = np.float32(0)
        for beside in range(radius - half, radius + half + 1):
            place = min(max(beside, 0), radii - 1)
            counts += total[place]
            bins += area[place]
        expected[radius] = area[radius] * ratio(counts / np.float32(width), bins / np.float32(width))
    return expected


@compile_loop(*QUICK)
def _pairs(layer: np.ndarray) -> np.ndarray:
    """Add neighbouring radii."""
    sums = np.empty((layer.shape[0] // 2, layer.shape[1]), np.float32)
    for radius in range(len(sums)):
        for azimuth in range(layer.shape[1]):
            sums[radius, azimuth] = layer[2 * radius, azimuth] + layer[2 * radius + 1, azimuth]
    return sums


@compile_loop(*QUICK)
def _around(layer: np.ndarray) -> np.ndarray:
    """Return means over 13 radii, of which the first and the last go on, and 9 azimuths, round the circle."""
    radii, azimuths = layer.shape
    along, means = np.empty((radii, azimuths), np.float32), np.zeros((radii, azimuths), np.float32)
    wrapped = np.empty(azimuths + 8, np.float32)
    for radius in range(radii):
        for place in range(azimuths + 8):
            wrapped[place] = layer[radius, (place - 4) % azimuths]
        for azimuth in range(azimuths):
            total = np.float32(0)
            for beside in range(9):
                total += wrapped[azimuth + beside]
            along[radius, azimuth] = total / np.float32(9 * 13)
    for radius in range(radii):
        for beside in range(radius - 6, radius + 7):
            place = min(max(beside, 0), radii - 1)
            for azimuth in range(azimuths):
                means[radius, azimuth] += along[place, azimuth]
    return means


@lru_cache(maxsize=4)
def _waves(azimuths: int) -> np.ndarray:
    """Return cos(n chi), then sin(n chi), at the middle of each sector, (2 folds, azimuths) float32."""
    chi = np.outer(FOLDS, (np.arange(azimuths) + 0.5) * (2 * np.pi / azimuths))
    waves = np.concatenate([np.cos(chi), np.sin(chi)]).astype(np.float32)
    waves.setflags(write=False)
    return waves


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
    cells = (ring * azimuths + sector).ravel().astype(np.uint32)  # without a sign they need no check when indexing
    cells.setflags(write=False)
    pixels = np.bincount(cells, minlength=radii * azimuths).astype(np.float32).reshape(radii, azimuths)
    return cells, pixels, nearest / farthest
