"""The progress of a replay, on disk: a second call continues from there, whatever ended the first call."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from ..documents import FrameId, Tagging
from ..errors import XTagError

__all__ = ["Journal"]


class Journal:
    """Taggings by their frame, in a file of JSON lines. The first line tells what the taggings belong to.

    A line that is incomplete after a kill or on a full disk is dropped when the journal is opened again. Only one
    process can have a journal open.

    Parameters
    ----------
    path : Path
        The file. It is made if it does not exist, with its directory.
    about : mapping
        What the taggings belong to: run, model and settings, as plain JSON. A journal of something else starts again
        from nothing.

    Attributes
    ----------
    taggings : dict of FrameId to Tagging
        The frames that are done.
    about : dict
        As given. In a journal that continues, as it was given first, also with keys that are not compared.

    Raises
    ------
    XTagError
        Another process has it open, or it cannot be written.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], **first: Any) -> None:
        self.path = path
        self.taggings: dict[FrameId, Tagging] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = open(path, "a+b")  # noqa: SIM115 - open as long as the journal is
        except OSError as error:
            raise self._write_error(error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise XTagError(f"another process works on {path}: wait until it ends, or stop it") from error
        self.about: dict[str, Any] = {**about, **first}
        try:
            self._resume(json.loads(json.dumps(about)))
        except BaseException:
            self.close()
            raise

    def add(self, taggings: Iterable[Tagging]) -> None:
        """Keep taggings. They are on disk when this method returns."""
        taggings = list(taggings)
        self._write(b"".join(_line(asdict(tagging)) for tagging in taggings))
        self.taggings.update((tagging.frame, tagging) for tagging in taggings)

    def close(self) -> None:
        """Close the journal, so that another process can open it."""
        with suppress(OSError):  # what could not be written was told when it was added
            self._file.close()

    def remove(self) -> None:
        """Delete the journal, because its contents are now stored elsewhere."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _resume(self, about: dict[str, Any]) -> None:
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file):
            try:
                entry = json.loads(line)
                if not line.endswith(b"\n"):
                    break
                if number == 0:
                    if any(entry[key] != value for key, value in about.items()):
                        break
                    self.about = entry
                else:
                    tagging = _read_tagging(entry)
                    self.taggings[tagging.frame] = tagging
            except (ValueError, TypeError, KeyError, AttributeError):
                break
            whole += len(line)
        self._file.truncate(whole)
        if whole == 0:
            self.taggings.clear()
            self._write(_line(self.about))

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._write_error(error) from error

    def _write_error(self, error: OSError) -> XTagError:
        return XTagError(
            f"the journal {self.path} cannot be written ({error.strerror}): make room there, or name another "
            "directory with --work; then call again"
        )


def _line(entry: Any) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _read_tagging(fields: dict[str, Any]) -> Tagging:
    numbers = {name: tuple(fields.pop(name, ())) for name in ("scores", "tags", "strengths")}
    return Tagging(FrameId(**fields.pop("frame")), **numbers, **fields)
