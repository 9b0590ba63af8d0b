"""Opens HDF5 files that may still be being written, so that neither their writer nor other readers notice.

The file is opened for each read and closed again: about 0.15 ms on a local disk. A file kept open in SWMR mode would
make every other reader in the same process fail that opens it without SWMR, and would keep its writer from opening
it again; and a fresh view cannot be stale.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import FrameError, FrameNotReady
from .hdf5_held import check_held, without_hint
from .pipes import refuse_pipe

if TYPE_CHECKING:
    import h5py

__all__ = ["open_any", "open_file", "with_file"]

# The pauses add up to 2**20 ns.
_METADATA_ATTEMPTS = 20
# Threads that have one file open share what HDF5 knows of it: where one refreshes a dataset, another misses its chunks.
# They lose nothing by waiting, for h5py lets only one of them into HDF5 anyway.
_ONE_AT_A_TIME = threading.Lock()
_OTHER_LOCKING = "locking flag"
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_Found = TypeVar("_Found")


def with_file(path: str | os.PathLike[str], take: Callable[[h5py.File], _Found]) -> _Found:
    """Return what a function takes of a file; errors are those of `open_file`."""
    try:
        with open_file(path) as file:
            return take(file)
    except FrameNotReady as error:
        if _OTHER_LOCKING not in str(error):
            raise
    # A virtual data set, of which this process has a source open: HDF5 wants the same choice of locking for both.
    with open_file(path, locking=None) as file:
        return take(file)


@contextmanager
def open_file(path: str | os.PathLike[str], locking: bool | None = False) -> Iterator[h5py.File]:
    """Open a file for reading; whatever HDF5 complains of inside the block becomes a FrameNotReady."""
    try:
        with _ONE_AT_A_TIME, open_any(path, locking) as file:
            yield file
    except FrameError:
        raise
    except FileNotFoundError:
        raise FrameNotReady(f"{path} does not exist yet") from None
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        if _is_foreign(path):
            raise FrameError(f"{path} is not an HDF5 file") from error
        check_held(path)
        # Without its cause, which may advise to clear the flags of a file that is being written.
        raise FrameNotReady(f"{path} cannot be read (yet): {without_hint(error)}") from None


def open_any(path: str | os.PathLike[str], locking: bool | None = False) -> h5py.File:
    """Open a file plainly, or in SWMR mode if its writer has it open in that mode.

    Plainly first: HDF5 then refuses a truncated file, while in SWMR mode it reads zeros where the file ends.
    """
    refuse_pipe(path)  # HDF5 would hold up all threads
    try:
        return _open_unlocked(_open_plainly, path, locking)
    except FileNotFoundError:
        raise
    except OSError as refusal:
        if "truncated file" in str(refusal):
            raise
        try:
            return _open_unlocked(_open_swmr, path, locking)
        except OSError:
            raise refusal from None


def _open_unlocked(opens: Callable[..., h5py.File], path: str | os.PathLike[str], locking: bool | None) -> h5py.File:
    """Open a file without a lock, so that its writer never finds it locked by us."""
    try:
        return opens(path, locking=locking)
    except OSError as refusal:
        if _OTHER_LOCKING not in str(refusal):
            raise
    # This process has the file open already, and HDF5 wants the same choice of locking from everybody.
    return opens(path, locking=None)


def _open_plainly(path: str | os.PathLike[str], locking: bool | None) -> h5py.File:
    import h5py
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors

    return h5py.File(path, "r", locking=locking)


def _open_swmr(path: str | os.PathLike[str], locking: bool | None) -> h5py.File:
    import h5py

    low: Any = h5py.h5f
    access = low.ACC_RDONLY | low.ACC_SWMR_READ
    return h5py.File(low.open(os.fsencode(path), access, fapl=_swmr_access_list(locking)))


@cache
def _swmr_access_list(locking: bool | None) -> Any:
    """Return how to open a file in SWMR mode: as `h5py.File` does, but giving up on torn metadata within 1 ms.

    HDF5 reads metadata with a wrong checksum up to 100 times in this mode and doubles its pause each time: on a torn
    file that never ends, and it holds up every thread. h5py offers no way to ask for fewer attempts.
    """
    import h5py
    from h5py._objects import phil

    h5f: Any = h5py.h5f
    h5p: Any = h5py.h5p
    access_list = h5p.create(h5p.FILE_ACCESS)
    access_list.set_fclose_degree(h5f.CLOSE_STRONG)
    if locking is not None:
        access_list.set_file_locking(locking, True)
    set_attempts = getattr(ctypes.CDLL(h5p.__file__), "H5Pset_metadata_read_attempts", None)
    if set_attempts is None:
        raise OSError("this build of h5py does not let SWMR files be read without the risk of waiting for ever")
    set_attempts.argtypes = (ctypes.c_int64, ctypes.c_uint)
    with phil:  # h5py's lock around every call of HDF5
        set_attempts(access_list.id, _METADATA_ATTEMPTS)
    return access_list


def _is_foreign(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file has content that can never become HDF5."""
    try:
        with open(path, "rb") as file:
            head = file.read(8192)
    except OSError:
        return False
    # The signature is written late, over zeros; a user block shifts it to a power of two from 512.
    offsets = (0, 512, 1024, 2048, 4096)
    return bool(head[:8].strip(b"\0")) and not any(
        head[at : at + 8] == _SIGNATURE[: len(head) - at] for at in offsets if at < len(head)
    )
