"""Store what a catalogue did not take when it came: `xtag recover CATALOG DIRECTORY`.

Two kinds of files are understood, both JSON lines, one file a run: summaries that
`bluesky_xtag.search.live_summary` kept, and the documents of whole runs that bluesky's TiledWriter leaves in its
`backup_directory`. A file is removed when all of it is stored; until then a second call does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog import asking, can_replace, client, is_whole, write
from .kept import kept
from .summarise import write_if_complete

__all__ = ["Recovery", "recover"]


@dataclass(frozen=True)
class Recovery:
    """What `recover` did.

    Parameters
    ----------
    runs : tuple of str
        Uids of the runs whose documents were stored.
    summaries : tuple of str
        Uids of the runs whose summaries were stored.
    left : mapping of str to str
        Why files, by their path, were left where they are.
    """

    runs: tuple[str, ...] = ()
    summaries: tuple[str, ...] = ()
    left: dict[str, str] = field(default_factory=dict)


def recover(
    catalog: Any,
    directory: Path,
    *,
    name: str = "given",
    track: Callable[[list[Any]], Iterable[Any]] = iter,
) -> Recovery:
    """Store the runs and the summaries that were kept in a directory.

    Parameters
    ----------
    catalog : catalogue or Broker
        A Tiled catalogue or databroker's, which you may write to.
    directory : Path
        Where they were kept.
    name : str
        The catalogue's name, for messages.
    track : callable
        Given the list of the files of runs, yields them one by one; for a progress bar.

    Raises
    ------
    CatalogError
        If the catalogue cannot be written. What was stored before stays; the same call goes on from there.
    """
    summaries = list(kept(directory))
    of_summaries = {path for path, _, _ in summaries}
    files = [path for path in sorted(directory.glob("*.jsonl")) if path not in of_summaries]
    runs, summarised, left = [], [], {}
    for path in track(files):
        documents = _documents(path)
        if documents is None:
            left[str(path)] = "it does not hold the documents of one whole run"
            continue
        uid, store = documents[0][1]["uid"], client(catalog)
        with asking(name, "written to"):
            if uid in store and not can_replace(store) and not is_whole(store, uid):
                left[str(path)] = "the catalogue holds a part of its run, and cannot put the whole in its place"
                continue
            write(store, documents)
        path.unlink()
        runs.append(uid)
    for path, uid, found in summaries:
        with asking(name, "written to"):
            done = write_if_complete(catalog, uid, found)
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
