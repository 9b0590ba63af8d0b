"""The columns of the stream "tags": the only place that knows their names.

Rows are scalars only, because lists do not survive every store (SQLite refuses them, DuckDB returns strings).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from ..errors import XTagValueError
from ..model import Taxonomy
from .tagging import Tagging

if TYPE_CHECKING:
    from event_model import DataKey

    from ..model import ServedModel

__all__ = [
    "STREAM",
    "configuration",
    "configuration_keys",
    "correction_keys",
    "data_keys",
    "row",
    "score_column",
    "tagger_name",
]

STREAM = "tags"


def score_column(name: str, tag: str) -> str:
    """Return the column that holds the probability of a tag, for the tagger called `name`."""
    return f"{name}_p_{tag}"


def tagger_name(columns: Iterable[str]) -> str:
    """Return the name of the tagger whose columns these are, the first part of their names."""
    mark = "_frame_event"
    for column in columns:
        if column.endswith(mark):
            return column.removesuffix(mark)
    raise XTagValueError(f"these are no rows of a tagger: no column *{mark} among {', '.join(columns) or 'none'}")


def data_keys(name: str, taxonomy: Taxonomy) -> dict[str, DataKey]:
    """Return event-model data keys of the columns of a tagger called `name`, in column order."""
    scores = {score_column(name, tag): _key(name, "number") for tag in taxonomy.names}
    return scores | {
        f"{name}_tags": _key(name, "string"),
        f"{name}_status": _key(name, "string"),
        f"{name}_frame_event": _key(name, "string"),
        f"{name}_frame_key": _key(name, "string"),
        f"{name}_frame_seq_num": _key(name, "integer"),
        f"{name}_frame_index": _key(name, "integer"),
        f"{name}_latency": _key(name, "number", units="s"),
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
        f"{name}_frame_event": tagging.frame.event,
        f"{name}_frame_key": tagging.frame.key,
        f"{name}_frame_seq_num": int(tagging.frame.seq_num),
        f"{name}_frame_index": int(tagging.frame.index),
        f"{name}_latency": float(tagging.latency),
    }


def configuration(name: str, model: ServedModel) -> dict[str, Any]:
    """Return what the descriptor of the stream records of the model, by configuration key."""
    return {
        f"{name}_model": model.name,
        f"{name}_model_version": model.version,
        f"{name}_model_sha256": model.sha256,
        f"{name}_taxonomy": list(model.taxonomy.names),
        f"{name}_thresholds": [float(threshold) for threshold in model.thresholds],
        f"{name}_preparation": json.dumps(model.preparation.to_dict(), sort_keys=True),
        f"{name}_package_version": version("bluesky_xtag"),
        f"{name}_device": model.device,
    }


def configuration_keys(name: str, taxonomy: Taxonomy) -> dict[str, DataKey]:
    """Return event-model data keys of `configuration`."""
    tags = [len(taxonomy)]
    longest = max(map(len, taxonomy.names), default=1)
    return {
        f"{name}_model": _key(name, "string"),
        f"{name}_model_version": _key(name, "string"),
        f"{name}_model_sha256": _key(name, "string"),
        f"{name}_taxonomy": _key(name, "array", shape=tags, dtype_numpy=f"<U{longest}"),
        f"{name}_thresholds": _key(name, "array", shape=tags, dtype_numpy="<f8"),
        f"{name}_preparation": _key(name, "string"),
        f"{name}_package_version": _key(name, "string"),
        f"{name}_device": _key(name, "string"),
    }


# Types that every store gives back as they went in; for strings of any length NumPy has no name in the schema.
_NUMPY_TYPES = {"number": "<f8", "integer": "<i8"}


def _key(name: str, dtype: str, **more: Any) -> DataKey:
    key = {"source": f"bluesky_xtag:{name}", "dtype": dtype, "shape": []}
    if dtype in _NUMPY_TYPES:
        key["dtype_numpy"] = _NUMPY_TYPES[dtype]
    return cast("DataKey", key | more)


def correction_keys(name: str, taxonomy: Taxonomy) -> dict[str, DataKey]:
    """Return event-model data keys of a correction: the columns of `data_keys`, and what a person said of the frame."""
    return data_keys(name, taxonomy) | {
        f"{name}_added": _key(name, "string"),
        f"{name}_removed": _key(name, "string"),
        f"{name}_by": _key(name, "string"),
        f"{name}_note": _key(name, "string"),
    }
