"""Remembers where the next images lie in a file that nobody writes: to open it takes longer than to bin a small one."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

from ..roots import RootMap
from .hdf5_chunks import ChunkedImage
from .hdf5_written import is_being_written

__all__ = ["Address", "KnownImages"]

_KEPT = 512
# Seconds for which a file must have been left alone: where a file system keeps times coarsely, a file that was written
# twice in one tick of its clock would look as if it had been left alone.
_QUIET = 2.0

Address = tuple[str, str, int, tuple[int, int] | None, RootMap | None]
"""File, data set, number of the image, its declared size, and where directories are now."""
_Stamp = tuple[str, int, int, int, int]


class KnownImages:
    """Images that were found along with others, as long as none of their files changes."""

    def __init__(self) -> None:
        self._images: OrderedDict[Address, tuple[tuple[_Stamp, ...], ChunkedImage]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, address: Address) -> ChunkedImage | None:
        """Return an image; None if it is not known or a file of it changed."""
        with self._lock:
            stamps, image = self._images.get(address, ((), None))
            if image is not None:
                self._images.move_to_end(address)
        return image if image is not None and all(_stamp(stamp[0]) == stamp for stamp in stamps) else None

    def add(self, files: Iterable[str], images: Iterable[tuple[Address, ChunkedImage]]) -> None:
        """Remember images that lie in, or were found through, some files; nothing if somebody writes one of these."""
        stamps = tuple(_stamp(file) for file in dict.fromkeys(files))
        if None in stamps or any(_is_in_use(stamp) for stamp in stamps if stamp):
            return
        known = tuple(stamp for stamp in stamps if stamp)
        found = {address: (known, image) for address, image in images}
        with self._lock:
            self._images.update(found)
            while len(self._images) > _KEPT:
                self._images.popitem(last=False)


def _stamp(file: str) -> _Stamp | None:
    try:
        state = os.stat(file)
    except OSError:
        return None
    return file, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _is_in_use(stamp: _Stamp) -> bool:
    return time.time() - stamp[-1] / 1e9 < _QUIET or is_being_written(stamp[0])
