"""Tiled's own layout of runs: nodes, tables in SQL and arrays, in this process or on a server."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import pandas as pd

from ..errors import hide_secrets
from .protocol import Catalog, Document, Run, Where
from .tiled_documents import BOOLEANS, documents_of
from .tiled_storing import tiled_writer
from .writing import write_documents

if TYPE_CHECKING:
    from tiled.queries import Comparison, Eq, NotEq

__all__ = ["TiledCatalog", "TiledQuery", "TiledRun", "adapt_catalog", "adapt_run", "specs_of", "tiled_query"]

# What `catalog.search` of Tiled takes.
TiledQuery: TypeAlias = Union["Comparison", "Eq", "NotEq"]

_PAGE = 50
_NUMBER = re.compile(r"-\d+|\d{1,7}")  # longer ones are taken for the beginning of a uid
_EMPTY_TYPES = {"number": "float64", "integer": "int64", "boolean": "bool", "string": "object"}  # by a data key's dtype
_COMPARISONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
# Tags that say who may see a node because it is theirs; Tiled gives them itself and refuses them from anybody.
_PERSONAL = ("user:", "service:")


def adapt_catalog(native: object) -> Catalog | None:
    """Return a Tiled client as a catalogue; None if it is something else."""
    if _is_container(native) and not specs_of(native) & {"BlueskyRun", "BlueskyEventStream"}:
        return TiledCatalog(native)
    return None


def adapt_run(native: object) -> Run | None:
    """Return a Tiled client as a run; None if it is something else."""
    return TiledRun(native) if _is_container(native) and "BlueskyRun" in specs_of(native) else None


def specs_of(native: Any) -> set[str]:
    """Return the kind of a Tiled node, from its specs."""
    return {spec.name for spec in native.specs}


def _is_container(native: object) -> bool:
    module = sys.modules.get("tiled.client.container")  # without it there is no instance of it
    return module is not None and isinstance(native, module.Container)


def _is_run(native: Any) -> bool:
    """Return whether a node of a catalogue is a run: others may lie beside them."""
    start = native.metadata.get("start")
    return _is_container(native) and isinstance(start, Mapping) and isinstance(start.get("uid"), str)


def tiled_query(where: Where) -> TiledQuery:
    """Return a condition as Tiled's own query, which every catalogue accepts, also one of databroker."""
    from tiled.queries import Comparison, Eq, NotEq

    key = f"start.{where.key}"
    if where.operator == "==":
        return Eq(key, where.value)
    if where.operator == "!=":
        return NotEq(key, where.value)
    return Comparison(_COMPARISONS[where.operator], key, where.value)


