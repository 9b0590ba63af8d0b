"""The columns of the stream "tags". One entry holds the name of a column, its type, its meaning and how to fill it.

Rows hold scalars only, because some stores cannot keep lists (SQLite refuses them, DuckDB returns strings). A new
column is one more entry here, filled from one more field of `Tagging`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, cast

from ..errors import XTagValueError
from ..model import Taxonomy
from .tagging import Tagging

if TYPE_CHECKING:
    from event_model import DataKey

    from ..model import ServedModel

__all__ = [
    "CONFIGURATION",
    "CORRECTION",
    "DECIDED_BY",
    "FRAME",
    "ROW",
    "SCORE",
    "SHADOW",
    "SKIPPED",
    "STREAM",
    "STRENGTH",
    "Column",
    "column",
    "columns_of",
    "configuration",
    "configuration_keys",
    "correction_keys",
    "data_key",
    "data_keys",
    "is_tagger",
    "row",
    "score_column",
    "strength_column",
    "tagger_name",
]

STREAM = "tags"
SHADOW = "tags_shadow"  # of a second model, which looks on in the time that is left

DType = Literal["number", "integer", "string", "boolean", "array"]
# Types that every store gives back as they went in; for strings of any length NumPy has no name in the schema.
_NUMPY_TYPES = {"number": "<f8", "integer": "<i8", "boolean": "|b1"}


@dataclass(frozen=True)
class Column:
    """A column of rows, or an entry of the stream's configuration.

    Parameters
    ----------
    suffix : str
        The part of its name after the tagger's name and an underscore.
    dtype : {"number", "integer", "string", "boolean", "array"}
        Its type in event-model's sense.
    meaning : str
        What it means, for the documentation.
    fill : callable
        Returns the value, given a `Tagging` (columns of rows) or a model (configuration).
    units : str, optional
        Unit of a number.
    added : bool
        Whether runs that earlier versions tagged lack it.
    """

    suffix: str
    dtype: DType
    meaning: str
    fill: Callable[[Any], Any]
    units: str | None = None
    added: bool = False

    def key(self, name: str, **more: Any) -> DataKey:
        """Return the event-model data key of this column of the tagger called `name`."""
        if self.units is not None:
            more["units"] = self.units
        return data_key(f"bluesky_xtag:{name}", self.dtype, **more)


def _of_frame(part: str) -> Callable[[Tagging], Any]:
    return lambda tagging: getattr(tagging.frame, part)


SCORE = Column(
    "p_<tag>",
    "number",
    "score of a tag, 0 to 1; one column for each tag of the model, in the order of its taxonomy; NaN unless the status "
    "is `ok`",
    lambda score: float(score),
)
STRENGTH = Column(
    "s_<tag>",
    "number",
    "strength of a component: log10 of its estimated signal-to-noise ratio; one column for each graded tag of the "
    "model; NaN unless the status is `ok`",
    lambda strength: float(strength),
    added=True,
)
FRAME = (
    Column(
        "frame_event", "string", "uid of the event that holds the frame, or of the stream_datum", _of_frame("event")
    ),
    Column("frame_key", "string", "data key of the image", _of_frame("key")),
    Column("frame_seq_num", "integer", "sequence number of that event in its stream, from 1", _of_frame("seq_num")),
    Column("frame_index", "integer", "which image within that event, from 0", _of_frame("index")),
)
_MARK = f"_{FRAME[0].suffix}"  # ends the name of a column that only taggers have
ROW = (
    Column(
        "tags",
        "string",
        'the accepted tags in the order of the taxonomy, separated by spaces; `""` if none',
        lambda tagging: " ".join(tagging.tags),
    ),
    Column("status", "string", "the outcome for the frame, see below", lambda tagging: tagging.status),
    *FRAME,
    Column(
        "latency",
        "number",
        "seconds from the arrival of the document to the outcome",
        lambda tagging: tagging.latency,
        units="s",
    ),
    Column(
        "device",
        "string",
        'what scored the frame: `CPU`, or `GPU: ` and its name; on a Dask worker, then ` at ` and its address; `""` '
        "unless the status is `ok`",
        lambda tagging: tagging.device,
    ),
)
CORRECTION = (
    Column("added", "string", "tags that hold, separated by spaces", lambda said: " ".join(said.added)),
    Column("removed", "string", "tags that do not hold", lambda said: " ".join(said.removed)),
    Column("by", "string", "who corrected the frame", lambda said: said.by),
    Column("note", "string", "why", lambda said: said.note),
)
SKIPPED = Column(
    "skipped",
    "integer",
    "how many frames of the run had been skipped when the row was written; in the last row: of the whole run",
    int,
)
DECIDED_BY = "decided_by"  # suffix of a column that is not stored: "model", or who corrected the frame last
CONFIGURATION = (
    Column("model", "string", "the model's name", lambda model: model.name),
    Column("model_version", "string", "its version", lambda model: model.version),
    Column("model_sha256", "string", "SHA-256 of its network, tags and preparation", lambda model: model.sha256),
    Column("taxonomy", "array", "names of its tags, in order", lambda model: list(model.taxonomy.names)),
    Column(
        "thresholds",
        "array",
        "score from which on each tag is accepted",
        lambda model: [float(threshold) for threshold in model.thresholds],
    ),
    Column(
        "preparation",
        "string",
        "settings of the preparation, as JSON",
        lambda model: json.dumps(model.preparation.to_dict(), sort_keys=True),
    ),
    Column("package_version", "string", "version of bluesky_xtag", lambda model: version("bluesky_xtag")),
    Column(
        "device",
        "string",
        "`CPU`, or `GPU: ` and its name; `unknown` if the process that tags was not ready yet",
        lambda model: model.device,
    ),
    Column(
        "restarts",
        "integer",
        "how often the process that tags had been replaced, in this session, before the run's first row; 0 where the "
        "session itself tags",
        lambda model: int(getattr(model, "restarts", 0)),
        added=True,
    ),
)
_CAST = {"number": float, "integer": int, "string": str}


def data_key(source: str, dtype: DType, **more: Any) -> DataKey:
    """Return an event-model data key; without a shape, the key of a scalar."""
    key = {"source": source, "dtype": dtype, "shape": []}
    if dtype in _NUMPY_TYPES:
        key["dtype_numpy"] = _NUMPY_TYPES[dtype]
    return cast("DataKey", key | more)


def column(name: str, suffix: str) -> str:
    """Return the full name of a column of the tagger called `name`."""
    return f"{name}_{suffix}"


def score_column(name: str, tag: str) -> str:
    """Return the column that holds the score of a tag, for the tagger called `name`."""
    return column(name, f"p_{tag}")


def strength_column(name: str, tag: str) -> str:
    """Return the column that holds the strength of a graded tag, for the tagger called `name`."""
    return column(name, f"s_{tag}")


def tagger_name(columns: Iterable[str]) -> str:
    """Return the name of the tagger, which is the first part of the names of these columns."""
    columns = list(columns)
    for each in columns:
        if str(each).endswith(_MARK):
            return str(each).removesuffix(_MARK)
    listed = ", ".join(map(str, columns)) or "none"
    raise XTagValueError(f"these are not rows of a tagger: no column *{_MARK} among {listed}")


def is_tagger(columns: Iterable[str]) -> bool:
    """Return whether these are the names of columns of a tagger."""
    return any(str(each).endswith(_MARK) for each in columns)


def data_keys(name: str, taxonomy: Taxonomy) -> dict[str, DataKey]:
    """Return event-model data keys of the columns of a tagger called `name`, in column order."""
    scores = {score_column(name, tag): SCORE.key(name) for tag in taxonomy.names}
    scores |= {strength_column(name, tag): STRENGTH.key(name) for tag in taxonomy.graded}
    return scores | {column(name, each.suffix): each.key(name) for each in ROW}


def row(name: str, taxonomy: Taxonomy, tagging: Tagging) -> dict[str, float | int | str]:
    """Return the row of a tagging: a scalar for each column of `data_keys`.

    The scores of a tagging that is not "ok" are NaN.
    """
    return score_values(name, taxonomy, tagging) | {
        column(name, each.suffix): _CAST[each.dtype](each.fill(tagging)) for each in ROW
    }


def columns_of(
    name: str, taxonomy: Taxonomy, frames: Mapping[str, Sequence[str | int]], taggings: Sequence[Tagging]
) -> dict[str, Sequence[float | int | str]]:
    """Return the rows of many taggings as columns, with the values that `row` gives one by one.

    Parameters
    ----------
    name : str
        The tagger's name.
    taxonomy : Taxonomy
        The model's tags.
    frames : mapping of str to sequence
        Which frames, as columns: `event`, `key`, `seq_num` and `index`.
    taggings : sequence of Tagging
        Their outcomes, where frames that have the same outcome may share one.
    """
    different = {id(tagging): tagging for tagging in taggings}
    order = [id(tagging) for tagging in taggings]
    given = {each: row(name, taxonomy, tagging) for each, tagging in different.items()}
    of_frame = {column(name, each.suffix): frames[each.suffix.removeprefix("frame_")] for each in FRAME}
    return {
        key: of_frame[key] if key in of_frame else [given[each][key] for each in order]
        for key in data_keys(name, taxonomy)
    }


def score_values(name: str, taxonomy: Taxonomy, tagging: Tagging) -> dict[str, float | int | str]:
    """Return the scores and the strengths of a tagging by their columns; NaN if it is not "ok"."""
    scores: Sequence[float] = tagging.scores or (math.nan,) * len(taxonomy)
    strengths: Sequence[float] = tagging.strengths or (math.nan,) * len(taxonomy.graded)
    values = {score_column(name, tag): SCORE.fill(score) for tag, score in zip(taxonomy.names, scores, strict=True)}
    for tag, strength in zip(taxonomy.graded, strengths, strict=True):
        values[strength_column(name, tag)] = STRENGTH.fill(strength)
    return values


def configuration(name: str, model: ServedModel) -> dict[str, Any]:
    """Return what the descriptor of the stream records about the model, by configuration key."""
    return {column(name, each.suffix): each.fill(model) for each in CONFIGURATION}


def configuration_keys(name: str, taxonomy: Taxonomy) -> dict[str, DataKey]:
    """Return event-model data keys of `configuration`."""
    longest = max(map(len, taxonomy.names), default=1)
    types = {"taxonomy": f"<U{longest}", "thresholds": "<f8"}
    arrays: dict[str, Mapping[str, Any]] = {
        suffix: {"shape": [len(taxonomy)], "dtype_numpy": dtype} for suffix, dtype in types.items()
    }
    return {column(name, each.suffix): each.key(name, **arrays.get(each.suffix, {})) for each in CONFIGURATION}


def correction_keys(name: str, taxonomy: Taxonomy) -> dict[str, DataKey]:
    """Return event-model data keys of a correction: the columns of `data_keys`, and what a person said."""
    return data_keys(name, taxonomy) | {column(name, each.suffix): each.key(name) for each in CORRECTION}
