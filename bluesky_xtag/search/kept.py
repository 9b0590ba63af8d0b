"""Keeps what a catalogue did not accept on this machine, and stores it later: `xtag recover CATALOG DIRECTORY`.

There are two kinds of files, both with JSON lines and with one run in each file. Summaries that
`bluesky_xtag.search.live_summary` kept have one line, so that they can be read with the same tools as the second kind:
``{"name": "summary", "run": uid, "doc": {...}}``. The documents of whole runs are left by bluesky's TiledWriter in its
`backup_directory`. A file is removed when all of it is stored. A second call does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog import StoredCatalog, as_catalog, catalog_errors
from ..errors import XTagValueError
from ..model import write_atomically
from .summarise import write_if_complete

__all__ = ["Recovery", "default_directory", "keep", "read_summaries", "recover"]


def default_directory() -> Path:
    """Return the default directory of summaries, next to the user's other data."""
    from platformdirs import user_data_path

    return user_data_path("bluesky_xtag") / "backup"


def keep(directory: Path, uid: str, summary: Mapping[str, Any]) -> Path:
    """Keep the summary of a run in a file, completely or not at all.

    Parameters
    ----------
    directory : Path
        The directory is made if it does not exist.
    uid : str
        Uid of the run.
    summary : mapping
        See `bluesky_xtag.documents.summary`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{uid}.jsonl"
    with write_atomically(path) as new:
        new.write_text(json.dumps({"name": "summary", "run": uid, "doc": dict(summary)}) + "\n")
    return path


def read_summaries(directory: Path) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield file, uid and summary of each run kept in a directory. Other files are ignored."""
    if not directory.is_dir():
        raise XTagValueError(f"there is no directory {directory}: name the one in which summaries were kept")
    for path in sorted(directory.glob("*.jsonl")):
        try:
            first = json.loads(path.read_text().partition("\n")[0] or "null")
        except ValueError:
            continue
        if isinstance(first, dict) and first.get("name") == "summary":
            yield path, first["run"], first["doc"]


@dataclass(frozen=True)
class Recovery:
    """The result of `recover`.

    Parameters
    ----------
    runs : tuple of str
        Uids of the runs whose documents were stored.
    summaries : tuple of str
        Uids of the runs whose summaries were stored.
    left : mapping of str to str
        For each file that was left in place, by its path, the reason.
    """

    runs: tuple[str, ...] = ()
    summaries: tuple[str, ...] = ()
    left: dict[str, str] = field(default_factory=dict)


def recover(
    catalog: StoredCatalog,
    directory: Path,
    *,
    name: str = "given",
    track: Callable[[list[Path]], Iterable[Path]] = iter,
) -> Recovery:
    """Store the runs and the summaries that were kept in a directory.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, Container or Broker
        A catalogue of Tiled or databroker that you may write to.
    directory : Path
        The directory in which they were kept.
    name : str
        The catalogue's name, for messages.
    track : callable
        Takes the list of files and yields the files one by one, for a progress bar.

    Raises
    ------
    CatalogError
        The catalogue cannot be written. What was stored before stays. The same call continues from there.
    """
    place = as_catalog(catalog)
    summaries = list(read_summaries(directory))
    of_summaries = {path for path, _, _ in summaries}
    files = [path for path in sorted(directory.glob("*.jsonl")) if path not in of_summaries]
    runs, summarised, left = [], [], {}
    for path in track(files):
        documents = _documents(path)
        if documents is None:
            left[str(path)] = "it does not hold the documents of one whole run"
            continue
        uid = documents[0][1]["uid"]
        with catalog_errors(name, "written to"):
            if not place.can_replace and place.holds(uid) and not place.holds_whole(uid):
                left[str(path)] = "the catalogue holds a part of its run, and cannot replace it"
                continue
            place.write(documents)
        path.unlink()
        runs.append(uid)
    for path, uid, found in summaries:
        with catalog_errors(name, "written to"):
            done = write_if_complete(place, uid, found)
        if done:
            path.unlink()
            summarised.append(uid)
        else:
            left[str(path)] = "the catalogue does not hold its run with a stop document"
    return Recovery(tuple(runs), tuple(summarised), left)


def _documents(path: Path) -> list[tuple[str, dict[str, Any]]] | None:
    """Return the documents of a file, from start to stop, or None if it is something else."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        documents = [(line["name"], line["doc"]) for line in lines]
    except (ValueError, KeyError, TypeError):
        return None
    whole = documents and documents[0][0] == "start" and documents[-1][0] == "stop"
    return documents if whole and documents[-1][1].get("run_start") == documents[0][1].get("uid") else None
