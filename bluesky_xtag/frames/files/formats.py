"""The registry of file formats, and what the rest of the package asks of files whatever their format."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..roots import RootMap
from .by_fabio import FabioFormat
from .cbf import CbfFormat
from .file_format import FileFormat
from .hdf5_format import Hdf5Format
from .mrc import MrcFormat
from .tiff import TiffFormat

if TYPE_CHECKING:
    from ...model import PackedImage

__all__ = [
    "FORMATS",
    "can_read",
    "data_sets",
    "format_of",
    "format_of_mimetype",
    "images_in",
    "linked_files",
    "pack",
    "read",
    "read_mask",
]

# Another format is one more line here; where two know a suffix or a mimetype, the later one reads it.
FORMATS: dict[str, FileFormat] = {
    "fabio": FabioFormat(),
    "hdf5": Hdf5Format(),
    "tiff": TiffFormat(),
    "cbf": CbfFormat(),
    "mrc": MrcFormat(),
}


def format_of(path: str) -> FileFormat:
    """Return the format of a file by its name. Fabio takes what no other format knows, and looks into the file."""
    return _find(path) or FORMATS["fabio"]


def format_of_mimetype(mimetype: str) -> FileFormat | None:
    """Return the format that reads the one file of a stream resource, None if there is none."""
    return next((each for each in reversed(FORMATS.values()) if mimetype in each.mimetypes), None)


def can_read(path: str) -> bool:
    """Tell from its name whether a file certainly has one of the formats."""
    return _find(path) is not None


def data_sets(path: str, wanted: str | None = None) -> Iterable[tuple[str, int]]:
    """Return the name of each data set of images in a file, and how many images it holds.

    Parameters and errors are those of `FileFormat.data_sets`.
    """
    return format_of(path).data_sets(path, wanted)


def linked_files(path: str, roots: RootMap | None = None) -> frozenset[str]:
    """Return the other files from which a file may take pixels: by links, as sources, or as raw data.

    Parameters
    ----------
    path : str
        The file, whatever its name: a stream resource says itself that it is HDF5.
    roots : RootMap, optional
        Where directories are now; what a name leads to by it counts, too.
    """
    return FORMATS["hdf5"].with_roots(roots or RootMap()).linked_files(path)


def read(path: str, dataset: str, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return image `index` of a file, shape (rows, columns).

    Parameters and errors are those of `FileFormat.read`.
    """
    return format_of(path).read(path, dataset, index, size)


def pack(path: str, dataset: str, index: int, size: tuple[int, int] | None = None) -> np.ndarray | PackedImage:
    """Return image `index` of a file as `read` does, or still compressed, see `FileFormat.pack`."""
    return format_of(path).pack(path, dataset, index, size)


def read_mask(path: str, dataset: str = "") -> np.ndarray:
    """Return the mask that a file holds, (rows, columns) as it was written; FrameError if it cannot be read."""
    return format_of(path).read_mask(path, dataset)


@lru_cache(maxsize=1024)
def images_in(form: FileFormat, path: str, dataset: str) -> int:
    """Return how many images a data set of a file of some format holds; FrameError if it cannot be asked."""
    return sum(count for _, count in form.data_sets(path, dataset))


def _find(path: str) -> FileFormat | None:
    suffix = Path(path).suffix.lower()
    return next((each for each in reversed(FORMATS.values()) if suffix in each.suffixes), None)
