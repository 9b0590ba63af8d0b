"""Files that are written whole or not at all.

Every room that writes files needs this, and the model's is the lowest that writes any: only the errors lie below it.
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
    """Give a name to write to, which becomes `path` when the block ends and all that was written is on disk.

    Whatever fails, `path` is as it was before and the unfinished file is removed; only a kill leaves that one behind.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced.
    directory : Path, optional
        Where the unfinished file lies, on the same file system; next to `path` if None.

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
    finally:
        unfinished.unlink(missing_ok=True)
