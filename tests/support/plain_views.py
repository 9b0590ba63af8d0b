"""The views of a frame from whole arrays, as formulas: what the compiled loops must give."""

import cv2
import numpy as np

from bluesky_xtag.model import coarse
from bluesky_xtag.model.prepare.inputs import FOLDS

LEAST = 1e-3


def ratio(counts, valid):
    return np.where(valid > LEAST, counts / np.maximum(valid, LEAST), 0)


def residual(counts, expected):
    return np.arcsinh((counts - expected) / np.sqrt(np.maximum(expected, 0) + 1)) / 4


def plain(binned, prepare):
    (counts, step), (valid, _) = (coarse(layer, prepare.side) for layer in (binned.counts, binned.valid))
    counts, valid = step**2 * counts.astype(float), step**2 * valid.astype(float)
    around = ratio(*(cv2.blur(layer, (9, 9)) for layer in (counts, valid)))
    view = np.zeros(prepare.shapes["plain"])
    rows, columns = counts.shape
    top, left = (prepare.side - rows) // 2, (prepare.side - columns) // 2
    channels = [
        np.log1p(prepare.log_scale * ratio(counts, valid)) / 10,
        valid / step**2,
        residual(counts, around * valid),
    ]
    view[top : top + rows, left : left + columns] = np.stack(channels, axis=-1)
    return view


def polar(binned, centre, prepare):
    """Return the polar view and the profile about a centre (x, y) in half bins."""
    rows, columns = binned.counts.shape
    down, across = np.indices((rows, columns), dtype=np.float32)
    down, across = down - np.float32(centre[1]), across - np.float32(centre[0])
    radius, azimuth = np.hypot(across, down), np.arctan2(down, across)
    inside = 0 <= centre[0] < columns and 0 <= centre[1] < rows
    nearest = 0.0 if inside else max(float(radius.min()) - 0.5, 0.0)
    scale = 2 * prepare.radii / (float(radius.max()) + 0.5 - nearest)
    ring = np.minimum(((radius - nearest) * scale).astype(int), 2 * prepare.radii - 1)
    sector = ((azimuth / (2 * np.pi) + 0.5) * prepare.azimuths).astype(int) % prepare.azimuths
    counts, valid = binned.counts.astype(float), binned.valid.astype(float)
    squares = np.where(valid > LEAST, counts**2 / np.maximum(valid, LEAST), 0)
    fine = np.zeros((4, 2 * prepare.radii, prepare.azimuths))
    for sums, layer in zip(fine, (counts, valid, squares, np.ones_like(counts)), strict=True):
        np.add.at(sums, (ring, sector), layer)
    return _view(fine[:, ::2] + fine[:, 1::2], prepare), _profile(*fine[:2], prepare)


def _view(sums, prepare):
    counts, valid, squares, pixels = sums
    mean = ratio(counts, valid)
    variance = np.maximum(ratio(squares, valid) - mean**2, 0)
    around = ratio(_blurred(counts), _blurred(valid))
    ring = ratio(counts.sum(1), valid.sum(1))[:, None]
    channels = [
        np.log1p(prepare.log_scale * mean) / 10,
        valid / np.maximum(pixels, 1),
        np.log1p(variance / (mean + 0.1)) / 5,
        residual(counts, around * valid),
        residual(counts, ring * valid),
    ]
    return np.stack(channels, axis=-1)


def _blurred(layer):
    """Return means over 13 radii and 9 azimuths, round the circle."""
    round_the_circle = np.pad(layer, ((0, 0), (4, 4)), mode="wrap")
    return cv2.blur(round_the_circle, (9, 13), borderType=cv2.BORDER_REPLICATE)[:, 4:-4]


def _profile(counts, valid, prepare):
    total, area = counts.sum(1), valid.sum(1)
    mean, seen = ratio(total, area)[:, None], valid > LEAST
    sectors = np.maximum(seen.sum(1), 1)
    sigmas = np.where(seen, (counts - mean * valid) / np.sqrt(mean * valid + 1), 0)
    excess = np.where(seen, ratio(counts, valid) - mean, 0)
    chi = (np.arange(prepare.azimuths) + 0.5) * (2 * np.pi / prepare.azimuths)
    wave = np.exp(1j * chi[:, None] * np.array(FOLDS))
    harmonics, noise = (sigmas @ wave).T, np.sqrt(sectors)
    smooth = [np.convolve(row, np.ones(9), "same") for row in harmonics]
    smooth_noise = np.sqrt(np.convolve(sectors, np.ones(9), "same"))
    channels = [
        np.log1p(prepare.log_scale * mean[:, 0]) / 10,
        sectors / prepare.azimuths * (area > 0),
        *(residual(total, area * ratio(_running(total, width), _running(area, width))) for width in (15, 61)),
        np.log1p((sigmas**2).sum(1) / sectors) / 5,
        np.arcsinh(sigmas.max(1)) / 4,
        *np.arcsinh(np.abs(harmonics) / noise) / 4,
        *np.arcsinh(np.abs(smooth) / smooth_noise) / 4,
        *np.minimum(2 * np.abs((excess @ wave).T) / (sectors * (mean[:, 0] + 1e-3)), 2),
    ]
    return np.stack(channels, axis=-1)


def _running(line, width):
    return np.convolve(np.pad(line, width // 2, mode="edge"), np.ones(width) / width, "valid")
