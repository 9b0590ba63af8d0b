"""Run summaries that no catalogue has taken yet, kept on this machine: one JSON-lines file a run.

A file holds one line, so that it can be read with the same tools as the backups of documents that bluesky's own
writers leave: ``{"name": "summary", "run": uid, "doc": {...}}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import XTagValueError
from ..model import write_atomically

__all__ = ["default_directory", "keep", "kept"]


def default_directory() -> Path:
    """Return where summaries are kept if nobody said where: beside the user's other data."""
    from platformdirs import user_data_path

    return user_data_path("bluesky_xtag") / "backup"


def keep(directory: Path, uid: str, summary: Mapping[str, Any]) -> Path:
    """Keep the summary of a run; the file is complete or not there at all.

    Parameters
    ----------
    directory : Path
        Made if it is not there.
    uid : str
        The run's.
    summary : mapping
        See `bluesky_xtag.documents.summary`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{uid}.jsonl"
    with write_atomically(path) as new:
        new.write_text(json.dumps({"name": "summary", "run": uid, "doc": dict(summary)}) + "\n")
    return path


def kept(directory: Path) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield file, uid and summary of each run kept in a directory, and leave files of others alone."""
    if not directory.is_dir():
        raise XTagValueError(f"there is no directory {directory}: name the one in which summaries were kept")
    for path in sorted(directory.glob("*.jsonl")):
        try:
            first = json.loads(path.read_text().partition("\n")[0] or "null")
        except ValueError:
            continue
        if isinstance(first, dict) and first.get("name") == "summary":
            yield path, first["run"], first["doc"]
