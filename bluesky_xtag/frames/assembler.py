"""Turns documents into frames."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from event_model import unpack_datum_page, unpack_event_page

from ..documents import FrameId
from .arrays import shape_of
from .beam_centre import BeamCentreRule, find_beam_centre
from .data_keys import images_and_size, is_image
from .files import FORMATS, ConsolidatedImages, HandlerImages, Hdf5Frames, format_of_mimetype
from .frame import Frame, Images
from .selection import FrameSelection
from .sources import FileImages, Hdf5DatumImages, InlineImages, MissingImages, path_of

__all__ = ["FrameAssembler"]

logger = logging.getLogger(__name__)

_EIGER = frozenset({"AD_EIGER", "AD_EIGER2", "AD_EIGER_SLICE"})
# A resource outlives its run where a plan stages once for many runs; a datum is read twice where a device is read
# twice without a trigger. The newest of each are kept, so that memory stays bounded.
_RESOURCES_KEPT = 256
_DATUMS_KEPT = 256


@dataclass(frozen=True, slots=True)
class _ImageKey:
    key: str
    count: int
    size: tuple[int, int] | None
    centre: BeamCentreRule
    mask: np.ndarray | None


@dataclass(frozen=True, slots=True)
class _Stream:
    run: str
    name: str
    images: tuple[_ImageKey, ...]
    external: tuple[str, ...]
    descriptor: Mapping[str, Any]


@dataclass(slots=True)
class _Run:
    start: Mapping[str, Any]
    descriptors: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Datum:
    resource: Mapping[str, Any]
    kwargs: Mapping[str, Any]


class FrameAssembler:
    """Turns the documents of any number of interleaved runs into frames, one for each image, in order.

    Call it with every document, always from the same thread. It reads no file.

    Parameters
    ----------
    selection : FrameSelection, optional
        Which frames to take, and what is known of them; all that look like images if None.
    """

    def __init__(self, selection: FrameSelection | None = None) -> None:
        self._selection = selection or FrameSelection()
        self._runs: dict[str, _Run] = {}
        self._streams: dict[str, _Stream] = {}
        self._stream_resources: dict[str, Mapping[str, Any]] = {}
        self._resources: dict[str, Mapping[str, Any]] = {}
        self._datums: dict[str, _Datum] = {}
        self._used: dict[str, _Datum] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> list[Frame]:
        """Take a document and return the frames that it brings, mostly none or one."""
        match name:
            case "event":
                return list(self._event(doc))
            case "event_page":
                return [frame for event in unpack_event_page(doc) for frame in self._event(event)]  # pyright: ignore
            case "stream_datum":
                return list(self._stream_datum(doc))
            case "start":
                self._runs[doc["uid"]] = _Run(start=doc)
            case "descriptor":
                self._descriptor(doc)
            case "resource":
                _keep(self._resources, doc["uid"], doc, _RESOURCES_KEPT)
            case "datum":
                self._datum(doc)
            case "datum_page":
                for datum in unpack_datum_page(doc):  # pyright: ignore
                    self._datum(datum)
            case "stream_resource":
                self._stream_resources[doc["uid"]] = doc
            case "stop":
                self._warn_of_absent_keys(doc["run_start"])
                self.forget(doc["run_start"])
        return []

    def forget(self, run_uid: str) -> None:
        """Drop the state of a run; frames already made stay readable. Unknown runs are no error."""
        run = self._runs.pop(run_uid, None)
        for descriptor in run.descriptors if run else ():
            self._streams.pop(descriptor, None)
        others = self._runs.keys()
        self._stream_resources = {
            uid: doc for uid, doc in self._stream_resources.items() if _open_run(doc, run_uid, others)
        }
        self._datums = {uid: datum for uid, datum in self._datums.items() if _open_run(datum.resource, run_uid, others)}

    def _descriptor(self, doc: Mapping[str, Any]) -> None:
        run = self._runs.setdefault(doc["run_start"], _Run(start={}))
        name = doc.get("name", "primary")
        data_keys = doc["data_keys"]
        images: tuple[_ImageKey, ...] = ()
        if self._selection.takes_stream(name):
            run.keys.update(data_keys)
            looks = [key for key, data_key in data_keys.items() if is_image(data_key)]
            images = tuple(
                _ImageKey(
                    key,
                    *images_and_size(data_keys[key].get("shape") or ()),
                    find_beam_centre(self._selection.beam_centre, key, looks, doc, run.start),
                    self._selection.mask_of(key),
                )
                for key in self._selection.choose_keys(data_keys)
            )
        external = tuple(key for key, data_key in data_keys.items() if "external" in data_key)
        run.descriptors.append(doc["uid"])
        self._streams[doc["uid"]] = _Stream(doc["run_start"], name, images, external, doc)

    def _datum(self, doc: Mapping[str, Any]) -> None:
        resource = self._resources.get(doc["resource"])
        if resource is not None:
            self._datums[doc["datum_id"]] = _Datum(resource, doc["datum_kwargs"])

    def _event(self, doc: Mapping[str, Any]) -> Iterator[Frame]:
        stream = self._streams.get(doc["descriptor"])
        if stream is None:
            return
        data = doc["data"]
        for key in stream.external:
            self._use(data.get(key))
        for image in stream.images:
            if image.key in data:
                count, source = self._images(image, data[image.key])
                centre = image.centre.of(data)
                for index in range(count):
                    frame = FrameId(stream.run, stream.name, image.key, doc["seq_num"], index, doc["uid"])
                    yield Frame(frame, centre, image.mask, source)

    def _use(self, datum_id: Any) -> None:
        """Move a datum to the few that are kept in case that they are read again."""
        if isinstance(datum_id, str) and datum_id in self._datums:
            _keep(self._used, datum_id, self._datums.pop(datum_id), _DATUMS_KEPT)

    def _images(self, image: _ImageKey, value: Any) -> tuple[int, Images]:
        """Return how many images a value in an event stands for, and their reader."""
        if not isinstance(value, str):
            count, _ = images_and_size(shape_of(value))
            return count, InlineImages(value, image.size)
        datum = self._datums.get(value) or self._used.get(value)
        if datum is None:
            reason = f"the event refers to the datum {value!r}, of which no datum and resource document came before"
            return image.count, MissingImages(reason)
        return _datum_images(image, datum)

    def _stream_datum(self, doc: Mapping[str, Any]) -> Iterator[Frame]:
        stream = self._streams.get(doc["descriptor"])
        if stream is None or not stream.images:
            return
        resource = self._stream_resources.get(doc["stream_resource"])
        if resource is None:
            logger.warning("Frames are lost: no stream_resource came before the stream_datum %s", doc["uid"])
            return
        image = next((image for image in stream.images if image.key == resource["data_key"]), None)
        if image is None:
            return
        count = _per_index(image, resource, stream.descriptor)
        source_at = _stream_source(image, resource, stream.descriptor, count)
        centre = image.centre.constant
        start, stop = doc["indices"]["start"], doc["indices"]["stop"]
        for seq_num, position in enumerate(range(start, stop), start=doc["seq_nums"]["start"]):
            source = source_at(position)
            for index in range(count):
                frame = FrameId(stream.run, stream.name, image.key, seq_num, index, doc["uid"])
                yield Frame(frame, centre, image.mask, source)

    def _warn_of_absent_keys(self, run_uid: str) -> None:
        run, wanted = self._runs.get(run_uid), self._selection.key
        if run is None or not run.keys or wanted is None or wanted & run.keys:
            return
        logger.warning(
            "No frames in run %s: it has no data key %s. Its keys are %s",
            run_uid,
            " or ".join(sorted(wanted)),
            ", ".join(sorted(run.keys)),
        )


def _keep(kept: dict[str, Any], key: str, value: Any, at_most: int) -> None:
    kept[key] = value
    if len(kept) > at_most:
        del kept[next(iter(kept))]


def _open_run(doc: Mapping[str, Any], ended: str, runs: Iterable[str]) -> bool:
    """Tell whether a (stream) resource may still be wanted; old ones do not name their run."""
    run = doc.get("run_start")
    return run in runs if run else bool(runs) and run != ended


def _datum_images(image: _ImageKey, datum: _Datum) -> tuple[int, Images]:
    resource = datum.resource
    spec, kwargs = resource["spec"], resource.get("resource_kwargs") or {}
    path = os.path.join(resource.get("root") or "", resource["resource_path"])
    if spec in _EIGER and "seq_id" in datum.kwargs:
        master = f"{path}_{datum.kwargs['seq_id']}_master.h5"
        first = datum.kwargs.get("frame_num") or 0
        return image.count, FileImages(FORMATS["hdf5"], master, "/entry/data", first, image.size)
    count = max(image.count, int(kwargs.get("frame_per_point") or 1))
    if spec in Hdf5Frames.specs and set(datum.kwargs) == {"point_number"}:
        return count, Hdf5DatumImages(Hdf5Frames(path, **kwargs), datum.kwargs["point_number"], image.size)
    return count, HandlerImages(spec, path, kwargs, datum.kwargs, count, image.size)


def _per_index(image: _ImageKey, resource: Mapping[str, Any], descriptor: Mapping[str, Any]) -> int:
    """Return how many images an index stands for, as `bluesky.consolidators` counts them."""
    multiplier = _parameters(resource).get("multiplier") or 1
    shape = descriptor["data_keys"][image.key]["shape"]
    return image.count if len(shape) > 2 and shape[0] == multiplier else image.count * multiplier


def _parameters(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    return resource.get("parameters") or resource.get("resource_kwargs") or {}


def _stream_source(
    image: _ImageKey, resource: Mapping[str, Any], descriptor: Mapping[str, Any], count: int
) -> Callable[[int], Images]:
    """Return what makes the reader of the images at a position of the stream."""
    parameters = _parameters(resource)
    size = image.size
    if "uri" not in resource:  # as ophyd-async wrote it before 0.4
        path = os.path.join(resource.get("root") or "", resource["resource_path"])
        dataset = parameters.get("path") or "/entry/data/data"
        return lambda position: FileImages(FORMATS["hdf5"], path, dataset, position * count, size)
    uri, path = resource["uri"], path_of(resource["uri"])
    if path is None:
        return lambda _: MissingImages(f"{uri} is not a file: only file URIs can be read")
    if parameters.get("slice"):
        return lambda _: MissingImages(f"{uri} is announced with a slice, which is not supported: announce images")
    form = format_of_mimetype(resource["mimetype"])
    if form is not None:
        dataset = parameters.get("dataset") or parameters.get("path") or ""
        return lambda position: FileImages(form, path, dataset, position * count, size)
    return lambda position: ConsolidatedImages(resource, descriptor, position, size)