class TiledRun(Run):
    """A run as Tiled lays it out.

    Parameters
    ----------
    native : BlueskyRun
        Tiled's client of the run.
    """

    def __init__(self, native: Any) -> None:
        self._native = native
        self._catalog: Catalog | None = None

    @property
    def start(self) -> Mapping[str, Any]:
        """The start document."""
        return self._native.metadata["start"]

    @property
    def stop(self) -> Mapping[str, Any]:
        """The stop document; empty if there is none yet, or a stranger wrote something else there."""
        stop = self._native.metadata.get("stop")
        return stop if isinstance(stop, Mapping) else {}

    @property
    def streams(self) -> list[str]:
        """The names of the streams."""
        return list(self._native)

    @property
    def catalog(self) -> Catalog:
        """The whole catalogue that holds the run, whatever search found it."""
        if self._catalog is None:
            self._catalog = self._wrap_parent(self._native.parent)
        return self._catalog

    def _wrap_parent(self, native: Any) -> Catalog:
        return TiledCatalog(native)

    @property
    def access_tags(self) -> list[str]:
        """Who may see the run, as the tags of its server's access control; empty without one."""
        return list(self._native.item["attributes"].get("access_tags") or ())

    def table(self, stream: str, fields: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the events of a stream as a table, see `Run.table`."""
        table = self._read(stream, fields)
        columns = [name for name in table.columns if name not in ("seq_num", "time") and not name.startswith("ts_")]
        if fields is not None:  # a server gives them in any order
            columns = [name for name in fields if name in columns]
        table = table.drop_duplicates("seq_num", keep="last").set_index("seq_num").sort_index()
        table = table.reindex(columns=["time", *columns])
        if table["time"].dtype.kind == "M":
            table["time"] = table["time"].astype("int64") / 1e9
        table = table.astype({name: _plain_type(table[name].dtype) for name in table.columns})
        return self._with_booleans(table, stream)

    def _with_booleans(self, table: pd.DataFrame, stream: str) -> pd.DataFrame:
        """Return a table with booleans where the server gives text, as it does if one of a column is missing."""
        found = [name for name in table.columns if table[name].dtype == object and _are_booleans(table[name])]
        keys = self.descriptor(stream)["data_keys"] if found else {}
        for name in found:
            if keys.get(name, {}).get("dtype") == "boolean":
                table[name] = pd.Series([BOOLEANS.get(each) for each in table[name]], table.index, object)
        return table

    def _read(self, stream: str, fields: Sequence[str] | None) -> pd.DataFrame:
        """Return a stream's scalars with ``seq_num``, all or some of them."""
        internal = self._internal(stream)
        if internal is None:  # scalars of another layout, or no row yet
            native = self._native[stream]
            if not list(getattr(native, "base", native)):
                return self._no_rows(stream, fields)
            return read_scalars(native, fields)
        # The stream's own `read` would leave the sequence numbers out.
        return internal.read(fields and [name for name in ("seq_num", "time", *fields) if name in internal.columns])

    def stored_rows(self, stream: str) -> int:
        """Return how many rows of a stream its server keeps, those of points that were taken again among them."""
        internal = self._internal(stream)
        return 0 if internal is None else len(internal.read(["seq_num"]))

    def _no_rows(self, stream: str, fields: Sequence[str] | None) -> pd.DataFrame:
        """Return the scalars of a stream that was announced and has no row: its session ended before the first."""
        keys = self.descriptor(stream)["data_keys"]
        types = {"seq_num": "int64", "time": "float64"} | {
            name: _EMPTY_TYPES[key["dtype"]]
            for name, key in keys.items()
            if key["dtype"] in _EMPTY_TYPES and (fields is None or name in fields)
        }
        return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in types.items()})

    def _internal(self, stream: str) -> Any:
        """Return Tiled's table of a stream, in one request."""
        try:
            return self._native.base[f"{stream}/internal"]
        except KeyError:
            pass
        found = self._native[stream].base  # as older versions of Tiled's writer laid runs out
        return found["internal"] if "internal" in found else None

    def descriptor(self, stream: str) -> Mapping[str, Any]:
        """Return the newest descriptor of a stream, see `Run.descriptor`."""
        metadata = self._native[stream].metadata
        # Tiled's own layout keeps the descriptor's fields, databroker's whole descriptors.
        return metadata if "data_keys" in metadata else metadata["descriptors"][-1]

    def documents(self) -> Iterator[Document]:
        """Yield the documents of the run, without those of the stream "tags"; see `Run.documents`."""
        return documents_of(self._native)

    def update_start(self, changes: Mapping[str, Any]) -> None:
        """Write keys into the start document in one request."""
        self._native.update_metadata({"start": dict(changes)})


def read_scalars(stream: Any, fields: Sequence[str] | None) -> pd.DataFrame:
    """Return the scalars of a stream that its server does not keep as a table, numbered from 1."""
    found = stream.read() if fields is None else stream.read(["time", *fields])
    if not found.sizes:  # no event: there is nothing that pandas could take for rows
        return pd.DataFrame({name: [] for name in ("seq_num", "time", *found.data_vars)})
    table = found.to_dataframe().reset_index()
    table.insert(0, "seq_num", range(1, len(table) + 1))
    return table


def _are_booleans(column: Any) -> bool:
    """Tell whether a column holds nothing but booleans as text, and missing values."""
    there = list(column[column.notna()])
    return len(there) > 0 and all(isinstance(each, str) and each in BOOLEANS for each in there)


def _plain_type(dtype: Any) -> str:
    for test, name in (
        (pd.api.types.is_bool_dtype, "bool"),
        (pd.api.types.is_integer_dtype, "int64"),
        (pd.api.types.is_float_dtype, "float64"),
    ):
        if test(dtype):
            return name
    return "object"


