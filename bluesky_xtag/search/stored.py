"""A stored run, of whatever catalogue: its start document, its rows, and the runs derived from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from ..documents import STREAM, tagger_name
from ..errors import NoTagsError
from ..stored import descriptor_of, is_header, start_of, stream_names, table_of
from ..summary import KEY

__all__ = [
    "catalog_of",
    "client",
    "configuration",
    "derived_runs",
    "has_tags",
    "own_tags",
    "positions",
    "start_of",
    "summary_of",
]


def summary_of(run: Any) -> Mapping[str, Any] | None:
    """Return the summary of the tags that a stored run holds itself, or None if it was not written yet."""
    return start_of(run).get(KEY)


def client(catalog: Any) -> Any:
    """Return the Tiled client of a catalogue; a Broker of databroker carries one."""
    return catalog if hasattr(catalog, "search") else catalog.v2


def catalog_of(run: Any) -> Any:
    """Return the catalogue (a Tiled client) that holds a stored run."""
    return client(run.db) if is_header(run) else run.parent


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
    if not has_tags(run):
        raise NoTagsError(
            f"run {start_of(run)['uid']} has no stream {STREAM!r}: "
            "it holds no images, or no tagger was installed when it was taken"
        )
    return table_of(run, STREAM)


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
    with_images = {
        stream
        for stream in list(run)
        if stream != STREAM and not set(image_keys).isdisjoint(descriptor_of(run, stream)["data_keys"])
    }
    if not fields or len(streams) != 1 or streams != with_images:
        return pd.DataFrame()
    name = streams.pop()
    stream = run[name]
    known = [field for field in fields if field in descriptor_of(run, name)["data_keys"]]
    base = getattr(stream, "base", None)
    if base is not None and "internal" in base:
        internal = base["internal"]
        table = internal.read([name for name in ("seq_num", *known) if name in internal.columns])
    else:
        table = stream.read(known).to_dataframe().reset_index(drop=True)
        table.insert(0, "seq_num", range(1, len(table) + 1))
    return table.drop_duplicates("seq_num", keep="last").set_index("seq_num")
