"""Sums, means, residuals and peaks on grids of blocks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from .compiled import compile_loop

__all__ = ["LEAST", "QUICK", "coarse", "log1p", "peaks", "ratio", "residual", "stretch"]

LEAST = np.float32(1e-3)  # valid share of a bin, below which nothing is known of it
# What quick sums take for granted: terms may be added up in any order, -0 is 0, and products are not rounded first.
QUICK = ("reassoc", "nsz", "contract")

_ONE, _NONE = np.float32(1), np.float32(0)


def coarse(layer: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Return means over square blocks, of which the longer side has `most` at most, and the side of a block.

    Blocks at the edges are filled up with nothing.
    """
    step = max(1, -(-max(layer.shape) // most))
    below, right = (-side % step for side in layer.shape)
    if below or right:
        layer = cv2.copyMakeBorder(layer, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0.0)
    if step > 1:
        layer = cv2.resize(layer, (layer.shape[1] // step, layer.shape[0] // step), interpolation=cv2.INTER_AREA)
    return layer, step


@compile_loop(*QUICK)
def ratio(counts: Any, valid: Any) -> Any:
    """Return counts per fully valid bin, 0 where nothing is valid; of one bin, float32."""
    return counts / valid if valid > LEAST else _NONE


@compile_loop(*QUICK)
def residual(counts: Any, expected: Any) -> Any:
    """Return the deviation in units of the counting noise, stretched so that strong ones stay in range; float32."""
    return stretch((counts - expected) / np.sqrt(max(expected, _NONE) + _ONE))


@compile_loop(*QUICK)
def stretch(sigmas: Any) -> Any:
    """Return asinh / 4 of a float32, to seven digits after the point, up to 1e19."""
    size = abs(sigmas)
    log = np.log(size + np.sqrt(size * size + _ONE)) / np.float32(4)
    return log if sigmas > _NONE else -log


@compile_loop(*QUICK)
def log1p(number: Any) -> Any:
    """Return log(1 + x) of a float32, to seven digits after the point."""
    return np.log(_ONE + number)


@compile_loop()
def peaks(layer: np.ndarray, reach: int, most: int, least: float) -> np.ndarray:
    """Return the highest cells that no other within `reach` rows and columns exceeds, highest first.

    Parameters
    ----------
    layer : numpy.ndarray
        (rows, columns) float32.
    reach, most : int
        Cells on each side that are looked at, and how many peaks to return at most.
    least : float
        Peaks are higher than this.

    Returns
    -------
    numpy.ndarray
        (n, 2) int64, row and column; of equal ones the first comes first.
    """
    rows, columns = layer.shape
    found, heights, number = np.empty((most, 2), np.int64), np.empty(most, np.float32), 0
    for row in range(rows):
        for column in range(columns):
            height = layer[row, column]
            full = number == most
            if not height > least or (full and height <= heights[most - 1]) or _is_topped(layer, row, column, reach):
                continue
            place = number - full
            while place > 0 and heights[place - 1] < height:
                heights[place] = heights[place - 1]
                found[place, 0], found[place, 1] = found[place - 1, 0], found[place - 1, 1]
                place -= 1
            heights[place], found[place, 0], found[place, 1] = height, row, column
            number += not full
    return found[:number]


@compile_loop()
def _is_topped(layer: np.ndarray, row: int, column: int, reach: int) -> bool:
    """Return whether a cell within `reach` rows and columns is higher."""
    height = layer[row, column]
    for down in range(max(row - reach, 0), min(row + reach + 1, layer.shape[0])):
        for across in range(max(column - reach, 0), min(column + reach + 1, layer.shape[1])):
            if layer[down, across] > height:
                return True
    return False
