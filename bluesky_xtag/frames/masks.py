"""The user's mask of a detector: which pixels must not be used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import XTagValueError

__all__ = ["Mask", "load_mask", "load_masks"]

Mask = np.ndarray | str | Path


def load_masks(mask: Mask | Mapping[str, Mask] | None) -> np.ndarray | dict[str, np.ndarray] | None:
    """Return a mask, or one for each data key, or None, as they are given; see `load_mask`."""
    if mask is None:
        return None
    if isinstance(mask, Mapping):
        return {key: load_mask(one) for key, one in mask.items()}
    return load_mask(mask)


def load_mask(mask: Mask) -> np.ndarray:
    """Return a mask, reading it where a file is named.

    Parameters
    ----------
    mask : str, Path or numpy.ndarray
        The mask itself, or a file that fabio reads: EDF, TIFF, CBF, NumPy, or HDF5 as ``"file.h5::/path/to/mask"``.
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


def _read(path: str) -> np.ndarray:
    import fabio  # takes a while to import, and few sessions need it

    try:
        with fabio.open(path) as image:
            return np.asarray(image.data)
    except Exception as error:  # fabio raises whatever its readers raise
        raise XTagValueError(
            f"the mask file {path} cannot be read ({error}): name an EDF, TIFF, CBF, NumPy or HDF5 image"
        ) from error
