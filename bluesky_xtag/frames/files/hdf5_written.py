"""Tells what a writer wrote from the fill values that HDF5 hands out in its place, without an error.

HDF5 reads the fill value for a chunk that is not allocated, for what lies beyond the end of a file, and for a virtual
or external data set whose source is missing, late, torn or not permitted. Each of these would be an empty frame that
never was.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FrameError
from .hdf5_held import check_held, is_abandoned, is_locked, without_hint
from .hdf5_others import UNLIMITED, get_node, is_numbered, numbered, raw_path, source_paths
from .pipes import refuse_pipe

if TYPE_CHECKING:
    import h5py

__all__ = ["Opens", "Region", "holds_fill_only", "is_being_written", "what_is_missing"]

Region = tuple[slice, ...]
Opens = Callable[[str], Any]  # a file, as h5py has it; OSError where it cannot be opened

_WRITER = 0b101  # flags of a superblock: open for writing, open for SWMR writing


def what_is_missing(dataset: h5py.Dataset, region: Region, opens: Opens, stack: ExitStack) -> str:
    """Return what of a region is not there, in words; "" if all of it is.

    Parameters
    ----------
    dataset : h5py.Dataset
        The data set.
    region : tuple of slice
        One slice a dimension.
    opens : callable
        Opens the files of a virtual data set.
    stack : ExitStack
        Keeps these files open: HDF5 then reads through them, in whatever mode their writer wants them opened.
    """
    if dataset.is_virtual:
        return _missing_of_virtual(dataset, region, opens, stack)
    if dataset.external:
        return _missing_of_external(dataset, region)
    here = f"{dataset.file.filename}:{dataset.name}"
    size = os.path.getsize(dataset.file.filename)
    if not dataset.chunks:
        import h5py

        h5d: Any = h5py.h5d
        if dataset.id.get_create_plist().get_layout() != h5d.CONTIGUOUS:
            return ""  # compact: with the description
        offset = dataset.id.get_offset()
        return (
            ""
            if offset is not None and offset + dataset.id.get_storage_size() <= size
            else f"{here} is not written yet"
        )
    starts = itertools.product(
        *(
            range(part.start - part.start % chunk, part.stop, chunk)
            for part, chunk in zip(region, dataset.chunks, strict=True)
        )
    )
    chunks = (dataset.id.get_chunk_info_by_coord(start) for start in starts)
    whole = all(chunk.byte_offset is not None and chunk.byte_offset + chunk.size <= size for chunk in chunks)
    return "" if whole else f"{here} is not written yet"


def holds_fill_only(dataset: h5py.Dataset, region: Region, image: np.ndarray) -> bool:
    """Tell whether an image may be one that nobody wrote yet, although the storage of it is there.

    It may if it equals the fill value everywhere, if others share its chunk or block, and if none of those behind it in
    the chunk was written. Where each image has chunks of its own, `what_is_missing` knows.
    """
    if dataset.chunks and math.prod(dataset.chunks[: -image.ndim or None]) == 1:
        return False
    if not (image == dataset.fillvalue).all():
        return False
    if not dataset.chunks or len(dataset.shape) < 3:
        return True
    row = region[0].start
    end = min((row // dataset.chunks[0] + 1) * dataset.chunks[0], dataset.shape[0])
    return not any(
        (dataset[(slice(later, later + 1), *region[1:])] != dataset.fillvalue).any() for later in range(row + 1, end)
    )


def is_being_written(path: str) -> bool:
    """Tell whether somebody writes to a file: by the flags in it, or by a lock that a writer on this machine holds."""
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError:
        return False
    if len(head) == 12 and head[8] == 3 and head[11] & _WRITER and not is_abandoned(path):
        return True
    return is_locked(path)


def _missing_of_virtual(dataset: h5py.Dataset, region: Region, opens: Opens, stack: ExitStack) -> str:
    master, covered = dataset.file.filename, False
    for source in dataset.virtual_sources():
        place = _in_source(source, region)
        if place is None:
            continue
        covered = True
        block, positions = place
        name, inner = (numbered(text, block) for text in (source.file_name, source.dset_name))
        if missing := _missing_of_source(dataset, name, inner, source.src_space, positions, opens, stack):
            return missing
    return "" if covered else f"{master}:{dataset.name} has no source of it"


def _missing_of_source(
    dataset: h5py.Dataset,
    name: str,
    inner: str,
    space: Any,
    positions: list[int | None],
    opens: Opens,
    stack: ExitStack,
) -> str:
    master = dataset.file.filename
    if name == ".":
        file: Any = dataset.file
    else:
        path = next((path for path in source_paths(master, name) if os.path.exists(path)), None)
        if path is None:
            return f"{master} takes it from {name}, which is not there"
        refuse_pipe(path)
        try:
            file = stack.enter_context(opens(path))
        except OSError as error:
            check_held(path)
            return f"{master} takes it from {path}, which cannot be opened: {without_hint(error)}"
    try:
        found: Any = get_node(file, inner)
    except FrameError:
        raise
    except (OSError, KeyError, RuntimeError):
        found = None
    if found is None or not hasattr(found, "shape"):
        check_held(file.filename)
        return f"{file.filename} has no data set {inner}, from which {master} takes it"
    found.refresh()
    region = _region_in(found, space, positions)
    if any(part.stop > size or part.start >= part.stop for part, size in zip(region, found.shape, strict=True)):
        return f"{file.filename}:{inner} has the shape {found.shape} so far, from which {master} takes it"
    return what_is_missing(found, region, opens, stack)


_Slab = list[tuple[int, int, int, int]]  # start, stride, count and block of each dimension


def _slab(space: Any) -> _Slab:
    import h5py

    h5s: Any = h5py.h5s
    if space.get_select_type() == h5s.SEL_ALL:
        return [(0, 1, size, 1) for size in space.shape]  # none where the extent is left open
    if space.is_regular_hyperslab():
        start, stride, count, block = space.get_regular_hyperslab()
        return [
            (int(first), int(step), _limited(times), _limited(size))
            for first, step, times, size in zip(start, stride, count, block, strict=True)
        ]
    low, high = space.get_select_bounds()
    return [(int(first), 1, int(last - first + 1), 1) for first, last in zip(low, high, strict=True)]


def _limited(number: int) -> int:
    return UNLIMITED if number < 0 or number >= UNLIMITED else int(number)


def _in_source(source: Any, region: Region) -> tuple[int, list[int | None]] | None:
    """Return where a region of a virtual data set lies in one of its sources; None if it lies in others.

    The number of the block comes first, for sources whose names count; then, for each dimension, the position among
    what is taken of the source (None: all of that).
    """
    counts = is_numbered(source.file_name) or is_numbered(source.dset_name)
    number, positions = 0, []
    for part, (start, stride, count, block) in zip(region, _slab(source.vspace), strict=True):
        last = start + (count - 1) * stride + block
        if part.stop - part.start > 1 or last - start == 1:  # rows or columns
            if not (part.start < last and part.stop > start):
                return None
            positions.append(None)
            continue
        turn, inside = divmod(part.start - start, stride) if count > 1 else (0, part.start - start)
        if not (0 <= turn < count and 0 <= inside < block):
            return None
        number = max(number, turn) if counts else 0
        positions.append(inside if counts else turn * block + inside)
    return number, positions


def _region_in(found: h5py.Dataset, space: Any, positions: list[int | None]) -> Region:
    """Return what must be there of a source, given the positions among what is taken of it."""
    taken = _slab(space) or [(0, 1, size, 1) for size in found.shape]
    if not len(taken) == len(found.shape) == len(positions):
        return tuple(slice(0, size) for size in found.shape)
    region = []
    for position, size, (first, step, times, block) in zip(positions, found.shape, taken, strict=True):
        if position is None:
            last = first + (times - 1) * step + block
            region.append(slice(first, size if last >= UNLIMITED else last))
        else:
            at = first + position // block * step + position % block
            region.append(slice(at, at + 1))
    return tuple(region)


def _missing_of_external(dataset: h5py.Dataset, region: Region) -> str:
    """Return what is missing of the raw files of a data set; HDF5 looks for them in the current directory."""
    strides = [math.prod(dataset.shape[axis + 1 :]) for axis in range(len(dataset.shape))]
    corners = [[part.start for part in region], [part.stop - 1 for part in region]]
    first, end_of = (sum(map(int.__mul__, map(int, corner), strides)) for corner in corners)
    first, last = first * dataset.dtype.itemsize, (end_of + 1) * dataset.dtype.itemsize
    begin = 0
    for name, offset, size in dataset.external or ():
        end = begin + min(size, UNLIMITED)
        if begin < last and end > first:
            path = raw_path(dataset.file.filename, name)
            if not os.path.exists(path):
                place = os.path.dirname(os.path.abspath(path))
                return f"its raw file {name} is not there, where HDF5 looks for it ({place})"
            refuse_pipe(path)
            if os.path.getsize(path) < offset + min(last, end) - begin:
                return f"its raw file {path} ends before it"
        begin = end
    return ""
