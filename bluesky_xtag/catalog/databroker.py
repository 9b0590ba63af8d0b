"""Databroker's layout of runs: documents in MongoDB, behind a Tiled client or databroker's own older classes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from event_model import unpack_event_page

from . import tiled
from .protocol import Catalog, Document, Run
from .tiled import TiledCatalog, TiledRun, read_scalars

__all__ = ["MongoCatalog", "MongoRun", "adapt_catalog", "adapt_run"]


def adapt_catalog(native: object) -> Catalog | None:
    """Return a Broker, or the Tiled client of databroker's layout, as a catalogue; None if it is something else."""
    client = _unwrap(native, "Broker")
    found = tiled.adapt_catalog(client)
    if found is None or (client is native and not _takes_documents(client)):
        return None
    return MongoCatalog(client) if _takes_documents(client) else found


def adapt_run(native: object) -> Run | None:
    """Return a Header, or the Tiled client of a run in databroker's layout, as a run; None if it is something else."""
    client = _unwrap(native, "Header")
    found = tiled.adapt_run(client)
    if found is None or (client is native and _is_tiled(client)):
        return None
    return found if _is_tiled(client) else MongoRun(client)


def _unwrap(native: Any, kind: str) -> Any:
    """Return the Tiled client that an object of databroker carries; other objects as they are."""
    module = sys.modules.get("databroker.v1")  # without it there is no instance of its classes
    return native.v2 if module is not None and isinstance(native, getattr(module, kind)) else native


def _takes_documents(client: Any) -> bool:
    """Return whether a catalogue has databroker's layout, which stores documents as they are, and not Tiled's own."""
    return hasattr(type(client), "post_document") and not client.is_sql


def _is_tiled(client: Any) -> bool:
    return any(spec.name == "BlueskyRun" and (spec.version or "").startswith("3.") for spec in client.specs)


class MongoRun(TiledRun):
    """A run in databroker's layout."""

    def _wrap_parent(self, native: Any) -> Catalog:
        return MongoCatalog(native)

    def _read(self, stream: str, fields: Sequence[str] | None) -> pd.DataFrame:
        native = self._native[stream]
        try:
            with warnings.catch_warnings():
                # databroker, once a column: text has another length than it guessed, and NaN is a float.
                warnings.filterwarnings("ignore", ".* actually has dtype", UserWarning)
                return read_scalars(native, fields)
        except Exception:  # databroker raises anything for a stream that was announced and has no event
            if self._has_events(stream):
                raise
            return self._no_rows(stream, fields)

    def _has_events(self, stream: str) -> bool:
        streams: dict[str, str] = {}
        for name, doc in self.raw_documents():
            if name == "descriptor":
                streams[doc["uid"]] = doc["name"]
            elif name in ("event", "event_page") and streams[doc["descriptor"]] == stream:
                return True
        return False

    def documents(self) -> Iterator[Document]:
        """Yield the documents of the run as they were, arrays with their types."""
        dtypes: dict[str, dict[str, str]] = {}
        for name, doc in self.raw_documents():
            if name == "descriptor":
                keys = doc["data_keys"].items()
                dtypes[doc["uid"]] = {key: value["dtype_numpy"] for key, value in keys if _is_inline(value)}
            if name in ("event", "event_page") and dtypes.get(doc["descriptor"]):
                doc = _with_arrays(name, doc, dtypes[doc["descriptor"]])
            yield name, doc

    def raw_documents(self) -> Iterator[Document]:
        """Yield the documents as the server has them."""
        return self._native.documents(fill=False)


def _with_arrays(name: str, doc: Mapping[str, Any], dtypes: Mapping[str, str]) -> Mapping[str, Any]:
    """Return an event or an event page with arrays. MongoDB keeps lists of numbers, but not their types."""
    data = dict(doc["data"])
    for key, dtype in dtypes.items():
        if key in data:
            value = data[key]
            data[key] = np.asarray(value, dtype) if name == "event" else [np.asarray(each, dtype) for each in value]
    return {**doc, "data": data}


def _is_inline(data_key: Mapping[str, Any]) -> bool:
    return data_key["dtype"] == "array" and "external" not in data_key and "dtype_numpy" in data_key


class MongoCatalog(TiledCatalog):
    """Runs that databroker keeps as documents; it deletes nothing."""

    def _wrap(self, native: Any) -> Run:
        return MongoRun(native)

    @property
    def can_replace(self) -> bool:
        """False: a run that is only partly stored cannot be replaced, it can only be finished."""
        return False

    def writer(self) -> Callable[[str, Any], Any]:
        """Return a function that posts documents to the server."""
        return self._native.post_document

    def _resume(self, there: Run, documents: Sequence[Document]) -> Iterable[Document]:
        """Return those of the documents that a run lacks."""
        assert isinstance(there, MongoRun)
        stored: set[str] = set()
        for _, doc in there.raw_documents():
            stored.update([doc["uid"]] if isinstance(doc["uid"], str) else doc["uid"])
        missing: list[Document] = []
        doc: Any
        for kind, doc in documents:
            if kind == "event_page":
                missing += [("event", event) for event in unpack_event_page(doc) if event["uid"] not in stored]
            elif doc["uid"] not in stored:
                missing.append((kind, doc))
        return missing

    def _inherit(self, documents: Sequence[Document]) -> Sequence[Document]:
        return documents  # databroker's layout has no access tags
