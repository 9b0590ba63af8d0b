"""Stored runs, wherever they lie: the only place that knows Tiled from databroker."""

from .documents_of_runs import documents_of
from .frames_of_runs import frames_of, newest_runs, pixels, plain_rows, readable
from .opening import FRAMES, asking, last_scan_id, open_any, open_catalog
from .selecting import chosen
from .stored_runs import catalog_of, client, descriptor_of, start_of, stream_names, table_of
from .values import ServedValue, is_away
from .writing import can_replace, is_whole, store, write

__all__ = [
    "FRAMES",
    "ServedValue",
    "asking",
    "can_replace",
    "catalog_of",
    "chosen",
    "client",
    "descriptor_of",
    "documents_of",
    "frames_of",
    "is_away",
    "is_whole",
    "last_scan_id",
    "newest_runs",
    "open_any",
    "open_catalog",
    "pixels",
    "plain_rows",
    "readable",
    "start_of",
    "store",
    "stream_names",
    "table_of",
    "write",
]
