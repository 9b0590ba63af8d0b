"""The tags of a stored run, of whatever catalogue: its own, those of the runs derived from it, and their places."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from ..catalog import catalog_of, client, descriptor_of, start_of, stream_names, table_of
from ..documents import KEY, STREAM, tagger_name
from ..errors import NoTagsError

__all__ = ["configuration", "derived_runs", "has_tags", "own_tags", "positions", "summary_of"]


def summary_of(run: Any) -> Mapping[str, Any] | None:
    """Return the summary of the tags that a stored run holds itself, or None if it was not written yet."""
    found = start_of(run).get(KEY)
    return found if isinstance(found, Mapping) and "model_sha256" in found else None


def derived_runs(run: Any, catalog: Any = None, *, source: str | None = None) -> list[Any]:
    """Return the complete derived runs of a stored run that hold tags, oldest first.

    Parameters
    ----------
    run : BlueskyRun or Header
        The run with the frames.
    catalog : catalogue or Broker, optional
        Where to look; the run's own catalogue if None.
    source : {"replay", "human"}, optional
        Only those whose tags come from there.
    """
    from tiled.queries import Key

    catalog = catalog_of(run) if catalog is None else client(catalog)
    found = catalog.search(Key("start.original_run_uid") == start_of(run)["uid"]).search(Key("start.purpose") == "tags")
    if source is not None:
        found = found.search(Key(f"start.{KEY}.source") == source)
    # A derived run whose writer was stopped half-way says nothing of the whole run.
    complete = [each for each in found.values() if (each.metadata.get("stop") or {}).get("exit_status") == "success"]
    return sorted(complete, key=lambda each: each.metadata["start"]["time"])


def has_tags(run: Any) -> bool:
    """Return whether a stored run has a stream "tags" itself."""
    return STREAM in stream_names(run)


def own_tags(run: Any) -> pd.DataFrame:
    """Return the stream "tags" that a stored run holds itself, a row a frame; NoTagsError if there is none.

    Index ``seq_num``; first column ``time``, then the columns of the stream. Where the RunEngine took a point again
    after a pause, the last row counts.
    """
    try:
        return table_of(run, STREAM)
    except KeyError:
        raise NoTagsError(
            f"run {start_of(run)['uid']} has no stream {STREAM!r}: "
            "it holds no images, or no tagger was installed when it was taken"
        ) from None


def configuration(run: Any) -> Mapping[str, Any]:
    """Return what the descriptor of a stored run's stream "tags" records of the model."""
    descriptor = descriptor_of(run, STREAM)
    return descriptor["configuration"][tagger_name(descriptor["data_keys"])]["data"]


def positions(run: Any, image_keys: Collection[str]) -> pd.DataFrame:
    """Return where the motors stood that a plan names as its dimensions, by the sequence number of the event.

    Parameters
    ----------
    run : BlueskyRun
        The run with the frames.
    image_keys : collection of str
        Data keys of the images. No positions are returned unless they are taken in the motors' stream and in no other,
        since sequence numbers of another stream would count something else.
    """
    dimensions = start_of(run).get("hints", {}).get("dimensions", [])
    fields = [field for fields, _ in dimensions for field in fields if field != "time"]
    streams = {stream for _, stream in dimensions}
    if not fields or len(streams) != 1 or streams != _streams_with(run, image_keys):
        return pd.DataFrame()
    try:
        return table_of(run, streams.pop(), fields).drop(columns="time")
    except KeyError:
        return pd.DataFrame()


def _streams_with(run: Any, keys: Collection[str]) -> set[str]:
    """Return the streams of a stored run that may have images with these keys."""
    counted = (run.metadata.get("stop") or {}).get("num_events", ())
    names = {name for name in counted or run if name not in (STREAM, "baseline")}
    if len(names) < 2:
        return names  # no request for their keys: the images are there or nowhere
    return {name for name in names if not set(keys).isdisjoint(descriptor_of(run, name)["data_keys"])}
