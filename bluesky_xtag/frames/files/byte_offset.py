"""Unpacks the pixels of CBF files, which are written in steps of one, two, four or eight bytes."""

from __future__ import annotations

import numpy as np

from ...model import compile_loop

__all__ = ["unpack"]


@compile_loop()
def unpack(packed: np.ndarray, pixels: np.ndarray) -> int:
    """Fill in pixels, each the one before and a step; return how many bytes were used, -1 if they end early.

    A step that does not fit is announced by the least number of its width, which then is no step: -128, -32768, -2**31.
    """
    at, value = 0, np.int64(0)
    for number in range(len(pixels)):
        width, step = 1, np.int64(0)
        while True:
            if at + width > len(packed):
                return -1
            bits = np.uint64(0)
            for byte in range(width):
                bits |= np.uint64(packed[at + byte]) << np.uint64(8 * byte)
            at += width
            empty = np.uint64(64 - 8 * width)
            step = np.int64(bits << empty) >> np.int64(empty)  # with its sign
            if width == 8 or step != -(np.int64(1) << np.int64(8 * width - 1)):
                break
            width *= 2
        value += step
        pixels[number] = value
    return at
