"""The shape of the "tags" stream: the only place that knows its column names.

Rows are scalars only, because lists do not survive every store (SQLite refuses them, DuckDB returns strings).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .taxonomy import Taxonomy

__all__ = [
    "STATUSES",
    "STREAM",
    "Status",
    "Tagging",
    "data_keys",
    "row",
    "score_column",
]

STREAM = "tags"

Status = Literal["ok", "late", "dropped", "unreadable", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Tagging:
    """The outcome for one frame.

    Parameters
    ----------
    event : str
        Uid of the event or stream_datum that brought the frame.
    seq_num : int
        Sequence number of that event, from 1.
    index : int
        Which image within that event, from 0.
    status : str
        One of `STATUSES`.
    scores : tuple of float
        One probability per tag, in taxonomy order; empty unless the status is "ok".
    tags : tuple of str
        The accepted tags in taxonomy order.
    latency : float
        Seconds from the arrival of the document to the outcome.
    reason : str
        Why there are no scores; empty when the status is "ok".
    """

    event: str
    seq_num: int
    index: int
    status: Status
    scores: tuple[float, ...] = ()
    tags: tuple[str, ...] = ()
    latency: float = math.nan
    reason: str = ""


def score_column(name: str, tag: str) -> str:
    """Return the column that holds the probability of a tag, for the tagger called `name`."""
    return f"{name}_p_{tag}"


def data_keys(name: str, taxonomy: Taxonomy) -> dict[str, Any]:
    """Return event-model data keys of the columns of a tagger called `name`, in column order."""
    source = f"bluesky_xtag:{name}"

    def key(dtype: str, dtype_numpy: str, **more: Any) -> dict[str, Any]:
        return {"source": source, "dtype": dtype, "dtype_numpy": dtype_numpy, "shape": [], **more}

    scores = {score_column(name, tag): key("number", "<f8", units="") for tag in taxonomy.names}
    return scores | {
        f"{name}_tags": key("string", "|O"),
        f"{name}_status": key("string", "|O"),
        f"{name}_frame_event": key("string", "|O"),
        f"{name}_frame_seq_num": key("integer", "<i8"),
        f"{name}_frame_index": key("integer", "<i8"),
        f"{name}_latency": key("number", "<f8", units="s"),
    }


def row(name: str, taxonomy: Taxonomy, tagging: Tagging) -> dict[str, float | int | str]:
    """Return the row of a tagging: a scalar for each column of `data_keys`.

    The scores of a tagging that is not "ok" are NaN.
    """
    scores: Sequence[float] = tagging.scores or (math.nan,) * len(taxonomy)
    columns: Mapping[str, float] = {
        score_column(name, tag): float(score) for tag, score in zip(taxonomy.names, scores, strict=True)
    }
    return dict(columns) | {
        f"{name}_tags": " ".join(tagging.tags),
        f"{name}_status": tagging.status,
        f"{name}_frame_event": tagging.event,
        f"{name}_frame_seq_num": int(tagging.seq_num),
        f"{name}_frame_index": int(tagging.index),
        f"{name}_latency": float(tagging.latency),
    }
