"""Tiled's writer of documents, set so that arrays and counters come back as they went in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bluesky_tiled_plugins import TiledWriter

__all__ = ["tiled_writer"]

logger = logging.getLogger("bluesky_xtag")

_LARGEST = 2**63 - 1


def tiled_writer(catalog: Any, **options: Any) -> TiledWriter:
    """Return what stores the documents of runs in Tiled; give it to `RE.subscribe`.

    It is Tiled's own writer with two settings. Arrays of up to 16 elements are stored as arrays, too: in a table,
    SQLite loses their stream at the end of the run, and DuckDB gives them back as text (bluesky-tiled-plugins 2.0.12).
    Counters of type uint64, which SQLite refuses whatever their value (Tiled 0.2.20), are stored as int64. A count of
    2**63 or more is stored as 2**63 - 1, with a warning.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns or Container
        The Tiled client.
    **options
        Those of `bluesky_tiled_plugins.TiledWriter`, such as `backup_directory`.
    """
    from bluesky_tiled_plugins import TiledWriter

    patches = {"descriptor": _descriptor, "event": _event, "event_page": _event_page}
    return TiledWriter(catalog, **{"max_array_size": 0, "patches": patches} | options)


def _descriptor(doc: dict[str, Any]) -> dict[str, Any]:
    keys = {name: _signed(key) for name, key in doc["data_keys"].items()}
    return {**doc, "data_keys": keys}


def _signed(data_key: Mapping[str, Any]) -> Mapping[str, Any]:
    if data_key.get("dtype") == "array" or np.dtype(data_key.get("dtype_numpy") or "<f8") != np.uint64:
        return data_key
    return {**data_key, "dtype_numpy": "<i8"}


def _event(doc: dict[str, Any]) -> dict[str, Any]:
    return {**doc, "data": {name: _fit(name, value) for name, value in doc["data"].items()}}


def _event_page(doc: dict[str, Any]) -> dict[str, Any]:
    return {**doc, "data": {name: [_fit(name, value) for value in values] for name, values in doc["data"].items()}}


def _fit(name: str, value: Any) -> Any:
    """Return a value as a number that Tiled's tables take."""
    whole = isinstance(value, np.unsignedinteger) or (isinstance(value, np.ndarray) and value.shape == ())
    if whole and value.dtype == np.uint64:
        value = int(value)
    if isinstance(value, int) and value > _LARGEST:
        _warn(name)
        return _LARGEST
    return value


@lru_cache(maxsize=256)
def _warn(name: str) -> None:
    logger.warning("%s holds counts of 2**63 or more: Tiled's tables cannot keep them; 2**63 - 1 is stored", name)
