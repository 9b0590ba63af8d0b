"""Tells that an HDF5 file cannot be read because its writer has it open without SWMR (areaDetector's default).

HDF5 says it in many ways: "already open for write", "truncated file", "bad object header version number". Two facts in
the file are clear: the flags of its superblock, which the writer sets while it has the file open; and a root group that
the superblock names but that is not on disk, because such a writer keeps all that leads to the images in memory until
it closes the file.
"""

from __future__ import annotations

import os
import re
import time
from typing import BinaryIO

from ...errors import FileHeld

__all__ = ["check_held", "is_abandoned", "is_held", "is_locked", "without_hint"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ABANDONED = 600.0  # seconds; a writer that was killed leaves its flags for ever
_OPEN, _SWMR = 0b001, 0b100  # flags of a superblock
# HDF5 advises to clear the flags, which ruins a file that is being written.
_HINT = re.compile(r"\s*\([^()]*<?h5clear\b[^()]*\)|[^.;:()]*\bh5clear\b[^.;()]*")


def check_held(path: str | os.PathLike[str]) -> None:
    """Raise FileHeld if a file is held by its writer; call it when the file could not be read."""
    if is_held(path):
        raise FileHeld(
            f"{path} is held open by its writer without SWMR, so it can be read only after it is closed: switch on "
            "SWMR in the detector's HDF5 plugin (ophyd: stage `swmr_mode` before `capture`)",
            os.fspath(path),
        ) from None  # what HDF5 said may advise to clear the flags


def is_held(path: str | os.PathLike[str]) -> bool:
    """Tell whether a writer has a file open without SWMR, and left nothing in it that a reader could follow.

    A file that its writer flushes can be read in part in formats before HDF5 1.10; it does not count as held.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(96)
            if not _is_unreadable(head, file):
                return False
    except OSError:
        return False
    # A writer that was killed leaves the file as it is.
    return is_locked(path) or not is_abandoned(path)


def is_abandoned(path: str | os.PathLike[str]) -> bool:
    """Tell whether nothing was written to a file for so long that its writer may have been killed."""
    try:
        return time.time() - os.stat(path).st_mtime >= _ABANDONED
    except OSError:
        return True


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Tell whether a writer on this machine holds a lock on a file."""
    try:
        state = os.stat(path)
        number = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
        with open("/proc/locks") as locks:
            return any("WRITE" in line and number in line.split() for line in locks)
    except OSError:
        return False


def without_hint(error: object) -> str:
    """Return what HDF5 says, without its advice to clear the flags of the file."""
    return _HINT.sub("", str(error))


def _is_unreadable(head: bytes, file: BinaryIO) -> bool:
    if head[:8] != _SIGNATURE or len(head) < 48:
        return False
    version = head[8]
    if version == 3:
        return head[11] & (_OPEN | _SWMR) == _OPEN
    if version == 2:
        sizes, base, root = head[9], 12, 36
    elif version in (0, 1):
        sizes, base, root = head[13], 24 + 4 * version, 64 + 4 * version
    else:
        return False
    if sizes != 8 or len(head) < root + 8:
        return False
    place = int.from_bytes(head[base : base + 8], "little") + int.from_bytes(head[root : root + 8], "little")
    return not _has_object(file, place)


def _has_object(file: BinaryIO, place: int) -> bool:
    """Tell whether an object's header begins at a place of a file: with its version, or with its signature."""
    file.seek(place)
    begin = file.read(4)
    return begin == b"OHDR" or begin[:1] == b"\x01"
