"""Writes files of labelled frames, whose layout `labelled` tells: whatever fails, there is a whole file or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import XTagError, XTagValueError
from ..model import write_atomically
from .files import new_hdf5
from .labelled import CENTRE, DETECTOR, MASKS, SOURCE, TAGS, TRUTH, LabelledFrame, find_names

if TYPE_CHECKING:
    import h5py  # sessions that have their frames read elsewhere do not need it

__all__ = ["add_labelled", "check_new", "join_labelled", "write_labelled", "write_part"]


def write_labelled(out: str | Path, tags: Sequence[str], frames: Iterable[LabelledFrame]) -> int:
    """Write labelled frames to an HDF5 file, one by one, and return how many.

    The file gets its name when all frames are on disk: whatever fails, there is a whole file or none.

    Parameters
    ----------
    out : path
        The file; must not exist.
    tags : sequence of str
        The order of each frame's `truth`.
    frames : iterable of LabelledFrame
        At least one.

    Raises
    ------
    XTagValueError
        The file exists, its directory does not, or there is no frame.
    XTagError
        The disk does not take the frames.
    """
    out, written = Path(out), 0
    check_new(out)
    try:
        with write_atomically(out) as path:
            with new_hdf5(path) as new:
                new.hdf5.attrs[TAGS] = list(tags)
                for frame in frames:
                    add_labelled(new.hdf5, frame, tags)
                    new.check()
                    written += 1
            if not written:
                raise XTagValueError(f"there is no labelled frame to write to {out}: correct or confirm some first")
            check_new(out)
    except XTagError:
        raise
    except OSError as error:
        raise XTagError(f"{out} cannot be written ({error}): mend that and call again; no file was left") from error
    return written


def write_part(path: Path, frame: LabelledFrame, tags: Sequence[str]) -> None:
    """Write one frame to a file for `join_labelled`; OSError if the disk does not take it."""
    with new_hdf5(path) as new:
        add_labelled(new.hdf5, frame, tags)


def add_labelled(file: h5py.File, frame: LabelledFrame, tags: Sequence[str]) -> None:
    """Write a frame, and its mask if it has one, to an open file; `tags` gives the order of its `truth`.

    Pixels in a masked array, as of detectors that keep a mask of their own, are written with their mask.
    """
    import hdf5plugin

    packed = hdf5plugin.Bitshuffle(cname="lz4")
    pixels, mask = _split_mask(frame)
    data = file.create_dataset(frame.name, data=pixels, **packed)
    data.attrs[TRUTH] = np.array([int(frame.truth.get(tag, -1)) for tag in tags], np.int8)
    if frame.beam_centre is not None:
        data.attrs[CENTRE] = np.array(frame.beam_centre, np.float32)
    data.attrs.update({name: text for name, text in ((SOURCE, frame.source), (DETECTOR, frame.detector)) if text})
    data.attrs.update(frame.attributes)
    if mask is not None:
        file.create_dataset(f"{MASKS}/{frame.name}", data=mask, **packed)


def _split_mask(frame: LabelledFrame) -> tuple[np.ndarray, np.ndarray | None]:
    """Return pixels, and a mask with what came masked with them: HDF5 keeps no masked arrays."""
    own = np.ma.getmaskarray(frame.pixels) if np.ma.is_masked(frame.pixels) else None
    masks = [mask for mask in (own, frame.mask) if mask is not None]
    return np.ma.getdata(frame.pixels), np.logical_or.reduce(masks) if masks else None


def join_labelled(out: Path, parts: Iterable[Path], tags: Sequence[str], attributes: Mapping[str, Any]) -> None:
    """Copy the frames of files, and their masks, into one file, compressed as they are.

    Parameters
    ----------
    out : Path
        The file to write.
    parts : iterable of Path
        Files that `write_part` wrote, with the same `tags`.
    tags : sequence of str
        The order of each frame's `truth`.
    attributes : mapping
        Of the file, next to `tags`.

    Raises
    ------
    OSError
        The disk does not take the file.
    """
    import h5py
    import hdf5plugin  # noqa: F401

    with new_hdf5(out) as new:
        new.hdf5.attrs[TAGS] = list(tags)
        new.hdf5.attrs.update(attributes)
        for each in parts:
            with h5py.File(each, "r") as part:
                for frame in find_names(part):
                    for name in (frame, f"{MASKS}/{frame}"):
                        if name in part:
                            part.copy(name, new.hdf5, name)
            new.check()


def check_new(out: Path) -> None:
    """Raise XTagValueError unless a file can be made there without replacing another."""
    if out.exists():
        raise XTagValueError(f"{out} exists: choose another name or remove it first")
    if not out.parent.is_dir():
        raise XTagValueError(f"there is no directory {out.parent}: make it first or choose another name for the file")
