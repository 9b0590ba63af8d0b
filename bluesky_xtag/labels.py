"""Files of labelled frames, in the layout that `xtag train --frames` and `xtag evaluate` read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .errors import XTagError, XTagValueError

__all__ = ["LabelledFrame", "write_labelled"]


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """One frame and what is certain of it.

    Parameters
    ----------
    name : str
        Its name in the file.
    pixels : numpy.ndarray
        (rows, columns), counts as the detector wrote them.
    truth : mapping of str to bool
        Whether a tag holds; tags that are not in it are uncertain.
    beam_centre : tuple of float or None
        (column, row), pixels.
    attributes : mapping
        What else is to stand beside the frame, such as its `source`.
    """

    name: str
    pixels: np.ndarray
    truth: Mapping[str, bool]
    beam_centre: tuple[float, float] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


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
    import h5py
    import hdf5plugin

    out = Path(out)
    check_new(out)
    written, packed = 0, hdf5plugin.Bitshuffle(cname="lz4")
    try:
        with _finished(out) as path, h5py.File(path, "w") as file:
            file.attrs["tags"] = list(tags)
            for frame in frames:
                data = file.create_dataset(frame.name, data=frame.pixels, **packed)
                data.attrs["truth"] = np.array([int(frame.truth.get(tag, -1)) for tag in tags], np.int8)
                if frame.beam_centre is not None:
                    data.attrs["beam_centre_xy"] = np.array(frame.beam_centre, np.float32)
                data.attrs.update(frame.attributes)
                written += 1
            if not written:
                raise XTagValueError(f"there is no labelled frame to write to {out}: correct or confirm some first")
    except XTagError:
        raise
    except OSError as error:
        raise XTagError(f"{out} cannot be written ({error}): mend that and call again; no file was left") from error
    return written


def check_new(out: Path) -> None:
    """Raise XTagValueError unless a file can be made there without replacing another."""
    if out.exists():
        raise XTagValueError(f"{out} exists: choose another name or remove it first")
    if not out.parent.is_dir():
        raise XTagValueError(f"there is no directory {out.parent}: make it first or choose another name for the file")


@contextmanager
def _finished(out: Path) -> Iterator[Path]:
    """Give a name to write to, which becomes `out` when all that was written is on disk."""
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        check_new(out)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
