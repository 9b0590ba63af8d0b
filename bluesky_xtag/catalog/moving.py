"""An embedded catalogue whose directory was moved or copied: Tiled keeps the addresses of its files as they were."""

from __future__ import annotations

import logging
import os
import sqlite3  # before TensorFlow, see bluesky_xtag.catalog.opening
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ..errors import XTagValueError

__all__ = ["bring_home"]

logger = logging.getLogger("bluesky_xtag")

DATABASE, TABLES, ARRAYS = "catalog.db", "tables.db", "data"


def bring_home(directory: Path, frames: str) -> None:
    """Let the addresses of a catalogue's files name its directory, if it was moved or copied since they were written.

    Without this, a catalogue that was moved finds no row, and one that was copied reads and writes the rows of the
    first.

    Parameters
    ----------
    directory : Path
        The directory now, absolute, with a database in it.
    frames : str
        The subdirectory where detectors write.

    Raises
    ------
    XTagValueError
        The directory was moved, and its database cannot be written.
    """
    database = directory / DATABASE
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            assets = dict(connection.execute("SELECT data_uri, id FROM assets"))
    except sqlite3.Error:
        return  # Tiled says what is wrong with it
    earlier = [home for home in _homes(assets) if home != str(directory) and not _is_same(home, directory)]
    if not earlier:
        return
    changes = dict(_changes(assets, earlier, directory, frames))
    lost = sorted(name for home in earlier for name in (TABLES, ARRAYS) if not (directory / name).exists())
    if lost:
        logger.warning("the catalogue %s was moved here without %s: copy these, too", directory, " and ".join(lost))
    if not changes:
        return
    try:
        with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
            for old, new in changes.items():
                _rename(connection, old, new)
    except sqlite3.Error as error:
        raise XTagValueError(
            f"the catalogue {directory} was moved here from {earlier[0]}, and the addresses of its files cannot be "
            f"corrected ({error}): open it once as a person who may write there, while nobody else has it open"
        ) from error
    logger.warning(
        "the catalogue %s was moved or copied here from %s: the addresses of %d files were corrected",
        *(directory, earlier[0], len(changes)),
    )


def _homes(assets: Iterable[str]) -> list[str]:
    """Return the directories in which the catalogue was, as the addresses of tables and arrays tell."""
    found = {}
    for uri in assets:
        scheme, path = _path(uri)
        if scheme == "sqlite" and path.endswith(f"/{TABLES}"):
            found[path.removesuffix(f"/{TABLES}")] = None
        elif scheme == "file" and f"/{ARRAYS}/" in path:
            # Arrays are in data/<uid of the run>/<stream>/<key>, so the home is before the last of these.
            home = path.rpartition(f"/{ARRAYS}/")[0]
            if path.count("/", len(home) + len(ARRAYS) + 2) >= 2:
                found[home] = None
    return list(found)


def _path(uri: str) -> tuple[str, str]:
    """Return scheme and path of an address as Tiled writes them, without any quoting."""
    scheme, _, rest = uri.partition("://")
    path = "/" + rest.partition("/")[2]
    return scheme, path.replace("//", "/", 1) if scheme == "sqlite" else path


def _is_same(home: str, directory: Path) -> bool:
    """Return whether an earlier directory is this one by another name, such as another mount."""
    try:
        return os.path.samefile(Path(home) / DATABASE, directory / DATABASE)
    except OSError:
        return False


def _changes(assets: Iterable[str], earlier: list[str], directory: Path, frames: str) -> Iterator[tuple[str, str]]:
    """Yield old and new addresses of the files that are here now."""
    for uri in assets:
        for home in earlier:
            for text in dict.fromkeys((home, quote(home))):  # detectors quote, Tiled does not
                for name in (TABLES, ARRAYS, frames):
                    old = f"{text}/{name}"
                    begin = uri.find(old)
                    if begin < 0 or uri[begin + len(old) :][:1] not in ("", "/"):
                        continue
                    now = f"{quote(str(directory)) if text != home else directory}/{name}"
                    new = uri[:begin] + now + uri[begin + len(old) :]
                    if new != uri and _exists(new):
                        yield uri, new


def _exists(uri: str) -> bool:
    _, path = _path(uri)
    return any(Path(each).exists() for each in (path, unquote(urlsplit(uri).path)))


def _rename(connection: sqlite3.Connection, old: str, new: str) -> None:
    """Give an asset another address; if there is an asset with that address already, let that one take its place."""
    (asset,) = connection.execute("SELECT id FROM assets WHERE data_uri = ?", [old]).fetchone()
    there = connection.execute("SELECT id FROM assets WHERE data_uri = ?", [new]).fetchone()
    if there is None:
        connection.execute("UPDATE assets SET data_uri = ? WHERE id = ?", [new, asset])
        return
    connection.execute("UPDATE data_source_asset_association SET asset_id = ? WHERE asset_id = ?", [there[0], asset])
    connection.execute("DELETE FROM assets WHERE id = ?", [asset])
