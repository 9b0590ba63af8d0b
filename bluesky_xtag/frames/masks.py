"""The user's mask of a detector: which pixels must not be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FrameError, XTagValueError
from .files import read_mask

__all__ = ["Mask", "load_mask"]

Mask = np.ndarray | str | Path


def load_mask(mask: Mask) -> np.ndarray:
    """Return a mask, reading it where a file is named.

    Parameters
    ----------
    mask : str, Path or numpy.ndarray
        The mask itself, or a file of any format in the registry: EDF, TIFF, CBF, NumPy, or HDF5 as
        ``"file.h5::/path/to/mask"``.
        As in pyFAI, what is not zero is masked.

    Returns
    -------
    numpy.ndarray
        (rows, columns) bool, true where pixels must not be used.

    Raises
    ------
    XTagValueError
        The file cannot be read, or what is in it is not a mask.
    """
    if not isinstance(mask, np.ndarray):
        mask, source = _read(str(mask)), f"the mask file {mask}"
    else:
        source = "the mask"
    if mask.ndim != 2 or mask.dtype.kind not in "biuf":
        raise XTagValueError(
            f"{source} has shape {mask.shape} and dtype {mask.dtype}: give one number a pixel, (rows, columns)"
        )
    return mask != 0


def _read(name: str) -> np.ndarray:
    path, _, dataset = (name, "", "") if Path(name).exists() else name.partition("::")
    try:
        return read_mask(path, dataset)
    except FrameError as error:
        raise XTagValueError(
            f"the mask file {name} cannot be read ({error}): name an EDF, TIFF, CBF, NumPy or HDF5 image"
        ) from error
