"""The data sets of images in HDF5 and NeXus files that nobody described, found by what they hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..data_keys import is_image
from .file_format import FileFormat
from .hdf5 import read_image

if TYPE_CHECKING:
    import h5py

__all__ = ["Hdf5Format"]

# Two-dimensional companions of the images in NeXus files, which are no frames.
_COMPANIONS = ("mask", "flatfield", "flat_field", "dark", "efficiency", "countrate", "background")


class Hdf5Format(FileFormat):
    """HDF5 and NeXus files, finished or still being written."""

    suffixes = frozenset({".h5", ".hdf5", ".hdf", ".nxs", ".nx", ".nexus", ".cxi", ".he5"})
    mimetypes = frozenset({"application/x-hdf5"})

    def data_sets(self, path: str, wanted: str | None = None) -> Iterator[tuple[str, int]]:
        """Yield the data sets whose last two dimensions look like a detector's, and how many images each holds.

        If any has more than two dimensions, only those. Links are followed, and what is reached by two names counts
        once. Masks and flat fields are left out, unless they or a group of theirs are `wanted`.
        """
        with _open(path) as file:
            if wanted is not None and wanted not in file:
                raise FrameError(f"{path} has no data set {wanted!r}")
            start: Any = file if wanted is None else file[wanted]
            found = dict(_find_images(start, set(), named=wanted is not None))
        stacks = {name: shape for name, shape in found.items() if len(shape) > 2}
        if not found:
            raise FrameError(f"{path} holds no data set that looks like images: name one with --key")
        for name, shape in (stacks or found).items():
            yield name, math.prod(shape[:-2])

    def read(self, path: str, dataset: str, index: int, rows: int | None = None) -> np.ndarray:
        """Return image `index` of a data set, see `read_image`."""
        return read_image(path, dataset, index, rows)

    def read_mask(self, path: str, dataset: str) -> np.ndarray:
        """Return a two-dimensional data set, or the first image of a stack; parts never written hold the fill value."""
        import h5py

        if not dataset:
            raise FrameError(f"{path} may hold many data sets: name one, as {path}::/path/to/mask")
        with _open(path) as file:
            node: Any = file.get(dataset)
            if isinstance(node, h5py.Group):
                node = node.get("data")  # as NeXus names the values of a group
            if not isinstance(node, h5py.Dataset):
                raise FrameError(f"{path} has no data set {dataset!r}")
            return node[0] if len(node.shape) == 3 else node[()]


@contextmanager
def _open(path: str) -> Iterator[h5py.File]:
    """Open a finished file; whatever HDF5 complains of inside the block becomes a FrameError."""
    import h5py
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors

    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except FrameError:
        raise
    except FileNotFoundError as error:
        raise FrameNotReady(f"{path} does not exist") from error
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise FrameError(f"{path} cannot be read: {error}") from error


def _find_images(node: Any, seen: set[Any], named: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    import h5py

    low: Any = h5py
    identity = node.file.filename, low.h5o.get_info(node.id).addr
    if identity in seen:
        return
    seen.add(identity)
    if isinstance(node, h5py.Dataset):
        if _holds_images(node, named):
            yield node.name or "", node.shape
        return
    for name in node:
        child = node.get(name)  # None where a link leads nowhere
        if child is not None:
            yield from (
                # Inside another file a node has another name; here it is the way that led to it.
                (f"{(node.name or '').rstrip('/')}/{name}" if isinstance(child, h5py.Dataset) else path, shape)
                for path, shape in _find_images(child, seen, named)
            )


def _holds_images(node: Any, named: bool) -> bool:
    if len(node.shape or ()) < 2 or node.dtype.kind not in "biuf" or 0 in node.shape[-2:]:
        return False
    companion = any(word in (node.name or "").rpartition("/")[2].lower() for word in _COMPANIONS)
    return named or (is_image({"dtype": "array", "shape": node.shape}) and not companion)
