"""Arrays of images in whatever form documents and foreign readers hand them over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["pick_image", "shape_of"]


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
    """Return image `index` of an array, lazy array or nested lists, counted over all dimensions but the last two."""
    leading = shape_of(value)[:-2]
    if leading:
        for position in np.unravel_index(index, leading):
            value = value[int(position)]
    return np.asarray(value)
