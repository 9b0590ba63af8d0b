"""Stored runs, in Tiled and in databroker. Only this package knows which of the two a run lies in."""

from .failures import catalog_errors, is_away
from .kinds import as_catalog, as_run
from .opening import FRAMES, last_scan_id, next_scan_id, open_any, open_catalog
from .protocol import Catalog, Run, Where
from .selecting import Moment, RunSelection, StoredCatalog, StoredRun, began_between, find_run, select_runs
from .stored_frames import plain_rows, read_pixels, try_pixels
from .tiled import TiledQuery, tiled_query
from .tiled_storing import tiled_writer
from .values import ServedValue
from .writing import store

__all__ = [
    "FRAMES",
    "Catalog",
    "Moment",
    "Run",
    "RunSelection",
    "ServedValue",
    "StoredCatalog",
    "StoredRun",
    "TiledQuery",
    "Where",
    "as_catalog",
    "as_run",
    "began_between",
    "catalog_errors",
    "is_away",
    "last_scan_id",
    "next_scan_id",
    "open_any",
    "open_catalog",
    "plain_rows",
    "read_pixels",
    "find_run",
    "select_runs",
    "store",
    "tiled_query",
    "tiled_writer",
    "try_pixels",
]
