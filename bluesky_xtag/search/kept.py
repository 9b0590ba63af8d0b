"""Keeps what a catalogue did not accept on this machine, and stores it later: `xtag recover CATALOG DIRECTORY`.

There are two kinds of files, both with JSON lines and with one run in each file. Summaries that
`bluesky_xtag.search.live_summary` kept have one line, so that they can be read with the same tools as the second kind:
``{"name": "summary", "run": uid, "doc": {...}}``, with ``"exact": false`` if a row was counted twice. The documents of
whole runs are left by bluesky's TiledWriter in its `backup_directory`. A file is removed when all of it is stored. A
file that cannot be stored stays, and the others are stored. A second call does no harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ..catalog import Catalog, StoredCatalog, as_catalog, catalog_errors
from ..errors import XTagError, XTagValueError
from ..model import write_atomically
from .summarise import write_if_complete

__all__ = [
    "KeptSummary",
    "Recovery",
    "default_directory",
    "forget",
    "keep",
    "read_summaries",
    "read_summary",
    "recover",
]


def default_directory() -> Path:
    """Return the default directory of summaries, next to the user's other data."""
    from platformdirs import user_data_path

    return user_data_path("bluesky_xtag") / "backup"


def keep(directory: Path, uid: str, summary: Mapping[str, Any], *, exact: bool = True) -> Path:
    """Keep the summary of a run in a file, completely or not at all.

    Parameters
    ----------
    directory : Path
        The directory is made if it does not exist.
    uid : str
        Uid of the run.
    summary : mapping
        See `bluesky_xtag.documents.summary`.
    exact : bool
        Whether the summary counts each row once. If not, `recover` counts the rows that the catalogue holds.

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
    path = _path(directory, uid)
    entry = {"name": "summary", "run": uid, "doc": dict(summary)} | ({} if exact else {"exact": False})
    with write_atomically(path) as new:
        new.write_text(json.dumps(entry) + "\n")
    return path


def _path(directory: Path, uid: str) -> Path:
    """Return the file of a run. Runs may have any text as uid; a file name may not."""
    name = uid if re.fullmatch(r"[A-Za-z0-9_][\w.-]{0,127}", uid, re.ASCII) else str(uuid5(NAMESPACE_URL, uid))
    return directory / f"{name}.jsonl"


def forget(directory: Path, uid: str) -> None:
    """Remove the summary of a run, if it is kept."""
    _path(directory, uid).unlink(missing_ok=True)


@dataclass(frozen=True)
class KeptSummary:
    """A summary in a file.

    Parameters
    ----------
    path : Path
        The file.
    run : str
        Uid of the run.
    doc : mapping
        The summary.
    exact : bool
        See `keep`.
    """

    path: Path
    run: str
    doc: Mapping[str, Any]
    exact: bool = True


def read_summary(directory: Path, uid: str) -> KeptSummary | None:
    """Return the summary of a run that is kept in a directory; None if there is none that can be read."""
    try:
        return _read_summary(_path(directory, uid))
    except (OSError, ValueError):
        return None


def read_summaries(directory: Path) -> Iterator[KeptSummary]:
    """Yield the summaries that are kept in a directory. Files that hold something else, or are damaged, are ignored."""
    for path in _files(directory):
        try:
            found = _read_summary(path)
        except (OSError, ValueError):
            continue
        if found is not None:
            yield found


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise XTagValueError(f"there is no directory {directory}: name the one in which summaries were kept")
    return sorted(directory.glob("*.jsonl"))


def _read_summary(path: Path) -> KeptSummary | None:
    """Return the summary in a file; None if the file holds something else, ValueError if it is damaged or no file."""
    if path.exists() and not path.is_file():  # a pipe or a device gives no end
        raise XTagValueError("it is not a file")
    with path.open(encoding="utf-8") as file:
        first = _loads(file.readline())
    if not isinstance(first, dict) or first.get("name") != "summary":
        return None
    run, doc = first.get("run"), first.get("doc")
    if not (isinstance(run, str) and run and isinstance(doc, dict) and isinstance(doc.get("model_sha256"), str)):
        raise ValueError("it does not hold the summary of a run")
    return KeptSummary(path, run, doc, first.get("exact", True) is not False)


def _loads(line: str) -> Any:
    try:
        return json.loads(line or "null")
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


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
        For each file that was left in place, by its path, the reason. One such file does not keep others from being
        stored.
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
        The catalogue does not answer. What was stored before stays. The same call continues from there.
    """
    place = as_catalog(catalog)
    runs, summarised, left = [], [], {}
    for path in track(_runs_first(_files(directory))):
        try:
            summary = _read_summary(path)
            if summary is None:
                runs.append(_recover_run(place, path))
            else:
                _recover_summary(place, summary)
                summarised.append(summary.run)
            path.unlink()
        except Exception as error:  # noqa: BLE001 - clients of catalogues raise anything, and files hold anything
            with catalog_errors(name, "written to"):
                place.count()  # if the catalogue does not even answer this, no other file can be stored either
            left[str(path)] = _reason(error, name)
    return Recovery(tuple(runs), tuple(summarised), left)


def _reason(error: Exception, name: str) -> str:
    """Return why a file was left, with the remedy where there is one."""
    if isinstance(error, OSError) and not isinstance(error, XTagError):
        return str(error)  # of the file itself
    try:
        with catalog_errors(name, "written to"):
            raise error
    except XTagError as told:
        return str(told)
    except Exception:  # noqa: BLE001 - raised above
        return f"{type(error).__name__}: {error}"


def _runs_first(paths: list[Path]) -> list[Path]:
    """Return the files of summaries last: they may be of the runs in the other files."""

    def is_summary(path: Path) -> bool:
        try:
            return _read_summary(path) is not None
        except (OSError, ValueError):
            return True

    return sorted(paths, key=is_summary)


def _recover_run(place: Catalog, path: Path) -> str:
    """Store the run whose documents a file holds; return its uid."""
    documents = _documents(path)
    uid = documents[0][1]["uid"]
    if not place.can_replace and place.holds(uid) and not place.holds_whole(uid):
        raise XTagValueError("the catalogue holds a part of its run, and cannot replace it")
    place.write(documents)
    return uid


def _recover_summary(place: Catalog, kept: KeptSummary) -> None:
    if not write_if_complete(place, kept.run, kept.doc if kept.exact else None):
        raise XTagValueError("the catalogue does not hold its run with a stop document")


def _documents(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the documents of a file, from start to stop; XTagValueError if it is something else."""
    try:
        lines = [_loads(line) for line in path.read_text("utf-8").splitlines()]
        documents = [(line["name"], line["doc"]) for line in lines]
        (first, start), (last, stop) = documents[0], documents[-1]
        whole = (first, last) == ("start", "stop") and stop["run_start"] == start["uid"]
        if whole and isinstance(start["uid"], str) and all(isinstance(doc, dict) for _, doc in documents):
            return documents
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    raise XTagValueError("it does not hold the documents of one whole run")
