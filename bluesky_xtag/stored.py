"""Streams of stored runs as tables, whatever the catalogue: Tiled, or databroker old and new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["descriptor_of", "is_header", "start_of", "stream_names", "table_of"]


def start_of(run: Any) -> Mapping[str, Any]:
    """Return the start document of a stored run."""
    return run.start if is_header(run) else run.metadata["start"]


def stream_names(run: Any) -> list[str]:
    """Return the names of the streams of a stored run."""
    return list(run.stream_names if is_header(run) else run)


def table_of(run: Any, stream: str) -> pd.DataFrame:
    """Return the events of a stream as a table; where the RunEngine took a point again after a pause, the last counts.

    Parameters
    ----------
    run : BlueskyRun or Header
        A stored run.
    stream : str
        Name of a stream that it has, with scalars only.

    Returns
    -------
    pandas.DataFrame
        Index ``seq_num``; first column ``time`` (seconds since 1970), then the columns of the stream in their order:
        numbers as float64, whole ones as int64, truths as bool, text as str.
    """
    table: pd.DataFrame = run.table(stream).reset_index() if is_header(run) else _stored_table(run[stream])
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


def _stored_table(stream: Any) -> pd.DataFrame:
    base = getattr(stream, "base", None)
    if base is not None and "internal" in base:
        return base["internal"].read()  # the stream's own `read` leaves the sequence numbers out
    table = stream.read().to_dataframe().reset_index()
    table.insert(0, "seq_num", range(1, len(table) + 1))
    return table


def _plain_type(dtype: Any) -> str:
    for test, name in (
        (pd.api.types.is_bool_dtype, "bool"),
        (pd.api.types.is_integer_dtype, "int64"),
        (pd.api.types.is_float_dtype, "float64"),
    ):
        if test(dtype):
            return name
    return "object"
