"""Images that are still compressed, whose rows are had one after the other.

A large frame that is written to memory before it is binned costs more time for that than for all that is done with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["CompiledRows", "PackedImage", "Rows"]


@dataclass(frozen=True, eq=False)
class CompiledRows:
    """Rows that a compiled loop has without Python, so that no other thread need wait for it.

    Parameters
    ----------
    fill : object
        A C function (`numba.cfunc`) of a pointer to int64, the state, a pointer to unsigned integers as large as the
        pixels, and int64, how many of these it is to write. It returns whether the next pixels could be decoded.
    state : numpy.ndarray
        (n,) int64, of the function.
    error : callable
        Returns what is to be raised where they could not.
    """

    fill: Any
    state: np.ndarray
    error: Callable[[], Exception]


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

    def compiled(self) -> CompiledRows | None:
        """Return them for a compiled loop instead, from the first on; None if Python is needed for each piece."""
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
