"""Opens catalogues: an embedded one (Tiled in this process, kept in one directory), a server's, or databroker's."""

from __future__ import annotations

import logging
import sqlite3  # before TensorFlow, see _check_sqlite
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import XTagError, XTagValueError
from .failures import catalog_errors
from .kinds import as_catalog
from .moving import bring_home
from .protocol import Catalog, Where
from .tiled_database import make_database
from .tiled_ending import EndsAfterRequests

if TYPE_CHECKING:
    from bluesky_tiled_plugins.clients.catalog_of_bluesky_runs import CatalogOfBlueskyRuns

__all__ = ["FRAMES", "last_scan_id", "next_scan_id", "open_any", "open_catalog"]

logger = logging.getLogger("bluesky_xtag")

_ODD = "?#%"
_STRANGE = 1000  # runs whose scan_id is none, which strangers may have stored
FRAMES = "frames"  # the subdirectory where detectors write their files


def open_catalog(directory: str | Path) -> CatalogOfBlueskyRuns:
    """Open the embedded catalogue in a directory, or make it there.

    Tiled runs inside this process, without a server. Opening takes 10 to 30 s. A directory that was moved or copied is
    opened where it is now: the addresses of its files are corrected first.

    Parameters
    ----------
    directory : str or Path
        Holds `catalog.db` (runs), `tables.db` (rows of events), `data/` (arrays that came inside events)
        and `frames/` (where detectors write). The directory is made if it does not exist.

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
        If TensorFlow was imported before SQLite, and its own SQLite took the place; or if Tiled cannot run in this
        process, next to httpx2.
    """
    _check_sqlite()
    directory = Path(directory).expanduser().resolve()
    if odd := sorted(set(str(directory)) & set(_ODD)):
        raise XTagValueError(
            f"the catalogue directory {directory} has {' '.join(odd)} in its name, which Tiled takes for a part of an "
            "address: rename it"
        )
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
    if database.exists():
        bring_home(directory, FRAMES)
    else:
        make_database(database)
    tree = from_uri(
        f"sqlite:///{database}",
        specs=[{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
        writable_storage=[str(directory / "data"), f"sqlite:///{directory / 'tables.db'}"],
        readable_storage=[str(directory / FRAMES)],
    )
    with warnings.catch_warnings():
        # Starlette's advice to install another HTTP client is meant for Tiled, not for its users.
        warnings.filterwarnings("ignore", message=".*starlette.testclient.*")
        try:
            app = build_app(tree)
            app.add_middleware(EndsAfterRequests)
            return from_context(Context.from_app(app))
        except TypeError as error:
            if "httpx2" not in str(error):
                raise
            # Starlette's client for apps in a process takes httpx2 where it is installed; Tiled gives it httpx's URLs.
            raise XTagError(
                f"Tiled cannot run in this process next to the package httpx2 ({error}): uninstall httpx2, or start "
                "`tiled serve` and open its address"
            ) from error


def open_any(place: str | Path, api_key: str | None = None) -> Any:
    """Open a catalogue that exists, of any kind.

    Parameters
    ----------
    place : str or Path
        The directory of an embedded catalogue; the address of a Tiled server or of a node on it (``http://...``,
        ``https://...``); or the name of a Tiled profile, which is how databroker names its catalogues.
    api_key : str, optional
        For a server. If None, the environment variable TILED_API_KEY.

    Returns
    -------
    CatalogOfBlueskyRuns or Container
        A Tiled client. End with `catalog.context.close()`.

    Raises
    ------
    XTagValueError
        If there is no such catalogue.
    CatalogError
        If the server cannot be reached or does not let you in.
    """
    name = str(place)
    if name.startswith(("http://", "https://")):
        from tiled.client import from_uri

        with catalog_errors(name):
            return from_uri(name, api_key=api_key)
    directory = Path(place).expanduser()
    if (directory / "catalog.db").is_file():
        return open_catalog(directory)
    if directory.exists():
        raise XTagValueError(f"{name} holds no catalogue (no file catalog.db in it): name one made by open_catalog")
    from tiled.profiles import list_profiles

    profiles = list_profiles()
    if name not in profiles:
        raise XTagValueError(
            f"there is no catalogue {name!r}: no such directory, and the Tiled profiles here are "
            f"{', '.join(sorted(profiles)) or 'none'}; a server's address begins with http:// or https://"
        )
    from tiled.client import from_profile

    with catalog_errors(name):
        catalog = from_profile(name, **({"api_key": api_key} if api_key else {}))
        if "CatalogOfBlueskyRuns" not in {spec.name for spec in catalog.specs} and "raw" in list(catalog):
            return catalog["raw"]  # where many facilities keep what Broker.named(name) opens
        return catalog


def last_scan_id(catalog: CatalogOfBlueskyRuns | Catalog) -> int:
    """Return the scan_id of the newest run that has one, or 0, so that a new session continues the count.

    Derived runs, which hold tags that were added later, have no scan_id.
    """
    numbered = as_catalog(catalog).search(Where("scan_id", ">=", 0))
    return next((run.scan_id for run in numbered.newest(_STRANGE) if run.scan_id), 0)


def next_scan_id(catalog: CatalogOfBlueskyRuns | Catalog) -> Callable[[Mapping[str, Any]], int]:
    """Return a source of scan_ids that all sessions on a catalogue share.

    Give it to the RunEngine: ``RunEngine({}, scan_id_source=next_scan_id(catalog))``. When a run begins, the catalogue
    is asked for its newest scan_id. If it does not answer, the session counts on by itself and says so.
    """
    place = as_catalog(catalog)

    def scan_id(md: Mapping[str, Any]) -> int:
        own = int(md.get("scan_id") or 0)
        try:
            return max(own, last_scan_id(place)) + 1
        except Exception as error:  # clients of catalogues raise anything; the scan goes on
            logger.warning(
                "the catalogue %s does not tell its newest scan_id (%s): this session counts on, and another session "
                "may give the number %d, too",
                place.name,
                error,
                own + 1,
            )
            return own + 1

    return scan_id


def _check_sqlite() -> None:
    """Raise unless SQLite has the full-text search that Tiled needs.

    TensorFlow contains its own SQLite, without this search. The one that a process loads first is used for everything.
    """
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute("CREATE VIRTUAL TABLE words USING fts5(word)")
        except sqlite3.OperationalError as error:
            raise XTagError(
                f"the SQLite of this process cannot hold a catalogue ({error}): TensorFlow was imported first and "
                "brought its own; import sqlite3 or bluesky_xtag.catalog before TensorFlow"
            ) from error
