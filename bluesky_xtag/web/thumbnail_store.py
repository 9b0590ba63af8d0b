"""Where thumbnails are kept: one SQLite file next to the catalogue, or in the user's cache.

A thumbnail is made once. The file may be removed at any time; it only costs the time to draw them again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import hide_secrets

__all__ = ["Place", "ThumbnailStore", "thumbnail_file"]

logger = logging.getLogger("bluesky_xtag")

Place = tuple[str, str, int, int]  # uid of the run, data key, sequence number, index

_FILE = "thumbnails.db"
_LARGEST = 2 * 2**30  # bytes; about a million thumbnails
_SPARE = 0.9  # what is left of them when the oldest are removed
_PATIENCE = 5.0  # seconds to wait for another process that writes
_TABLE = """CREATE TABLE IF NOT EXISTS thumbnails (
    number INTEGER PRIMARY KEY, run TEXT, key TEXT, seq_num INTEGER, place INTEGER, picture BLOB,
    UNIQUE (run, key, seq_num, place))"""


def thumbnail_file(catalog: str | Path) -> Path:
    """Return the file for the thumbnails of a catalogue.

    Parameters
    ----------
    catalog : str or Path
        The directory of an embedded catalogue, or the address or name of another.
    """
    directory = Path(catalog).expanduser()
    if (directory / "catalog.db").is_file() and os.access(directory, os.W_OK):
        return directory / _FILE
    from platformdirs import user_cache_path

    name = hashlib.sha256(hide_secrets(str(catalog)).encode()).hexdigest()[:16]
    return user_cache_path("bluesky_xtag") / "thumbnails" / f"{name}.db"


class ThumbnailStore:
    """Keeps thumbnails. All methods may be called from any thread, and several processes may share the file.

    Where the disk takes nothing more, or the file is damaged, thumbnails are drawn anew each time; this is said once.

    Parameters
    ----------
    path : Path
        The file; made with its directory if it does not exist.
    largest : int
        Bytes of pictures from which on the oldest are removed.
    """

    def __init__(self, path: Path, largest: int = _LARGEST) -> None:
        self.path = path
        self._largest = largest
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._works = True
        with self._trouble():
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._connect() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(_TABLE)

    def get(self, place: Place) -> bytes | None:
        """Return a thumbnail, or None if it was not made yet."""
        if not self._works:
            return None
        with self._trouble():
            query = "SELECT picture FROM thumbnails WHERE run=? AND key=? AND seq_num=? AND place=?"
            found = self._connect().execute(query, place).fetchone()
            return None if found is None else bytes(found[0])
        return None

    def put(self, pictures: Iterable[tuple[Place, bytes]]) -> None:
        """Keep thumbnails, all or none of them."""
        if not self._works:
            return
        with self._trouble(), self._connect() as connection:
            command = "INSERT OR REPLACE INTO thumbnails (run, key, seq_num, place, picture) VALUES (?, ?, ?, ?, ?)"
            connection.executemany(command, [(*place, picture) for place, picture in pictures])
            self._bound(connection)

    def count(self) -> int:
        """Return how many there are."""
        if not self._works:
            return 0
        with self._trouble():
            return int(self._connect().execute("SELECT COUNT(*) FROM thumbnails").fetchone()[0])
        return 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._works = False
            for connection in self._opened:
                connection.close()
            self._opened.clear()

    def _bound(self, connection: sqlite3.Connection) -> None:
        """Remove the oldest pictures if the file is too large; SQLite uses their room again."""
        size, pages, free = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
        used = size * (pages - free)
        if used <= self._largest:
            return
        (count,) = connection.execute("SELECT COUNT(*) FROM thumbnails").fetchone()
        surplus = max(1, int(count * (1 - _SPARE * self._largest / used)))
        connection.execute(
            "DELETE FROM thumbnails WHERE number IN (SELECT number FROM thumbnails ORDER BY number LIMIT ?)", (surplus,)
        )

    def _connect(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False)
            connection.execute("PRAGMA synchronous=NORMAL")
            self._local.connection = connection
            with self._lock:
                self._opened.append(connection)
        return connection

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Give the store up, and say so once, if the disk or the file fails."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            with self._lock:
                worked, self._works = self._works, False
            if worked:
                logger.warning(
                    "thumbnails are not kept in %s (%s): they are drawn again each time; remove the file, or make room",
                    self.path,
                    error,
                )
