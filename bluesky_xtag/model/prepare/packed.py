"""Images that are still compressed, whose rows are had one after the other.

A large frame that is written to memory before it is binned costs more time for that than for all that is done with it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

__all__ = ["PackedImage", "Rows"]


class Rows(Protocol):
    """The rows of an image, from the first on."""

    def fill(self, target: np.ndarray) -> None:
        """Write the next rows into an array of shape (rows, columns) in C order, of the image's dtype.

        Raises
        ------
        FrameNotReady
            They cannot be decoded (yet).
        """
        ...


class PackedImage(Protocol):
    """An image that is decoded when its rows are asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of the pixels, in native byte order."""
        ...

    @property
    def mask(self) -> np.ndarray | None:
        """(rows, columns), true where the detector's own mask says not to use a pixel; None without one."""
        ...

    def rows(self) -> AbstractContextManager[Rows]:
        """Return the rows from the first on; what is open for them is closed with the context."""
        ...

    def unpack(self) -> np.ndarray:
        """Return all rows, a masked array where there is a mask."""
        ...
