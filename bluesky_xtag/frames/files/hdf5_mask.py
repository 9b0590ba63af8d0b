"""The mask that a detector keeps next to its images: ``pixel_mask`` of DECTRIS masters and of NXmx."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FrameError
from .hdf5_others import get_node

if TYPE_CHECKING:
    import h5py

__all__ = ["attach_mask", "find_mask"]

_DETECTOR = "/entry/instrument/detector"
_PLACES = (
    f"{_DETECTOR}/pixel_mask",
    f"{_DETECTOR}/detectorSpecific/pixel_mask",
    f"{_DETECTOR}/detectorSpecific/detectorModule_000/pixel_mask",
)


_READ: dict[tuple[str, int, str], np.ndarray | None] = {}
_KEPT = 4


def attach_mask(file: h5py.File, dataset: h5py.Dataset, image: np.ndarray) -> np.ndarray:
    """Return an image as a masked array, if its file has a mask of the detector; else as it is. See `find_mask`."""
    mask = find_mask(file, dataset, image.shape)
    return image if mask is None else np.ma.MaskedArray(image, mask)


def find_mask(file: h5py.File, dataset: h5py.Dataset, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the mask of the detector that a file has, true where a pixel must not be used; None if it has none.

    What is not zero in ``pixel_mask`` must not be used: each bit is a reason not to (NXmx). A mask of another size than
    the image is that of another mode of the detector, and one of all pixels says nothing.

    Parameters
    ----------
    file : h5py.File
        The file that names the images: a master, where the images lie in other files.
    dataset : h5py.Dataset
        The images.
    shape : tuple of int
        Rows and columns.
    """
    beside = posixpath.dirname(dataset.name or "/")
    places = _PLACES
    for name in (*places, posixpath.join(beside, "pixel_mask")):
        try:
            node = get_node(file, name, whole=True)
        except FrameError:
            raise
        except (OSError, KeyError, RuntimeError):
            continue
        if getattr(node, "shape", None) == shape and node.dtype.kind in "biu":
            return _read(node, (file.filename, os.stat(file.filename).st_ino, name))
    return None


def _read(node: Any, identity: tuple[str, int, str]) -> np.ndarray | None:
    """Return the mask of a data set, kept from earlier images: files are opened anew for each."""
    if identity not in _READ:
        mask = node[()] != 0
        mask.flags.writeable = False
        _READ[identity] = mask if mask.any() and not mask.all() else None
        for oldest in list(_READ)[:-_KEPT]:
            _READ.pop(oldest, None)
    return _READ[identity]
