"""Sums, means and residuals on grids of blocks."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["block_mean", "coarse", "ratio", "residual"]


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
    return np.where(valid > 1e-3, counts / np.maximum(valid, 1e-3), 0).astype(np.float32)


def residual(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the deviation in units of the counting noise, asinh so that strong ones stay in range."""
    return np.arcsinh((counts - expected) / np.sqrt(np.maximum(expected, 0) + 1)) / 4
