"""Measured frames in front of the simulated detector: an HDF5 file with a data set a frame.

The file's attribute `tags` names the tags that were labelled. Attributes of a data set: `beam_centre_xy`
(column, row; pixels) and `truth` (1 yes, 0 no, -1 uncertain, in the order of `tags`), both optional.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 (registers the compression filters that detectors use)
import numpy as np

from ..errors import XTagValueError

__all__ = ["MeasuredFrame", "MeasuredFrames", "each_frame", "read_frames"]


@dataclass(frozen=True, eq=False)
class MeasuredFrame:
    """One measured frame.

    Parameters
    ----------
    name : str
        Its name in the file.
    pixels : numpy.ndarray
        (rows, columns), counts as the detector wrote them.
    beam_centre : tuple of float or None
        (x, y) = (column, row), pixels.
    present, absent : frozenset of str
        Tags that are labelled as holding and as not holding.
    """

    name: str
    pixels: np.ndarray
    beam_centre: tuple[float, float] | None
    present: frozenset[str]
    absent: frozenset[str]


class MeasuredFrames:
    """Frames of one shape and type in a row: the frame at position x = n (in mm) is number n, from 0.

    Serves as `bluesky_xtag.simulate.Exposures`.

    Parameters
    ----------
    frames : list of MeasuredFrame
        At least one; all of one shape and dtype, as frames of one detector are.
    """

    wavelength = math.nan
    distance = math.nan
    fixed_beam = False

    def __init__(self, frames: list[MeasuredFrame]):
        self.frames = frames
        self.shape: tuple[int, int] = frames[0].pixels.shape
        self.dtype = frames[0].pixels.dtype

    def at(self, x: float) -> MeasuredFrame:
        """Return the frame at a position; positions beyond the last frame start over."""
        return self.frames[round(x) % len(self.frames)]

    def beam_centre(self, x: float, y: float) -> tuple[float, float] | None:
        """Return the beam centre (column, row) in pixels of the frame at a position, None if unknown."""
        return self.at(x).beam_centre

    def expose(self, x: float, y: float, seconds: float) -> np.ndarray:
        """Return the frame at a position."""
        return self.at(x).pixels


def read_frames(path: str | Path) -> list[MeasuredFrames]:
    """Read measured frames, grouped by shape and type because a detector has one of each.

    Parameters
    ----------
    path : str or Path
        As for `each_frame`.

    Returns
    -------
    list of MeasuredFrames
        One per shape and type, in the order of their first frame.

    Raises
    ------
    XTagValueError
        As `each_frame`.
    """
    groups: dict[tuple[tuple[int, ...], np.dtype], list[MeasuredFrame]] = {}
    for frame in each_frame(path):
        groups.setdefault((frame.pixels.shape, frame.pixels.dtype), []).append(frame)
    return [MeasuredFrames(group) for group in groups.values()]


def each_frame(path: str | Path) -> Iterator[MeasuredFrame]:
    """Yield the frames of a file one by one, so that a file may be larger than the memory.

    Parameters
    ----------
    path : str or Path
        An HDF5 file with a two-dimensional data set a frame, its attribute `truth` (1 yes, 0 no, -1 uncertain) in the
        order of the file's attribute `tags`, and `beam_centre_xy` (column, row; pixels) where known.

    Raises
    ------
    XTagValueError
        There is no such file, it is no HDF5 file, it holds no frame, or a frame's truth does not fit the tags.
    """
    path = Path(path)
    if not path.is_file():
        raise XTagValueError(f"there is no file {path}: name an HDF5 file with a data set a frame")
    try:
        with h5py.File(path, "r") as file:
            tags = [tag.decode() if isinstance(tag, bytes) else str(tag) for tag in file.attrs.get("tags", ())]
            names = _names(file)
            for name in names:
                yield _frame(name, file[name], tags)
    except OSError as error:
        raise XTagValueError(f"{path} cannot be read as HDF5 ({error}): name an HDF5 file") from error
    if not names:
        raise XTagValueError(f"{path} holds no two-dimensional data set of numbers: each frame must be one")


def _names(file: h5py.File) -> list[str]:
    """Return the names of all frames of an open file."""
    found: list[str] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 2 and item.dtype.kind in "iuf":
            found.append(name)

    file.visititems(visit)
    return found


def _frame(name: str, data: Any, tags: list[str]) -> MeasuredFrame:
    centre, truth = data.attrs.get("beam_centre_xy"), data.attrs.get("truth")
    if truth is not None and len(truth) != len(tags):
        raise XTagValueError(
            f"frame {name!r} has {len(truth)} values of `truth` but the file names {len(tags)} `tags`: "
            "give one value per tag"
        )
    labels = dict(zip(tags, truth if truth is not None else (), strict=False))
    return MeasuredFrame(
        name=name,
        pixels=data[()],
        beam_centre=None if centre is None else (float(centre[0]), float(centre[1])),
        present=frozenset(tag for tag, value in labels.items() if value == 1),
        absent=frozenset(tag for tag, value in labels.items() if value == 0),
    )
