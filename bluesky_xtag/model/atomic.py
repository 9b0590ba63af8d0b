"""Files that are written completely or not at all.

Every package that writes files needs this. It is in `model`, because that is the lowest layer that writes files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

__all__ = ["write_atomically"]


@contextmanager
def write_atomically(path: Path, directory: Path | None = None) -> Iterator[Path]:
    """Yield a name to write to. It becomes `path` when the block ends and everything is on disk.

    If anything fails, `path` does not change and the unfinished file is removed. Only a kill leaves the unfinished file
    behind.

    Parameters
    ----------
    path : Path
        The file. A file that exists is replaced.
    directory : Path, optional
        Where the unfinished file lies, on the same file system. If None, next to `path`.

    Yields
    ------
    Path
        A new name for each call, so that several threads or processes may write one file. It begins with a dot and
        ends in ".unfinished"; writers that add a suffix to such a name must be given an open file.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    unfinished = (directory or path.parent) / f".{path.name}.{uuid4().hex[:8]}.unfinished"
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Put the names in a directory on disk, where the file system can; else a power cut may bring the old file back."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
