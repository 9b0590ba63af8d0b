"""What a data key of a descriptor tells about images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .arrays import SMALLEST_SIDE, layout_of

__all__ = ["images_and_size", "is_image"]

# A fluorescence detector is an array of a few elements by thousands of bins.
_LARGEST_RATIO = 32


def images_and_size(shape: Sequence[Any]) -> tuple[int, tuple[int, int] | None]:
    """Return how many images an event holds, and their rows and columns (None if a data key leaves them open).

    Dimensions that are not a positive number are unknown: 0, None, -1. Older areaDetector devices declare
    (width, height, 0). Three or four numbers behind rows and columns are colours, see `layout_of`.
    """
    known = [_size(size) for size in shape] if isinstance(shape, Sequence) and not isinstance(shape, str) else []
    if len(known) > 2 and known[-2:].count(0) == 1:
        known = [size for size in known if size]
    layout = layout_of([1, 1, *known] if len(known) < 2 else [*known])
    count = 1
    for size in layout.leading:
        count *= size or 1
    return count, layout.size if len(known) >= 2 and min(layout.size) > 0 else None


def is_image(data_key: Mapping[str, Any]) -> bool:
    """Tell whether a data key looks like a detector image.

    It does if it is an array whose rows and columns are at least 10 and at most 1 : 32, which leaves out
    spectra of many channels; and if it is stored externally with two dimensions or more of a size that
    the device does not tell.
    """
    if data_key.get("dtype") != "array":
        return False
    shape = data_key.get("shape") or ()
    _, size = images_and_size(shape)
    if size is None:
        return "external" in data_key and len(shape) != 1
    return min(size) >= SMALLEST_SIDE and max(size) <= _LARGEST_RATIO * min(size)


def _size(size: Any) -> int:
    try:
        return max(int(size or 0), 0)
    except (TypeError, ValueError):
        return 0
