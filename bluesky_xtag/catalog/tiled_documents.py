"""The documents of a run in Tiled's own layout, so that its images can be read.

Tiled keeps a run as tables and arrays, and the documents that it exports lack the dtypes of arrays in events and name
only one file of each detector. This module therefore makes the documents from what Tiled keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from ..documents import SHADOW, STREAM
from ..frames import can_read, images_and_size
from .protocol import Document
from .values import FileValue, ServedValue

__all__ = ["BOOLEANS", "documents_of"]

BOOLEANS = {"True": True, "False": False}
"""What Tiled gives back for booleans of a column in which one is missing (0.2.20)."""


def documents_of(run: Any) -> Iterator[Document]:
    """Yield the documents of a run in Tiled's own layout, without those of the streams of tags; see `Run.documents`.

    Parameters
    ----------
    run : BlueskyRun
        Tiled's client of the run.
    """
    start = run.metadata["start"]
    yield "start", start
    base = run.base
    if "streams" in base and "BlueskyEventStream" not in {spec.name for spec in base["streams"].specs}:
        base = base["streams"]  # as it was kept before
    for name in base:
        if name not in (STREAM, SHADOW):
            stream = base[name]
            yield from _of_stream(start["uid"], name, getattr(stream, "base", stream))
    stop = run.metadata.get("stop")
    yield "stop", {"run_start": start["uid"], **(stop if isinstance(stop, Mapping) else {})}


def _of_stream(run: str, name: str, stream: Any) -> Iterator[Document]:
    from bluesky_tiled_plugins.exporters import build_descriptor_docs

    descriptors = build_descriptor_docs(dict(stream.metadata), stream_name=name, run_start_uid=run)
    for descriptor in descriptors:
        yield "descriptor", descriptor
    data_keys = descriptors[0]["data_keys"]
    parts = list(stream)
    rows = _rows(stream, [part for part in parts if part.startswith("internal") and part not in data_keys])
    clients = {key: stream[key] for key in parts if key in data_keys}
    arrays = {key: _Array(client, data_keys[key]) for key, client in clients.items() if _may_hold_images(client)}
    for position, row in rows:
        descriptor = next((doc for doc in reversed(descriptors) if doc["time"] <= row["time"]), descriptors[0])
        data = {key: _plain(row[key], data_keys[key]) for key in data_keys if key in row}
        for key, array in arrays.items():
            if not array.streamed:
                data[key] = array.value(position if array.events >= len(rows) else row["seq_num"] - 1)
        yield "event", _event(descriptor, int(row["seq_num"]), data, f"event-{descriptor['uid']}-{row['seq_num']}")
    # A detector that streams says nothing in events, so its frames do not know what else the events hold.
    for key, array in arrays.items():
        if array.streamed or not rows:
            for position in range(array.events):
                uid = f"sd-{descriptors[0]['uid']}-{key}-{position}"
                yield "event", _event(descriptors[0], position + 1, {key: array.value(position)}, uid)


def _rows(stream: Any, tables: Sequence[str]) -> list[tuple[int, dict[str, Any]]]:
    """Return the table of a stream, rows with their position. If a point was taken again, the last row counts."""
    joined: dict[int, dict[str, Any]] = {}
    for name in sorted(tables):
        for position, row in enumerate(stream[name].read().to_dict(orient="records")):
            joined.setdefault(position, {}).update(row)
    last = {row["seq_num"]: position for position, row in joined.items()}
    return [(last[number], joined[last[number]]) for number in sorted(last)]


def _plain(value: Any, data_key: Mapping[str, Any]) -> Any:
    return BOOLEANS.get(value, value) if data_key.get("dtype") == "boolean" and isinstance(value, str) else value


def _event(descriptor: Mapping[str, Any], seq_num: int, data: dict[str, Any], uid: str) -> dict[str, Any]:
    return {"uid": uid, "descriptor": descriptor["uid"], "seq_num": seq_num, "data": data, "timestamps": {}}


def _may_hold_images(client: Any) -> bool:
    return hasattr(client, "ndim") and client.ndim >= 2 and client.dtype.kind in "biuf"


class _Array:
    """The images of a data key of a stream, as Tiled keeps them.

    Parameters
    ----------
    client : ArrayClient
        (events, ..., rows, columns), or the images of all events one after the other.
    data_key : mapping
        Of the descriptor.
    """

    def __init__(self, client: Any, data_key: Mapping[str, Any]) -> None:
        self.streamed = str(data_key.get("external", "")).startswith("STREAM")
        declared = list(data_key.get("shape") or [])
        shape: tuple[int, ...] = tuple(client.shape)
        stacked = len(shape) > len(declared)
        self.events = int(shape[0] if stacked else shape[0] // (declared[0] or 1))
        images = math.prod(shape[:-2]) if len(shape) > 2 else self.events
        self._per_event = max(images // max(self.events, 1), 1)
        _, size = images_and_size(declared)
        self._shape = (self._per_event, *(size or shape[-2:]))
        self._client = client
        self._failed: list[str] = []
        self._files, self._dataset, self._near = _files(client) if "external" in data_key else ((), "", False)
        self._per_file = {self.events: self._per_event, images: 1}.get(len(self._files))

    def value(self, position: int) -> FileValue | ServedValue:
        """Return the value that reads the images of the event at a position."""
        first, files = position * self._per_event, None
        if self._files:
            files = FileValue(self._files, self._dataset, first, self._per_file, self._shape)
        return files if files and self._near else ServedValue(self._client, position, self._failed, files)


def _files(client: Any) -> tuple[tuple[str, ...], str, bool]:
    """Return the files of an array, the data set in them, and whether they are here; none if only the server can."""
    (source,) = client.data_sources()
    assets = sorted((asset for asset in source.assets if asset.parameter), key=lambda asset: asset.num or 0)
    addresses = [urlparse(asset.data_uri) for asset in assets]
    files = tuple(unquote(address.path) for address in addresses if address.scheme == "file")
    known = all(can_read(path) for path in files)
    # A server in this process sees what we see, so a file that is missing here is gone.
    near = hasattr(client.context.http_client, "app") or any(Path(path).exists() for path in files)
    if len(files) < len(assets) or not known or source.parameters.get("slice"):
        return (), "", False
    return files, source.parameters.get("dataset") or "", near