class TiledCatalog(Catalog):
    """Runs that Tiled keeps in its own layout.

    Parameters
    ----------
    native : CatalogOfBlueskyRuns or Container
        Tiled's client, of a whole catalogue or narrowed by searches.
    """

    def __init__(self, native: Any) -> None:
        self._native = native

    def _wrap(self, native: Any) -> Run:
        return TiledRun(native)

    @property
    def native(self) -> Any:
        """Tiled's client."""
        return self._native

    @property
    def name(self) -> str:
        """The address of the catalogue, without secrets."""
        return hide_secrets(str(self._native.uri))

    @property
    def can_replace(self) -> bool:
        """Whether a run that is only partly stored can be replaced."""
        return True

    def search(self, *conditions: Where) -> Catalog:
        """Return the runs that meet all conditions; the server looks for them."""
        found = self._native
        for condition in conditions:
            found = found.search(tiled_query(condition))
        return type(self)(found)

    def whole(self) -> Catalog:
        """Return the catalogue without any search."""
        return type(self)(self._native.new_variation(queries=[]))

    def count(self) -> int:
        """Return how many runs there are."""
        return len(self._native.new_variation())  # the client itself keeps what it heard for a second

    def runs(self) -> Iterator[Run]:
        """Yield all runs in the order of the catalogue, page by page."""
        return map(self._wrap, filter(_is_run, self._native.values()))

    def newest(self, at_most: int) -> Iterator[Run]:
        """Yield the newest runs, newest first, without derived ones."""
        return islice((run for run in self._backwards() if not run.is_derived), at_most)

    def _backwards(self) -> Iterator[Run]:
        for page in count():
            runs = self._native.values()[-1 - page * _PAGE : -1 - (page + 1) * _PAGE : -1]
            yield from map(self._wrap, filter(_is_run, runs))
            if len(runs) < _PAGE:
                return

    def last(self) -> Run | None:
        """Return the newest run, derived or not; None if there is none."""
        return next(self._backwards(), None)

    def find(self, run: str | int) -> Run:
        """Return a run by its uid, scan_id or place, see `Catalog.find`."""
        if isinstance(run, str) and not _NUMBER.fullmatch(run):
            native = self._native[run]
            if not _is_run(native):
                raise KeyError(run)
            return self._wrap(native)
        number = int(run)
        if number < 0:
            return self._wrap(self._native.values()[number])
        # A plain container of Tiled has no way of its own to find a scan_id.
        found = self.search(Where("scan_id", "==", number)).last()
        if found is None:
            raise KeyError(run)
        return found

    def writer(self) -> Callable[[str, Any], Any]:
        """Return Tiled's writer of documents."""
        return tiled_writer(self._native)

    def write(self, documents: Sequence[Document]) -> None:
        """Store the documents of a whole run, unless they are already stored; see `Catalog.write`."""
        uid = documents[0][1]["uid"]
        there = self.get(uid)
        if there is not None and there.stop:
            return
        left = self._inherit(documents) if there is None else self._resume(there, documents)
        write_documents(self, uid, left)
        if self.can_replace and self._holds_more_rows(uid, documents):
            # Another session wrote the same run at the same moment.
            write_documents(self, uid, self._resume(self.find(uid), documents))

    def _resume(self, there: Run, documents: Sequence[Document]) -> Iterable[Document]:
        """Return what must be written if a part of a run is already stored."""
        inherited = self._inherit(documents)
        self._native.delete_contents(there.uid, recursive=True, external_only=False)
        return inherited

    def _holds_more_rows(self, uid: str, documents: Sequence[Document]) -> bool:
        """Return whether a table of a stored run holds more rows than its documents; False if this cannot be known."""
        streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
        rows = dict.fromkeys(streams.values(), 0)
        for name, doc in documents:
            if name in ("event", "event_page"):
                rows[streams[doc["descriptor"]]] += len(doc["seq_num"]) if name == "event_page" else 1
        try:
            run = TiledRun(self._native[uid])
            return any(run.stored_rows(stream) > count for stream, count in rows.items() if count)
        except Exception:  # clients of catalogues raise anything; the run is stored
            return False

    def _inherit(self, documents: Sequence[Document]) -> Sequence[Document]:
        """Give a derived run the access tags of its original run, so that the same people may see both."""
        (name, start), *others = documents
        original = self.whole().get(str(start["original_run_uid"])) if "original_run_uid" in start else None
        tags = original.access_tags if isinstance(original, TiledRun) else []
        shared = [tag for tag in tags if not tag.startswith(_PERSONAL)]
        # Tiled's writer takes them out of the start document, so they are not stored there.
        return [(name, {**start, "tiled_access_tags": shared}), *others] if shared else documents

    def close(self) -> None:
        """Close the connection."""
        self._native.context.close()
