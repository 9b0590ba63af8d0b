"""Writes frames as areaDetector's HDF5 plugin does in SWMR mode: readers see them while the scan runs."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

__all__ = ["DATASET", "SWMRWriter"]

DATASET = "/entry/data/data"


class SWMRWriter:
    """One HDF5 file of frames: a chunk a frame, bitshuffle/LZ4, each frame on disk when `write` returns.

    Parameters
    ----------
    path : Path
        The file to make; its directory must be there.
    shape : tuple of int
        (rows, columns) of every frame.
    dtype : numpy.dtype
        Type of the counts.
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype):
        self.path = path
        self._file = h5py.File(path, "w", libver="latest")
        self._data = self._file.create_dataset(
            DATASET,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(1, *shape),
            dtype=dtype,
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        self._file.swmr_mode = True

    def write(self, frame: np.ndarray) -> int:
        """Append a frame, shape (rows, columns), and return its index in the file."""
        index = self._data.shape[0]
        self._data.resize(index + 1, axis=0)
        self._data[index] = frame
        self._data.flush()
        return index

    def close(self) -> None:
        """Close the file; nothing happens if it is closed already."""
        self._file.close()
