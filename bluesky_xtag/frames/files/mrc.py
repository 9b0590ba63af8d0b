"""MRC files, the stacks of electron microscopes, as the MRC2014 standard describes them (Cheng et al. 2015).

fabio 2026.6.0 counts the images of a stack and gives only the first.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..arrays import check_size
from .file_format import FileFormat
from .pipes import refuse_pipe

__all__ = ["MrcFormat"]

_HEADER = 1024
_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}  # by mode; complex numbers and packed bits are no images


@dataclass(frozen=True)
class _Stack:
    columns: int
    rows: int
    images: int
    dtype: np.dtype
    begin: int


class MrcFormat(FileFormat):
    """MRC images and stacks, little-endian or big-endian."""

    suffixes = frozenset({".mrc", ".mrcs"})
    mimetypes = frozenset[str]()

    def data_sets(self, path: str, wanted: str | None = None) -> Iterator[tuple[str, int]]:
        """Yield the one data set, which has no name."""
        yield "", _describe(path).images

    def read(self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return image `index`, in native byte order."""
        stack = _describe(path)
        shape = (stack.rows, stack.columns)
        check_size(shape, stack.dtype.itemsize, None, path)
        check_size(shape, stack.dtype.itemsize, size, path)
        pixels = stack.rows * stack.columns
        begin = stack.begin + index * pixels * stack.dtype.itemsize
        if index >= stack.images or os.path.getsize(path) < begin + pixels * stack.dtype.itemsize:
            raise FrameNotReady(f"{path} holds fewer than {index + 1} images so far; number {index} is wanted")
        image = np.fromfile(path, stack.dtype, pixels, offset=begin).reshape(shape)
        return image.astype(stack.dtype.newbyteorder("="))


def _describe(path: str) -> _Stack:
    refuse_pipe(path)
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER)
    except FileNotFoundError as error:
        raise FrameNotReady(f"{path} does not exist yet") from error
    except OSError as error:
        raise FrameError(f"{path} cannot be read: {error}") from error
    if len(header) < _HEADER:
        raise FrameNotReady(f"{path} ends in its header")
    # The machine stamp says the order of bytes; where it is not set, the mode does.
    big = header[212:213] == b"\x11" or (header[212:213] != b"\x44" and not header[12])
    order: Literal["<", ">"] = ">" if big else "<"
    columns, rows, images, mode = struct.unpack_from(f"{order}4i", header)
    (extended,) = struct.unpack_from(f"{order}i", header, 92)
    if mode not in _TYPES or min(columns, rows, images) < 1 or extended < 0:
        raise FrameError(f"{path} is not an MRC file of real images: mode {mode}, {columns} x {rows} x {images}")
    return _Stack(columns, rows, images, np.dtype(_TYPES[mode]).newbyteorder(order), _HEADER + extended)
