"""The tags of a stored run: its own, those of the runs derived from it, and the positions of its frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from ..catalog import Catalog, Run, Where
from ..documents import KEY, PURPOSE, STREAM, tagger_name
from ..errors import NoTagsError

__all__ = ["configuration", "derived_runs", "has_tags", "own_tags", "positions", "summary_of"]


def summary_of(run: Run) -> Mapping[str, Any] | None:
    """Return the summary of the tags that a stored run holds itself, or None if it was not written yet."""
    found = run.start.get(KEY)
    return found if isinstance(found, Mapping) and "model_sha256" in found else None


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
    return sorted((each for each in found.runs() if each.is_complete), key=lambda each: each.start["time"])


def has_tags(run: Run) -> bool:
    """Return whether a stored run has a stream "tags" itself."""
    return STREAM in run.streams


def own_tags(run: Run) -> pd.DataFrame:
    """Return the stream "tags" that a stored run holds itself, one row for each frame; NoTagsError if there is none.

    Index ``seq_num``; first column ``time``, then the columns of the stream. If the RunEngine took a point again after
    a pause, the last row counts.
    """
    try:
        return run.table(STREAM)
    except KeyError:
        raise NoTagsError(
            f"run {run.uid} has no stream {STREAM!r}: it holds no images, or no tagger was installed when it was taken"
        ) from None


def configuration(run: Run) -> Mapping[str, Any]:
    """Return what the descriptor of a stored run's stream "tags" records about the model."""
    descriptor = run.descriptor(STREAM)
    return descriptor["configuration"][tagger_name(descriptor["data_keys"])]["data"]


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
    dimensions = run.start.get("hints", {}).get("dimensions", [])
    fields = [field for fields, _ in dimensions for field in fields if field != "time"]
    streams = {stream for _, stream in dimensions}
    if not fields or len(streams) != 1 or streams != _streams_with(run, image_keys):
        return pd.DataFrame()
    try:
        return run.table(streams.pop(), fields).drop(columns="time")
    except KeyError:
        return pd.DataFrame()


def _streams_with(run: Run, keys: Collection[str]) -> set[str]:
    """Return the streams of a stored run that may have images with these keys."""
    counted = run.stop.get("num_events", ())
    names = {name for name in counted or run.streams if name not in (STREAM, "baseline")}
    if len(names) < 2:
        return names  # no request for their keys: the images are there or nowhere
    return {name for name in names if not set(keys).isdisjoint(run.descriptor(name)["data_keys"])}
