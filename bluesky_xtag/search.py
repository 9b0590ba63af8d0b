"""Read stored tags back, from Tiled and from databroker."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .documents import STREAM
from .errors import NoTagsError
from .stored import start_of, stream_names, table_of

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
    if STREAM not in stream_names(run):
        raise NoTagsError(
            f"run {start_of(run)['uid']} has no stream {STREAM!r}: "
            "it holds no images, or no tagger was installed when it was taken"
        )
    return table_of(run, STREAM)
