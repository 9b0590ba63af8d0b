"""Tiled's writer of documents, set so that arrays and counters come back as they went in."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bluesky_tiled_plugins import TiledWriter

__all__ = ["tiled_writer"]

logger = logging.getLogger("bluesky_xtag")

_LARGEST = 2**63 - 1
_KEPT = 256  # descriptors; those of runs that are open


def tiled_writer(catalog: Any, **options: Any) -> TiledWriter:
    """Return what stores the documents of runs in Tiled; give it to `RE.subscribe`.

    It is Tiled's own writer, and some values are changed before it gets them, as it would lose their whole stream at
    the end of the run (bluesky-tiled-plugins 2.0.12, Tiled 0.2.20). What is not kept as it was is said with a warning.

    - Arrays of up to 16 elements are stored as arrays, too: in a table, SQLite refuses them, and DuckDB gives them back
      as text.
    - An array of one dimension whose data key leaves its length open (``[None]``, ``[-1]``) is stored as text, in JSON.
    - Arrays have one shape in a stream, that of the first event. Another is cut, and filled with NaN, or with zeros if
      it holds integers.
    - Counters of type uint64, which SQLite refuses whatever their value, are stored as int64. A count of 2**63 or more
      is stored as 2**63 - 1.
    - NaN of a data key for booleans is stored as a missing value.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns or Container
        The Tiled client.
    **options
        Those of `bluesky_tiled_plugins.TiledWriter`, such as `backup_directory`.
    """
    from bluesky_tiled_plugins import TiledWriter

    values = _Values()
    patches = {"descriptor": values.descriptor, "event": values.event, "event_page": values.event_page}
    return TiledWriter(catalog, **{"max_array_size": 0, "patches": patches} | options)


class _Values:
    """Changes descriptors, and the values of events to what these say then."""

    def __init__(self) -> None:
        self._keys: dict[str, Mapping[str, Mapping[str, Any]]] = {}  # as they came, by the uid of their descriptor
        self._shapes: dict[tuple[str, str], tuple[int, ...]] = {}

    def descriptor(self, doc: dict[str, Any]) -> dict[str, Any]:
        self._keys[doc["uid"]] = doc["data_keys"]
        for uid in list(self._keys)[:-_KEPT]:
            del self._keys[uid]
            self._shapes = {place: shape for place, shape in self._shapes.items() if place[0] != uid}
        return {**doc, "data_keys": {name: _as_stored(name, key) for name, key in doc["data_keys"].items()}}

    def event(self, doc: dict[str, Any]) -> dict[str, Any]:
        fit = {name: self._fit(doc["descriptor"], name, value) for name, value in doc["data"].items()}
        return {**doc, "data": fit}

    def event_page(self, doc: dict[str, Any]) -> dict[str, Any]:
        uid = doc["descriptor"]
        fit = {name: [self._fit(uid, name, value) for value in values] for name, values in doc["data"].items()}
        return {**doc, "data": fit}

    def _fit(self, uid: str, name: str, value: Any) -> Any:
        key = self._keys.get(uid, {}).get(name, {})
        if _is_internal_array(key) and not isinstance(value, str):
            if _has_open_length(key):
                return json.dumps(None if value is None else np.asarray(value).tolist())
            return self._fit_shape(uid, name, key, value)
        if key.get("dtype") == "boolean" and isinstance(value, float) and math.isnan(value):
            return None
        return _fit_count(name, value)

    def _fit_shape(self, uid: str, name: str, key: Mapping[str, Any], value: Any) -> Any:
        """Return an array in the shape of the first, as a list if it is one; zarr keeps one shape."""
        try:
            array = np.asarray([] if value is None else value)
        except ValueError:  # lists of different lengths in one event
            array = np.array([])
        declared = tuple(int(size) for size in key.get("shape") or ())
        if value is None or 0 in array.shape:
            wanted = self._shapes.get((uid, name), declared)
        else:
            wanted = self._shapes.setdefault((uid, name), array.shape)
        if array.shape == wanted or min(wanted, default=0) < 1:
            return value
        _warn_of_shape(uid, name, array.shape if value is not None else None, wanted)
        if value is None or array.ndim != len(wanted):
            array = np.empty((0,) * len(wanted), array.dtype if array.size else key.get("dtype_numpy") or float)
        fitted = np.full(wanted, np.nan if array.dtype.kind == "f" else np.zeros((), array.dtype), array.dtype)
        shared = tuple(slice(0, min(sizes)) for sizes in zip(array.shape, wanted, strict=True))
        fitted[shared] = array[shared]
        return fitted.tolist() if isinstance(value, list) else fitted


def _is_internal_array(key: Mapping[str, Any]) -> bool:
    return key.get("dtype") == "array" and "external" not in key


def _is_open(size: Any) -> bool:
    return not isinstance(size, int | np.integer) or bool(size < 1)


def _has_open_length(key: Mapping[str, Any]) -> bool:
    shape = key.get("shape") or ()
    return len(shape) == 1 and _is_open(shape[0])


def _as_stored(name: str, key: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a data key as Tiled can store its values."""
    if _is_internal_array(key):
        if _has_open_length(key):
            _warn_of_text(name)
            left = {word: value for word, value in key.items() if word not in ("dtype_numpy", "dtype_descr", "dims")}
            return {**left, "dtype": "string", "shape": []}
        return {**key, "shape": [1 if _is_open(size) else size for size in key.get("shape") or ()]}
    if key.get("dtype") == "array" or np.dtype(key.get("dtype_numpy") or "<f8") != np.uint64:
        return key
    return {**key, "dtype_numpy": "<i8"}


def _fit_count(name: str, value: Any) -> Any:
    """Return a value as a number that Tiled's tables take."""
    whole = isinstance(value, np.unsignedinteger) or (isinstance(value, np.ndarray) and value.shape == ())
    if whole and value.dtype == np.uint64:
        value = int(value)
    if isinstance(value, int) and value > _LARGEST:
        _warn_of_count(name)
        return _LARGEST
    return value


@lru_cache(maxsize=256)
def _warn_of_count(name: str) -> None:
    logger.warning("%s holds counts of 2**63 or more: Tiled's tables cannot keep them; 2**63 - 1 is stored", name)


@lru_cache(maxsize=256)
def _warn_of_text(name: str) -> None:
    logger.warning("%s leaves its length open in its data key: Tiled keeps it as text, in JSON", name)


_SAID: dict[tuple[str, str], None] = {}


def _warn_of_shape(uid: str, name: str, shape: tuple[int, ...] | None, wanted: tuple[int, ...]) -> None:
    if (uid, name) in _SAID:
        return
    _SAID[uid, name] = None
    for oldest in list(_SAID)[:-_KEPT]:
        _SAID.pop(oldest, None)
    logger.warning(
        "%s has %s in an event, but the shape %s before or in its data key: Tiled keeps arrays of one shape in a "
        "stream, so it is cut and filled",
        *(name, "no value" if shape is None else f"the shape {shape}", wanted),
    )
