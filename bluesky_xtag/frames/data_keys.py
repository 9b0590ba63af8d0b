"""What a data key of a descriptor tells about images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["images_and_size", "is_image"]

# ophyd.sim's image is 10 x 10. A fluorescence detector is an array of a few elements by thousands of bins.
_SMALLEST_SIDE = 10
_LARGEST_RATIO = 32


def images_and_size(shape: Sequence[int | None]) -> tuple[int, tuple[int, int] | None]:
    """Return how many images an event holds, and the last two dimensions (None if a data key leaves them open).

    Dimensions of 0 or None are unknown. Older areaDetector devices declare (width, height, 0).
    """
    known = [int(size or 0) for size in shape]
    if len(known) > 2 and known[-2:].count(0) == 1:
        known = [size for size in known if size]
    *leading, rows, columns = [1, 1, *known] if len(known) < 2 else known
    size = (rows, columns) if len(known) >= 2 and rows > 0 and columns > 0 else None
    return math.prod(size for size in leading if size), size


def is_image(data_key: Mapping[str, Any]) -> bool:
    """Tell whether a data key looks like a detector image.

    It does if it is an array whose last two dimensions are at least 10 and at most 1 : 32, which leaves out
    spectra of many channels; and if it is stored externally with two dimensions or more of a size that
    the device does not tell.
    """
    if data_key.get("dtype") != "array":
        return False
    shape = data_key.get("shape") or ()
    _, size = images_and_size(shape)
    if size is None:
        return "external" in data_key and len(shape) != 1
    return min(size) >= _SMALLEST_SIDE and max(size) <= _LARGEST_RATIO * min(size)
