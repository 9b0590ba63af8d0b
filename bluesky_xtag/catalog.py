"""The embedded catalogue: Tiled in this process, kept in one directory (SQLite and files).

A facility points at its own Tiled server instead; nothing else in the package knows the difference.
"""

from __future__ import annotations

import logging
import sqlite3  # before TensorFlow, see _check_sqlite
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import XTagError, XTagValueError

if TYPE_CHECKING:
    from bluesky_tiled_plugins.clients.catalog_of_bluesky_runs import CatalogOfBlueskyRuns

__all__ = ["FRAMES", "last_scan_id", "open_catalog"]

FRAMES = "frames"  # the subdirectory where detectors write their files


def open_catalog(directory: str | Path) -> CatalogOfBlueskyRuns:
    """Open the embedded catalogue in a directory, or make it there.

    Tiled is built inside this process, without a server: that takes 10 to 30 s.

    Parameters
    ----------
    directory : str or Path
        Holds `catalog.db` (runs), `tables.db` (rows of events), `data/` (arrays that came inside events)
        and `frames/` (where detectors write). Made if it is not there.

    Returns
    -------
    CatalogOfBlueskyRuns
        A Tiled client: `catalog[-1]`, `catalog[scan_id]`, `catalog[uid]`; give it to a `TiledWriter`.
        End with `catalog.context.close()`.

    Raises
    ------
    XTagValueError
        If the directory cannot be used.
    XTagError
        If TensorFlow was imported before SQLite and took its place.
    """
    _check_sqlite()
    directory = Path(directory).expanduser().resolve()
    try:
        for name in ("data", FRAMES):
            (directory / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise XTagValueError(
            f"the catalogue directory {directory} cannot be used ({error.strerror}): name one that you may write to"
        ) from error
    from tiled.catalog import from_uri
    from tiled.client import Context, from_context
    from tiled.server.app import build_app

    logging.getLogger("tiled.server.app").setLevel(logging.WARNING)  # it would print its version
    database = directory / "catalog.db"
    tree = from_uri(
        f"sqlite:///{database}",
        specs=[{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
        writable_storage=[str(directory / "data"), f"sqlite:///{directory / 'tables.db'}"],
        readable_storage=[str(directory / FRAMES)],
        init_if_not_exists=not database.exists(),
    )
    with warnings.catch_warnings():
        # Starlette's advice to install another HTTP client is meant for Tiled, not for its users.
        warnings.filterwarnings("ignore", message=".*starlette.testclient.*")
        return from_context(Context.from_app(build_app(tree)))


def last_scan_id(catalog: CatalogOfBlueskyRuns) -> int:
    """Return the scan_id of the newest run of a catalogue, 0 if it holds none, so that counting goes on."""
    newest = catalog.values().last() if len(catalog) else None
    return int(newest.metadata["start"].get("scan_id", 0)) if newest else 0


def _check_sqlite() -> None:
    """Raise unless SQLite has the full-text search that Tiled needs.

    TensorFlow carries a SQLite of its own, without it. Whichever of the two a process loads first serves both.
    """
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute("CREATE VIRTUAL TABLE words USING fts5(word)")
        except sqlite3.OperationalError as error:
            raise XTagError(
                f"the SQLite of this process cannot hold a catalogue ({error}): TensorFlow was imported first and "
                "brought its own; import sqlite3 or bluesky_xtag.catalog before it"
            ) from error
