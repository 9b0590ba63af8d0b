"""The chain of directories in a TIFF, one for each image, as far as it is written.

It is followed here because tifffile ends a chain that leads out of the file without an error: a stack that was cut off
then looks like a shorter one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ...errors import FrameNotReady

__all__ = ["Directory", "TiffDirectories"]

_SUBFILE_TYPE, _PREVIEW, _TRANSPARENCY = 254, 1, 4
# Tags that tell where the pixels are and how they are stored: bits, places and sizes of strips and tiles, format.
_ESSENTIAL = frozenset({258, 273, 279, 324, 325, 339})
_BYTES_OF_TYPE = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@dataclass(frozen=True)
class _Layout:
    """How TIFF or BigTIFF writes numbers of entries, entries (tag, type, count, value) and offsets, for `struct`."""

    number: str
    entry: str
    offset: str
    place_of_first: int


_LAYOUTS = {42: _Layout("H", "HHI4s", "I", 4), 43: _Layout("Q", "HHQ8s", "Q", 8)}


@dataclass(frozen=True)
class Directory:
    """Where an image is described, and whether all of that description is in the file already."""

    place: int
    is_whole: bool


class TiffDirectories:
    """The directories of the images of an open file; those of previews and transparency masks are left out.

    Parameters
    ----------
    file : binary file
        Open for reading.
    path : str
        Its name, for errors.

    Attributes
    ----------
    is_tiff : bool
        Whether it is a TIFF at all.
    size : int
        Bytes of the file.

    Raises
    ------
    FrameNotReady
        The file has no content yet.
    """

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        head = file.read(4)
        if len(head) < 4 or not head.strip(b"\0"):
            raise FrameNotReady(f"{path} does not begin yet")
        self._order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        (version,) = (self._order and self._take(2, "H")) or (0,)
        self._layout = _LAYOUTS.get(version)
        self.is_tiff = self._layout is not None

    def __iter__(self) -> Iterator[Directory]:
        """Yield the directories in their order; the last may be one that is announced, but not written yet."""
        if self._layout is None:
            return
        (place,) = self._take(self._layout.place_of_first, self._layout.offset) or (0,)
        passed = set[int]()
        while place and place not in passed:
            passed.add(place)
            entries, following = self._entries(self._layout, place)
            if not any(self._is_companion(*entry) for entry in entries):
                whole = bool(entries) and all(self._is_whole(self._layout, *entry) for entry in entries)
                yield Directory(place, whole)
            place = following

    def _entries(self, layout: _Layout, place: int) -> tuple[list[tuple[int, int, int, bytes]], int]:
        """Return the entries of a directory and the place of the next one; none of both if it is not all there."""
        (number,) = self._take(place, layout.number) or (0,)
        begin = place + struct.calcsize(f"<{layout.number}")
        if begin + number * struct.calcsize(f"<{layout.entry}") > self.size:
            return [], 0
        *flat, following = self._take(begin, layout.entry * number + layout.offset) or (0,)
        fields = iter(flat)
        return list(zip(fields, fields, fields, fields, strict=True)), following

    def _is_companion(self, tag: int, kind: int, count: int, value: bytes) -> bool:
        if tag != _SUBFILE_TYPE:
            return False
        (subfile,) = struct.unpack_from(self._order + ("H" if _BYTES_OF_TYPE.get(kind) == 2 else "I"), value)
        return bool(subfile & (_PREVIEW | _TRANSPARENCY))

    def _is_whole(self, layout: _Layout, tag: int, kind: int, count: int, value: bytes) -> bool:
        """Tell whether what an entry says of the pixels is in the file: long values are kept somewhere else."""
        size = _BYTES_OF_TYPE.get(kind, 1) * count
        if tag not in _ESSENTIAL or size <= len(value):
            return True
        return struct.unpack(self._order + layout.offset, value)[0] + size <= self.size

    def _take(self, place: int, form: str) -> tuple[Any, ...] | None:
        """Return the numbers at a place, None if the file ends before."""
        size = struct.calcsize(self._order + form)
        if place + size > self.size:
            return None
        self._file.seek(place)
        return struct.unpack(self._order + form, self._file.read(size))
