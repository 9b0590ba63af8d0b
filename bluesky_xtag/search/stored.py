"""A stored run, of whatever catalogue: its start document, its rows, and the runs derived from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from ..documents import STREAM, tagger_name
from ..errors import NoTagsError, XTagValueError
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


def start_of(run: Any) -> Mapping[str, Any]:
    """Return the start document of a stored run."""
    return run.start if _is_header(run) else run.metadata["start"]


def summary_of(run: Any) -> Mapping[str, Any] | None:
    """Return the summary of the tags that a stored run holds itself, or None if it was not written yet."""
    found = start_of(run).get(KEY)
    return found if isinstance(found, Mapping) and "model_sha256" in found else None


def client(catalog: Any) -> Any:
    """Return the Tiled client of a catalogue; a Broker of databroker carries one."""
    if hasattr(catalog, "search"):
        return catalog
    if hasattr(catalog, "v2"):
        return catalog.v2
    raise XTagValueError(f"{type(catalog).__name__} is no catalogue: give one of Tiled, or databroker's Broker")


def catalog_of(run: Any) -> Any:
    """Return the catalogue (a Tiled client) that holds a stored run."""
    return client(run.db) if _is_header(run) else run.parent


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
    return any(name == STREAM for name in (run.stream_names if _is_header(run) else run))


def own_tags(run: Any) -> pd.DataFrame:
    """Return the stream "tags" that a stored run holds itself, a row a frame; NoTagsError if there is none.

    Index ``seq_num``; first column ``time``, then the columns of the stream. Where the RunEngine took a point again
    after a pause, the last row counts.
    """
    try:
        table = _table(run, STREAM)
    except KeyError:
        raise NoTagsError(
            f"run {start_of(run)['uid']} has no stream {STREAM!r}: "
            "it holds no images, or no tagger was installed when it was taken"
        ) from None
    columns = [name for name in table.columns if name not in ("seq_num", "time") and not name.startswith("ts_")]
    table = table.drop_duplicates("seq_num", keep="last").set_index("seq_num").sort_index()
    table = table.reindex(columns=["time", *columns])
    if table["time"].dtype.kind == "M":
        table["time"] = table["time"].astype("int64") / 1e9
    return table.astype({name: _plain_type(table[name].dtype) for name in table.columns})


def configuration(run: Any) -> Mapping[str, Any]:
    """Return what the descriptor of a stored run's stream "tags" records of the model."""
    descriptor = _described((run.v2 if _is_header(run) else run)[STREAM].metadata)
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
        table = _table(run, streams.pop(), fields)
    except KeyError:
        return pd.DataFrame()
    return table.drop_duplicates("seq_num", keep="last").set_index("seq_num")


def _streams_with(run: Any, keys: Collection[str]) -> set[str]:
    """Return the streams of a stored run that may have images with these keys."""
    counted = (run.metadata.get("stop") or {}).get("num_events", ())
    names = {name for name in counted or run if name not in (STREAM, "baseline")}
    if len(names) < 2:
        return names  # no request for their keys: the images are there or nowhere
    return {name for name in names if not set(keys).isdisjoint(_described(run[name].metadata)["data_keys"])}


def _described(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a stream's descriptor: Tiled on SQL keeps its fields, the Mongo layout whole descriptors."""
    return metadata if "data_keys" in metadata else metadata["descriptors"][-1]


def _is_header(run: Any) -> bool:
    # Databroker's own class of runs, older than Tiled. An instance of Tiled's would ask its server for the attribute.
    return hasattr(type(run), "table")


def _table(run: Any, stream: str, fields: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a stream's scalars with ``seq_num``, all or some of them; KeyError if there is no such stream."""
    if _is_header(run):
        if stream not in run.stream_names:
            raise KeyError(stream)
        return run.table(stream, fields=fields).reset_index()
    internal = _internal(run, stream)
    if internal is not None:
        # The stream's own `read` would leave the sequence numbers out.
        return internal.read(fields and [name for name in ("seq_num", *fields) if name in internal.columns])
    table = run[stream].read(*([fields] if fields else [])).to_dataframe().reset_index()
    table.insert(0, "seq_num", range(1, len(table) + 1))
    return table


def _internal(run: Any, stream: str) -> Any:
    """Return Tiled's table of a stream in SQL, in one request; None in another layout."""
    if not any(spec.name == "BlueskyRun" and (spec.version or "").startswith("3.") for spec in run.specs):
        return None
    try:
        return run.base[f"{stream}/internal"]
    except KeyError:
        pass
    found = run[stream].base  # as older versions of Tiled's writer laid runs out
    return found["internal"] if "internal" in found else None


def _plain_type(dtype: Any) -> str:
    if pd.api.types.is_integer_dtype(dtype):
        return "int64"
    return "float64" if pd.api.types.is_float_dtype(dtype) else "object"
