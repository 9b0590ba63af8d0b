"""Stored runs and their streams as tables, whatever the catalogue: Tiled, or databroker old and new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..errors import XTagValueError

__all__ = ["catalog_of", "client", "descriptor_of", "is_header", "start_of", "stream_names", "table_of"]


def client(catalog: Any) -> Any:
    """Return the Tiled client of a catalogue; a Broker of databroker carries one."""
    if hasattr(catalog, "search"):
        return catalog
    if hasattr(catalog, "v2"):
        return catalog.v2
    raise XTagValueError(f"{type(catalog).__name__} is no catalogue: give one of Tiled, or databroker's Broker")


def catalog_of(run: Any) -> Any:
    """Return the catalogue (a Tiled client) that holds a stored run."""
    return client(run.db) if is_header(run) else run.parent


def start_of(run: Any) -> Mapping[str, Any]:
    """Return the start document of a stored run."""
    return run.start if is_header(run) else run.metadata["start"]


def stream_names(run: Any) -> list[str]:
    """Return the names of the streams of a stored run."""
    return list(run.stream_names if is_header(run) else run)


def table_of(run: Any, stream: str, fields: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the events of a stream as a table; where the RunEngine took a point again after a pause, the last counts.

    Parameters
    ----------
    run : BlueskyRun or Header
        A stored run.
    stream : str
        Name of a stream, with scalars only.
    fields : sequence of str, optional
        Columns that are wanted; all if not given. Those that the stream does not have are left out.

    Returns
    -------
    pandas.DataFrame
        Index ``seq_num``; first column ``time`` (seconds since 1970), then the columns of the stream in their order:
        numbers as float64, whole ones as int64, truths as bool, text as str.

    Raises
    ------
    KeyError
        There is no such stream.
    """
    table = _table(run, stream, fields)
    columns = [name for name in table.columns if name not in ("seq_num", "time") and not name.startswith("ts_")]
    table = table.drop_duplicates("seq_num", keep="last").set_index("seq_num").sort_index()
    table = table.reindex(columns=["time", *columns])
    if table["time"].dtype.kind == "M":
        table["time"] = table["time"].astype("int64") / 1e9
    return table.astype({name: _plain_type(table[name].dtype) for name in table.columns})


def descriptor_of(run: Any, stream: str) -> Mapping[str, Any]:
    """Return the newest descriptor of a stream of a stored run: `data_keys` and `configuration`, at least."""
    metadata = (run.v2 if is_header(run) else run)[stream].metadata
    # Tiled on SQL keeps the descriptor's fields, the Mongo layout whole descriptors.
    return metadata if "data_keys" in metadata else metadata["descriptors"][-1]


def is_header(run: Any) -> bool:
    """Return whether a run is of databroker's own class, which is older than Tiled."""
    # An instance of Tiled's would ask its server for the attribute.
    return hasattr(type(run), "table")


def _table(run: Any, stream: str, fields: Sequence[str] | None) -> pd.DataFrame:
    """Return a stream's scalars with ``seq_num``, all or some of them."""
    if is_header(run):
        if stream not in run.stream_names:
            raise KeyError(stream)
        return run.table(stream, fields=fields).reset_index()
    internal = _internal(run, stream)
    if internal is not None:
        # The stream's own `read` would leave the sequence numbers out.
        return internal.read(fields and [name for name in ("seq_num", "time", *fields) if name in internal.columns])
    table = run[stream].read(*([fields] if fields else [])).to_dataframe().reset_index()
    table.insert(0, "seq_num", range(1, len(table) + 1))
    return table


def _internal(run: Any, stream: str) -> Any:
    """Return Tiled's table of a stream in SQL, in one request; None in another layout."""
    if not any(spec.name == "BlueskyRun" and (spec.version or "").startswith("3.") for spec in run.specs):
        return None
    try:
        return run.base[f"{stream}/internal"]
    except KeyError:
        pass
    found = run[stream].base  # as older versions of Tiled's writer laid runs out
    return found["internal"] if "internal" in found else None


def _plain_type(dtype: Any) -> str:
    for test, name in (
        (pd.api.types.is_bool_dtype, "bool"),
        (pd.api.types.is_integer_dtype, "int64"),
        (pd.api.types.is_float_dtype, "float64"),
    ):
        if test(dtype):
            return name
    return "object"
