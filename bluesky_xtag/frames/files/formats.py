"""Images in files of any kind that detectors write: HDF5 by our own reader, all others by fabio."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..data_keys import is_image
from .hdf5 import read_image

__all__ = ["data_sets", "images_in", "is_hdf5", "read"]

_HDF5 = frozenset({".h5", ".hdf5", ".hdf", ".nxs", ".nx", ".nexus", ".cxi", ".he5"})
# Two-dimensional companions of the images in NeXus files, which are no frames.
_COMPANIONS = ("mask", "flatfield", "flat_field", "dark", "efficiency", "countrate", "background")


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Tell from its name whether a file is read as HDF5."""
    return Path(path).suffix.lower() in _HDF5


def read(path: str, dataset: str, index: int, rows: int | None = None) -> np.ndarray:
    """Return image `index` of a file, shape (rows, columns).

    Parameters
    ----------
    path : str
        The file; what is not HDF5 by its name is read by fabio.
    dataset : str
        Of HDF5 files.
    index : int
        Number of the image, from 0.
    rows : int, optional
        Rows of an image, where images lie below each other in a two-dimensional data set.

    Raises
    ------
    FrameError
        The file is gone or torn, or is no image.
    """
    if is_hdf5(path):
        return read_image(path, dataset, index, rows)
    import fabio

    try:
        with fabio.open(path) as file:
            image: Any = file if index == 0 else file.get_frame(index)
            return np.asarray(image.data)
    except FileNotFoundError as error:
        raise FrameNotReady(f"{path} does not exist") from error
    except Exception as error:  # noqa: BLE001 - fabio's readers raise anything on a torn file
        raise FrameError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


def data_sets(path: str, wanted: str | None = None) -> Iterator[tuple[str, int]]:
    """Yield the name of each data set of images in a file, and how many images it holds.

    Of HDF5 files these are the data sets whose last two dimensions look like a detector's; if any has more than two
    dimensions, only those. Links are followed, and what is reached by two names counts once. Masks and flat fields are
    left out. Other files hold one data set, without a name.

    Parameters
    ----------
    path : str
        The file.
    wanted : str, optional
        The data set, or the group of data sets, to take instead.

    Raises
    ------
    FrameError
        The file cannot be read, or holds no images.
    """
    if not is_hdf5(path):
        yield "", _frames_of_fabio(path)
        return
    import h5py
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors

    try:
        with h5py.File(path, "r", locking=False) as file:
            if wanted is not None and wanted not in file:
                raise FrameError(f"{path} has no data set {wanted!r}")
            start: Any = file if wanted is None else file[wanted]
            found = dict(_images(start, set(), named=wanted is not None))
    except FrameError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise FrameError(f"{path} cannot be read: {error}") from error
    stacks = {name: shape for name, shape in found.items() if len(shape) > 2}
    if not found:
        raise FrameError(f"{path} holds no data set that looks like images: name one with --key")
    for name, shape in (stacks or found).items():
        yield name, math.prod(shape[:-2])


def _images(node: Any, seen: set[Any], named: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
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
                for path, shape in _images(child, seen, named)
            )


def _holds_images(node: Any, named: bool) -> bool:
    if len(node.shape or ()) < 2 or node.dtype.kind not in "biuf" or 0 in node.shape[-2:]:
        return False
    companion = any(word in (node.name or "").rpartition("/")[2].lower() for word in _COMPANIONS)
    return named or (is_image({"dtype": "array", "shape": node.shape}) and not companion)


@lru_cache(maxsize=1024)
def images_in(path: str, dataset: str) -> int:
    """Return how many images a data set of an HDF5 file holds; FrameError if it cannot be asked."""
    return sum(count for _, count in data_sets(path, dataset))


def _frames_of_fabio(path: str) -> int:
    import fabio

    try:
        with fabio.open(path) as file:
            return int(file.nframes)
    except Exception as error:  # noqa: BLE001 - fabio's readers raise anything on a torn file
        raise FrameError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
