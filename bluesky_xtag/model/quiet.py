"""Keeps notes that TensorFlow and LiteRT write about their own build off the terminal.

They come from C++ before any setting of TensorFlow is read, so neither `logging` nor an environment variable
stops them.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_build_notes"]

_NOTE = re.compile(
    rb"I\d{4} [\d:.]+ +\d+ \w+\.cc:\d+\]"
    rb"|W\d{4} [\d:.]+ +\d+ tf_tfl_flatbuffer_helpers\.cc:\d+\] Ignored"
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|INFO: Created TensorFlow Lite \w+ delegate"
)


_sifting = threading.Lock()


@contextmanager
def without_build_notes() -> Iterator[None]:
    """Pass on what is written to the process's stderr, line by line, without the notes; one thread at a time."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not _sifting.acquire(blocking=False):
        yield
        return
    sys.stderr.flush()
    terminal, (readable, writable) = os.dup(2), os.pipe()
    os.dup2(writable, 2)
    os.close(writable)
    thread = threading.Thread(target=_forward, args=(readable, terminal), daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)  # closes this process's last writable end, which ends the thread
        _sifting.release()
        thread.join(timeout=1)  # longer if a child still writes there


def _forward(readable: int, terminal: int) -> None:
    with os.fdopen(readable, "rb") as lines:
        for line in lines:
            if not _NOTE.match(line):
                os.write(terminal, line)
    os.close(terminal)
