"""A table of numbers that grows by a row at a time."""

from __future__ import annotations

import numpy as np

__all__ = ["GrowingTable"]


class GrowingTable:
    """A table to which rows are added; its memory doubles when it is full, so that a row costs the same at any length.

    Parameters
    ----------
    columns : int
    """

    def __init__(self, columns: int) -> None:
        self._table = np.empty((64, columns))
        self._used = 0

    def append(self, row: np.ndarray | float) -> None:
        """Add a row, (columns,)."""
        if self._used == len(self._table):
            self._table = np.concatenate([self._table, np.empty_like(self._table)])
        self._table[self._used] = row
        self._used += 1

    def replace(self, numbers: np.ndarray, rows: np.ndarray) -> None:
        """Let other rows, (n, columns), take the place of those with these numbers."""
        self._table[numbers] = rows

    def shrink(self, bounds: np.ndarray) -> None:
        """Lower the first column to these bounds, (n,), where it is above them."""
        column = self._table[: self._used, 0]
        np.minimum(column, bounds, out=column)

    def __len__(self) -> int:
        return self._used

    @property
    def all(self) -> np.ndarray:
        """(n, columns) float64, a view that cannot be written to."""
        view = self._table[: self._used]
        view.flags.writeable = False
        return view
