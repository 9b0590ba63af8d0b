"""Memory that two processes share: it has no name, so nothing is left of it when both are gone."""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np

__all__ = ["SharedMemory"]

_HEAD = 4096  # bytes: the mark of progress, and room to keep what follows aligned
_ALIGNED = 64


class SharedMemory:
    """A mark of progress, and arrays one after the other.

    Parameters
    ----------
    descriptor : int, optional
        Of memory that another process made; new memory if None.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = os.memfd_create("xtag") if descriptor is None else descriptor
        self._used = _HEAD
        if descriptor is None:
            os.posix_fallocate(self.descriptor, 0, _HEAD)
        self._map()

    def _map(self) -> None:
        self._size = os.fstat(self.descriptor).st_size
        self._memory = mmap.mmap(self.descriptor, self._size)
        self._mark = np.frombuffer(self._memory, np.int64, 1)

    @property
    def mark(self) -> int:
        """A number that the process which works raises with each step."""
        return int(self._mark[0])

    def step(self) -> None:
        """Raise the mark."""
        self._mark[0] += 1

    def clear(self) -> None:
        """Forget all arrays."""
        self._used = _HEAD

    def put(self, array: np.ndarray) -> list[Any]:
        """Copy an array; return its place, for `get` in the other process.

        Raises
        ------
        OSError
            There is no memory left. It is asked for before anything is written: who writes to memory that is not there
            is ended by the system.
        """
        begin = -(-self._used // _ALIGNED) * _ALIGNED
        end = begin + array.nbytes
        if end > self._size:
            os.posix_fallocate(self.descriptor, 0, end)
            self._map()
        np.copyto(self._view(begin, array.dtype, array.shape), array)
        self._used = end
        return [begin, array.dtype.str, list(array.shape)]

    def get(self, place: list[Any]) -> np.ndarray:
        """Return the array at a place, without a copy."""
        begin, dtype, shape = place
        kind = np.dtype(dtype)
        if begin + kind.itemsize * int(np.prod(shape)) > self._size:
            self._map()
        return self._view(begin, kind, tuple(shape))

    def _view(self, begin: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        return np.frombuffer(self._memory, dtype, int(np.prod(shape)), begin).reshape(shape)

    def close(self) -> None:
        """Give the memory back; arrays that were taken from it stay valid."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
