"""Arrays of images in whatever form documents, files and foreign readers hand them over."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FrameError

__all__ = ["Layout", "check_size", "layout_of", "pick_image", "shape_of", "sum_colours"]

# ophyd.sim's image is 10 x 10.
SMALLEST_SIDE = 10
_COLOURS = (3, 4)  # red, green, blue, and perhaps alpha
_LARGEST = 2**30  # bytes
# An image may be binned 16 x 16 more, or less, than its device said.
_BINNED = 256


@dataclass(frozen=True)
class Layout:
    """How images lie in an array.

    Parameters
    ----------
    leading : tuple of int
        The dimensions that count images.
    size : (int, int)
        Rows and columns.
    colours : int
        Numbers a pixel: 3 or 4 behind the columns, 1 where there is no such dimension.
    """

    leading: tuple[int, ...]
    size: tuple[int, int]
    colours: int = 1

    @property
    def count(self) -> int:
        """How many images there are."""
        return math.prod(self.leading)


def layout_of(shape: Sequence[int]) -> Layout:
    """Return how images lie in an array of a shape with two dimensions or more.

    The last two dimensions are rows and columns; three or four numbers behind two dimensions of at least 10 are the
    colours of a pixel.
    """
    if len(shape) > 2 and shape[-1] in _COLOURS and min(shape[-3:-1]) >= SMALLEST_SIDE:
        *leading, rows, columns, colours = shape
        return Layout(tuple(leading), (rows, columns), colours)
    *leading, rows, columns = shape
    return Layout(tuple(leading), (rows, columns))


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of an array or of nested lists without converting them."""
    if hasattr(value, "shape"):
        return tuple(value.shape)
    shape = []
    while isinstance(value, Sequence) and not isinstance(value, str):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def pick_image(value: Any, index: int) -> np.ndarray:
    """Return image `index` of an array, lazy array or nested lists, counted over all dimensions before the image's.

    The colours of a pixel are added up. A mask that comes with the pixels stays with them.
    """
    shape = shape_of(value)
    leading = layout_of(shape).leading if len(shape) > 2 else ()
    if leading:
        for position in np.unravel_index(index, leading):
            value = value[int(position)]
    return sum_colours(value if isinstance(value, np.ma.MaskedArray) else np.asarray(value))


def sum_colours(image: np.ndarray) -> np.ndarray:
    """Return an image whose pixels are the sums of their colours, without transparency; others as they are."""
    if image.ndim < 3 or layout_of(image.shape).colours == 1:
        return image
    return (
        image[..., :3]
        .sum(axis=-1, dtype=np.float64 if image.dtype.kind == "f" else np.int64)
        .astype(np.float32 if image.dtype.kind == "f" else np.uint32 if image.dtype.kind in "ub" else np.int32)
    )


def check_size(shape: Sequence[int], itemsize: int, declared: tuple[int, int] | None, where: str) -> None:
    """Refuse an image before its pixels are read.

    A size other than declared is a device's that was configured after it described itself, and is taken; but not one
    that no binning explains.

    Parameters
    ----------
    shape : sequence of int
        Of the image, as the file tells.
    itemsize : int
        Bytes a number.
    declared : (int, int) or None
        Rows and columns of the data key.
    where : str
        Begins the message.

    Raises
    ------
    FrameError
        The image needs more memory than an image may, 1 GiB or what ``XTAG_MAX_IMAGE_BYTES`` says; or it has more than
        256 times the pixels that are declared, or less than one in 256.
    """
    pixels, most = math.prod(shape), int(os.environ.get("XTAG_MAX_IMAGE_BYTES", _LARGEST))
    if pixels * itemsize > most:
        size = f"{pixels * itemsize / 2**20:.0f} MiB an image, but an image may have {most / 2**20:.0f} MiB"
        raise FrameError(
            f"{where} has the shape {tuple(shape)}, {size}: name the right data set, or set XTAG_MAX_IMAGE_BYTES"
        )
    if declared and not math.prod(declared) / _BINNED <= pixels <= math.prod(declared) * _BINNED:
        raise FrameError(
            f"{where} has the shape {tuple(shape)}, but its data key declares {declared}, which no binning explains: "
            "correct the shape that the device describes, or the file that it writes"
        )
