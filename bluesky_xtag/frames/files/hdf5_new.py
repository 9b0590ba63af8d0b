"""New HDF5 files on a disk that may become full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

__all__ = ["NewFile", "new_hdf5"]


class NewFile:
    """Where HDF5 writes a new file: it always hears that all went well, and this keeps the disk's first error.

    HDF5 cannot close a file that it cannot write. What it keeps of it then ends the process sooner or later (2.0.0).

    Parameters
    ----------
    path : path
        The file. It is made, or made empty.
    extend : bool
        Keep what the file holds; it must be there.

    Attributes
    ----------
    hdf5 : h5py.File
        The file as HDF5 sees it.
    """

    hdf5: h5py.File

    def __init__(self, path: str | os.PathLike[str], extend: bool = False) -> None:
        self._file = open(path, "r+b" if extend else "w+b", buffering=0)  # noqa: SIM115 - open as long as this is
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the disk's error, if there was one. A writer of many frames calls this after each."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Close the file, after HDF5 has closed it."""
        self._file.close()

    # What h5py asks of a file in Python.

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._file.seek(place, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:
        """Read bytes from here on, as many as there are."""
        return self._file.readinto(buffer) or 0

    def read(self, size: int = -1) -> bytes:
        """Return bytes from here on."""
        return self._file.read(size)

    def write(self, data: memoryview) -> int:
        """Write bytes from here on."""
        left = memoryview(data)
        while len(left) and self._error is None:
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                self._error = error
        return len(data)

    def truncate(self, size: int) -> int:
        """Make the file so long."""
        if self._error is None:
            try:
                self._file.truncate(size)
            except OSError as error:
                self._error = error
        return size

    def flush(self) -> None:
        """Do nothing: bytes are never kept back."""


@contextmanager
def new_hdf5(path: str | os.PathLike[str], extend: bool = False) -> Iterator[NewFile]:
    """Write a new HDF5 file, or with `extend` more into the copy of one, through `NewFile.hdf5`.

    Raises
    ------
    OSError
        The disk does not take the file.
    """
    import h5py

    new = NewFile(path, extend)
    try:
        with h5py.File(new, "r+" if extend else "w") as new.hdf5:
            yield new
        new.check()
    finally:
        new.close()
