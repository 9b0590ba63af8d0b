"""The tags of a stored run: its own, those of the runs derived from it, and the positions of its frames."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..catalog import Catalog, Run, Where
from ..documents import CONFIGURATION, KEY, PURPOSE, ROW, SHADOW, STREAM, TagTable, began, read_summary, tagger_name
from ..errors import NoTagsError, XTagValueError

__all__ = [
    "ForeignTagsError",
    "configuration",
    "derived_runs",
    "has_shadow",
    "has_tags",
    "newest_summary",
    "own_tags",
    "positions",
    "summary_of",
]

logger = logging.getLogger("bluesky_xtag")

_PASSED_OVER = 20  # runs with a summary that cannot be believed, after which no older one is looked at
_KINDS = {"number": "f", "integer": "i", "string": "O"}  # of columns, as NumPy names them
_PYTHON = {"string": str, "array": list | tuple | np.ndarray}


class ForeignTagsError(NoTagsError):
    """A stored run has a stream "tags" of somebody else."""


def summary_of(run: Run) -> Mapping[str, Any] | None:
    """Return the summary of the tags that a stored run holds itself, checked.

    None if it was not written yet, or if it is none that can be believed, see `bluesky_xtag.documents.read_summary`.
    """
    return read_summary(run.start)


def newest_summary(catalog: Catalog) -> Mapping[str, Any] | None:
    """Return the summary of the newest run of a catalogue of tagged runs; None if there is none."""
    left = catalog
    for _ in range(_PASSED_OVER):
        run = left.last()
        if run is None:
            return None
        if (summary := summary_of(run)) is not None:
            return summary
        left = left.search(Where("uid", "!=", run.uid))
    return None


def derived_runs(run: Run, catalog: Catalog | None = None, *, source: str | None = None) -> list[Run]:
    """Return the complete derived runs of a stored run that hold tags, oldest first.

    Parameters
    ----------
    run : Run
        The run with the frames.
    catalog : Catalog, optional
        Where to look. If None, the run's own catalogue.
    source : {"replay", "human"}, optional
        Only derived runs whose tags come from this source.
    """
    conditions = [Where("original_run_uid", "==", run.uid), Where("purpose", "==", PURPOSE)]
    if source is not None:
        conditions.append(Where(f"{KEY}.source", "==", source))
    found = (run.catalog if catalog is None else catalog).search(*conditions)
    # A derived run whose writer was stopped half-way says nothing of the whole run.
    return sorted((each for each in found.runs() if each.is_complete), key=lambda each: began(each.start))


def has_tags(run: Run) -> bool:
    """Return whether a stored run has a stream "tags" itself."""
    return STREAM in run.streams


def has_shadow(run: Run) -> bool:
    """Return whether a stored run has rows of a shadow model."""
    return SHADOW in run.streams


def own_tags(run: Run, stream: str = STREAM) -> pd.DataFrame:
    """Return the stream "tags" that a stored run holds itself, one row for each frame; NoTagsError if there is no row.

    Index ``seq_num``; first column ``time``, then the columns of the stream. If the RunEngine took a point again after
    a pause, the last row counts. `stream` may be that of a shadow model, which has rows of the frames that it scored.
    """
    try:
        table = run.table(stream)
    except KeyError:
        if stream == SHADOW:
            raise NoTagsError(f"run {run.uid} has no stream {stream!r}: no shadow model looked on") from None
        raise NoTagsError(
            f"run {run.uid} has no stream {STREAM!r}, or one without rows: it holds no images, no tagger was installed "
            "when it was taken, or its session ended first"
        ) from None
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ForeignTagsError(f"the stream {stream!r} of run {run.uid} cannot be read as a table ({error})") from error
    if not len(table):
        raise NoTagsError(
            f"run {run.uid} has a stream {stream!r} without rows: it has just begun, or its session ended before the "
            "first frame was written; `xtag replay` tags its frames"
        )
    if problem := _what_is_wrong(table):
        raise ForeignTagsError(f"the stream {stream!r} of run {run.uid} does not hold the rows of a tagger: {problem}")
    return table


def _what_is_wrong(table: pd.DataFrame) -> str:
    """Return why a table cannot be rows of a tagger; empty if it can."""
    try:
        rows = TagTable(table)
    except XTagValueError as error:
        return str(error)
    for each in ROW:
        if each.suffix not in rows:
            return f"it has no column *_{each.suffix}"
        if rows[each.suffix].dtype.kind != _KINDS[each.dtype]:
            return f"{rows.column(each.suffix)} is not a column of type {each.dtype}"
        if each.dtype == "string" and not rows[each.suffix].map(lambda value: isinstance(value, str)).all():
            return f"{rows.column(each.suffix)} holds something that is not text"
    if any(dtype.kind != "f" for dtype in rows.scores().dtypes):
        return "its scores are not numbers"
    return ""


def configuration(run: Run, stream: str = STREAM) -> Mapping[str, Any]:
    """Return what the descriptor of a stored run's stream "tags" records about the model, or that of a shadow.

    Raises
    ------
    NoTagsError
        There is no such stream, or it records none.
    """
    try:
        descriptor = run.descriptor(stream)
        name = tagger_name(descriptor["data_keys"])
        found = descriptor["configuration"][name]["data"]
        keys = {f"{name}_{each.suffix}": each for each in CONFIGURATION}
        wrong = [
            key
            for key, each in keys.items()
            if not (each.added and key not in found) and not isinstance(found[key], _PYTHON.get(each.dtype, object))
        ]
        tags = [tag for tag in found[f"{name}_taxonomy"] if not isinstance(tag, str)]
    except (LookupError, TypeError, XTagValueError) as error:
        raise NoTagsError(f"run {run.uid} has no stream {stream!r} that records its model ({error})") from error
    if wrong or tags:
        raise NoTagsError(f"the stream {stream!r} of run {run.uid} records a model in another way: {wrong or tags}")
    return found


def positions(run: Run, image_keys: Collection[str]) -> pd.DataFrame:
    """Return the positions of the motors that a plan names as its dimensions, by the sequence number of the event.

    Parameters
    ----------
    run : Run
        The run with the frames.
    image_keys : collection of str
        Data keys of the images. Positions are returned only if the images are in the stream of the motors and in no
        other, because sequence numbers of another stream count other events.
    """
    try:
        dimensions = run.start.get("hints", {}).get("dimensions", [])
        fields = [str(field) for fields, _ in dimensions for field in fields if field != "time"]
        streams = {str(stream) for _, stream in dimensions}
    except (AttributeError, TypeError, ValueError):  # hints that are none
        return pd.DataFrame()
    try:
        if not fields or len(streams) != 1 or streams != _streams_with(run, image_keys):
            return pd.DataFrame()
        return run.table(streams.pop(), fields).drop(columns="time")
    except (AttributeError, LookupError, TypeError, ValueError):  # streams that are not there, or are none
        return pd.DataFrame()


def _streams_with(run: Run, keys: Collection[str]) -> set[str]:
    """Return the streams of a stored run that may have images with these keys."""
    names = {name for name in run.num_events or run.streams if name not in (STREAM, SHADOW, "baseline")}
    if len(names) < 2:
        return names  # no request for their keys: the images are there or nowhere
    return {name for name in names if not set(keys).isdisjoint(run.descriptor(name)["data_keys"])}
