"""Read stored tags back, from Tiled and from databroker."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .documents import STREAM
from .errors import NoTagsError

__all__ = ["tags"]


def tags(run: Any) -> pd.DataFrame:
    """Return the stream "tags" of a stored run as a table, a row per frame.

    Parameters
    ----------
    run : BlueskyRun or Header
        A run of a Tiled catalogue (``catalog[-1]``) or of databroker (``catalog[-1]``, ``broker[-1]``).

    Returns
    -------
    pandas.DataFrame
        Index ``seq_num``; first column ``time`` (seconds since 1970), then the columns of the stream in their order:
        scores as float64 (NaN unless the status is "ok"), numbers as int64, text as str. Where the RunEngine took a
        point again after a pause, the last row counts.

    Raises
    ------
    NoTagsError
        If the run has no stream "tags".
    """
    header = hasattr(run, "table")  # databroker's own class of runs, older than Tiled
    if STREAM not in (run.stream_names if header else list(run)):
        start = run.start if header else run.metadata["start"]
        raise NoTagsError(
            f"run {start['uid']} has no stream {STREAM!r}: "
            "it holds no images, or no tagger was installed when it was taken"
        )
    table: pd.DataFrame = run.table(STREAM).reset_index() if header else _stored_table(run[STREAM])
    columns = [name for name in table.columns if name not in ("seq_num", "time") and not name.startswith("ts_")]
    table = table.drop_duplicates("seq_num", keep="last").set_index("seq_num").sort_index()
    table = table.reindex(columns=["time", *columns])
    if table["time"].dtype.kind == "M":
        table["time"] = table["time"].astype("int64") / 1e9
    return table.astype({name: _plain_type(table[name].dtype) for name in table.columns})


def _stored_table(stream: Any) -> pd.DataFrame:
    base = getattr(stream, "base", None)
    if base is not None and "internal" in base:
        return base["internal"].read()  # the stream's own `read` leaves the sequence numbers out
    table = stream.read().to_dataframe().reset_index()
    table.insert(0, "seq_num", range(1, len(table) + 1))
    return table


def _plain_type(dtype: Any) -> str:
    if pd.api.types.is_integer_dtype(dtype):
        return "int64"
    return "float64" if pd.api.types.is_float_dtype(dtype) else "object"
