"""Refuses what is not a file: to open a pipe waits for a writer, perhaps for ever, and a device has no end."""

from __future__ import annotations

import os
import stat

from ...errors import FrameError

__all__ = ["NotAFile", "refuse_pipe"]


class NotAFile(FrameError):
    """A name of a file leads to a pipe, a socket or a device."""


def refuse_pipe(path: str | os.PathLike[str]) -> None:
    """Raise NotAFile if a path leads to a pipe, a socket or a device. What is not there is no error."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise NotAFile(f"{path} is a pipe or a device, not a file: name a file")
