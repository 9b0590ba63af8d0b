"""Files of the many kinds that fabio reads: EDF, NumPy, SMV, MarCCD, Bruker ..."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...errors import FrameError, FrameNotReady
from .file_format import FileFormat
from .hdf5_format import refuse_linked_pipes

__all__ = ["FabioFormat"]


class FabioFormat(FileFormat):
    """What fabio reads; it tells kinds of files apart by what is in them."""

    suffixes = frozenset({".edf"})
    mimetypes = frozenset[str]()

    def data_sets(self, path: str, wanted: str | None = None) -> Iterator[tuple[str, int]]:
        """Yield the one data set, which has no name."""
        with _open(path) as file:
            count = int(file.nframes)
        yield "", count

    def read(self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return image `index`; a torn file is a FrameError, for fabio does not tell it from a foreign one."""
        with _open(path) as file:
            image: Any = file if index == 0 else file.get_frame(index)
            return np.asarray(image.data)

    def read_mask(self, path: str, dataset: str) -> np.ndarray:
        """Return the first image; a data set may be named of an HDF5 file whose name does not tell that it is one."""
        with _open(path, dataset) as file:
            return np.asarray(file.data)


@contextmanager
def _open(path: str, dataset: str = "") -> Iterator[Any]:
    import fabio  # takes a while to import, and few sessions need it

    refuse_linked_pipes(path)
    try:
        with fabio.open(f"{path}::{dataset}" if dataset else path) as file:
            yield file
    except FileNotFoundError as error:
        raise FrameNotReady(f"{path} does not exist") from error
    except Exception as error:  # noqa: BLE001 - fabio's readers raise anything on a torn file
        raise FrameError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
