"""Turns documents into frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np
from event_model import unpack_datum_page, unpack_event_page

from .arrays import layout_of, shape_of
from .beam_centre import BeamCentreRule, find_beam_centre
from .data_keys import images_and_size, is_image
from .files import (
    FORMATS,
    ConsolidatedImages,
    FileFormat,
    HandlerImages,
    Hdf5Frames,
    can_read,
    format_of,
    format_of_mimetype,
)
from .frame import Frame, FrameRange, Images
from .guarded import GuardedImages, Roots
from .roots import RootMap, path_of
from .selection import FrameSelection
from .sources import FileImages, Hdf5DatumImages, InlineImages, MissingImages, SeriesImages

__all__ = ["FrameAssembler"]

logger = logging.getLogger("bluesky_xtag")

_EIGER = frozenset({"AD_EIGER", "AD_EIGER2", "AD_EIGER_SLICE"})
READ_HERE = Hdf5Frames.specs | _EIGER  # resource specs whose usual datums need no handler of another package
# A resource outlives its run where a plan stages once for many runs; a datum is read twice where a device is read
# twice without a trigger. The newest of each are kept, so that memory stays bounded.
_RESOURCES_KEPT = 256
_DATUMS_KEPT = 256
_FAR = 2.0  # sides of the image


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
    passed_over: dict[str, str] = field(default_factory=dict)
    has_images: bool = False
    far: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Datum:
    resource: Mapping[str, Any]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class _Same:
    """The reader of all images of one event."""

    source: Images

    def __call__(self, event: int) -> Images:
        return self.source


class FrameAssembler:
    """Turns the documents of any number of interleaved runs into frames, one for each image, in order.

    Call it with every document, always from the same thread. It reads no file.

    Parameters
    ----------
    selection : FrameSelection, optional
        Which frames to take, and what is known of them; all that look like images if None.
    root_map : mapping of str to str, optional
        Where directories that documents name are now, see `RootMap`.
    allowed : Roots, optional
        Where the files must be that documents name; anywhere if None.
    """

    def __init__(
        self,
        selection: FrameSelection | None = None,
        root_map: Mapping[str, str] | None = None,
        allowed: Roots | None = None,
    ) -> None:
        self._selection = selection or FrameSelection()
        self._places = _Places(RootMap(root_map), allowed)
        self._runs: dict[str, _Run] = {}
        self._streams: dict[str, _Stream] = {}
        self._stream_resources: dict[str, Mapping[str, Any]] = {}
        self._resources: dict[str, Mapping[str, Any]] = {}
        self._datums: dict[str, _Datum] = {}
        self._used: dict[str, _Datum] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> list[Frame]:
        """Take a document and return the frames that it brings, mostly none or one."""
        return [frame for frames in self.take(name, doc) for frame in frames]

    def take(self, name: str, doc: Mapping[str, Any]) -> list[FrameRange]:
        """Take a document and return the frames that it brings, by data key, without making each of them."""
        match name:
            case "event":
                return list(self._event(doc))
            case "event_page":
                return list(self._event_page(doc))
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
                self._say_what_was_left(doc["run_start"])
                self.forget(doc["run_start"])
        return []

    def takes(self, run_uid: str, device: str) -> bool:
        """Tell whether a device, by its name, brings frames in an open run."""
        run = self._runs.get(run_uid)
        streams = (self._streams.get(descriptor) for descriptor in list(run.descriptors)) if run else ()
        return any(
            image.key in stream.descriptor.get("object_keys", {}).get(device, ())
            for stream in streams
            if stream is not None
            for image in stream.images
        )

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
            chosen = self._selection.choose_keys(data_keys)
            images = tuple(
                _ImageKey(
                    key,
                    *images_and_size(data_keys[key].get("shape") or ()),
                    self._centre(key, looks, doc, run.start),
                    self._selection.mask_of(key),
                )
                for key in chosen
            )
            run.has_images |= bool(images)
            for key, data_key in data_keys.items():
                if data_key.get("dtype") == "array" and key not in chosen:
                    run.passed_over[key] = str(list(data_key.get("shape") or ()))
        external = tuple(key for key, data_key in data_keys.items() if "external" in data_key)
        run.descriptors.append(doc["uid"])
        self._streams[doc["uid"]] = _Stream(doc["run_start"], name, images, external, doc)

    def _centre(
        self, key: str, looks: list[str], descriptor: Mapping[str, Any], start: Mapping[str, Any]
    ) -> BeamCentreRule:
        try:
            return find_beam_centre(self._selection.beam_centre, key, looks, descriptor, start)
        except Exception as error:  # noqa: BLE001 - whatever strangers wrote there, the frames are tagged
            logger.warning("The beam centre of %s is estimated: what the documents say of it is %s", key, error)
            return BeamCentreRule()

    def _datum(self, doc: Mapping[str, Any]) -> None:
        resource = self._resources.get(doc["resource"])
        if resource is not None:
            self._datums[doc["datum_id"]] = _Datum(resource, doc["datum_kwargs"])

    def _event(self, doc: Mapping[str, Any]) -> Iterator[FrameRange]:
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
                self._say_if_far(stream.run, image, centre)
                if count > 0:
                    about = (stream.run, stream.name, image.key, doc["uid"], doc["seq_num"])
                    yield FrameRange(*about, 1, count, centre, image.mask, _Same(source))

    def _event_page(self, doc: Mapping[str, Any]) -> Iterator[FrameRange]:
        stream = self._streams.get(doc["descriptor"])
        if stream is not None and (stream.images or stream.external):  # pages of others have rows by the thousand
            for event in unpack_event_page(doc):  # pyright: ignore
                yield from self._event(event)

    def _use(self, datum_id: Any) -> None:
        """Move a datum to the few that are kept in case that they are read again."""
        if isinstance(datum_id, str) and datum_id in self._datums:
            _keep(self._used, datum_id, self._datums.pop(datum_id), _DATUMS_KEPT)

    def _images(self, image: _ImageKey, value: Any) -> tuple[int, Images]:
        """Return how many images a value in an event stands for, and their reader."""
        if not isinstance(value, str):
            if self._places.map and hasattr(value, "with_roots"):  # images of a stored run
                value = value.with_roots(self._places.map)
            shape = shape_of(value)
            images = InlineImages(value, image.size)
            files = getattr(value, "files", ())  # of a stored run
            return layout_of(shape).count if len(shape) > 2 else 1, self._places.guard(images, *files)
        datum = self._datums.get(value) or self._used.get(value)
        if datum is None:
            reason = f"the event refers to the datum {value!r}, of which no datum and resource document came before"
            return image.count, MissingImages(reason)
        try:
            return _datum_images(image, datum, self._places)
        except Exception as error:  # noqa: BLE001 - documents of strangers; they cost this image only
            return image.count, MissingImages(f"the resource of {image.key} cannot be used: {_say(error)}")

    def _stream_datum(self, doc: Mapping[str, Any]) -> Iterator[FrameRange]:
        stream = self._streams.get(doc["descriptor"])
        if stream is None or not stream.images:
            return
        image, count, source_at = self._stream_images(stream, doc)
        if image is None:
            return
        centre = image.centre.constant
        self._say_if_far(stream.run, image, centre)
        start, stop = int(doc["indices"]["start"]), int(doc["indices"]["stop"])
        if stop > start and count > 0:
            about = (stream.run, stream.name, image.key, doc["uid"], int(doc["seq_nums"]["start"]))
            yield FrameRange(*about, stop - start, count, centre, image.mask, lambda event: source_at(start + event))

    def _stream_images(
        self, stream: _Stream, doc: Mapping[str, Any]
    ) -> tuple[_ImageKey | None, int, Callable[[int], Images]]:
        """Return whose images a stream_datum announces (None: nobody's), how many an index, and their readers."""
        resource = self._stream_resources.get(doc["stream_resource"])
        if resource is None:
            streamed = [image for image in stream.images if image.key in stream.external]
            reason = f"no stream_resource {doc['stream_resource']!r} came before its stream_datum"
            if len(streamed) == 1:
                return streamed[0], streamed[0].count, lambda _: MissingImages(reason)
            logger.warning("Frames are lost of run %s: %s", stream.run, reason)
            return None, 0, lambda _: MissingImages(reason)
        image = next((image for image in stream.images if image.key == resource["data_key"]), None)
        if image is None:
            return None, 0, lambda _: MissingImages("")
        try:
            count = _per_index(image, resource, stream.descriptor)
            return image, count, _stream_source(image, resource, stream.descriptor, count, self._places)
        except Exception as error:  # noqa: BLE001 - documents of strangers; they cost this image only
            why = f"the stream_resource of {image.key} cannot be used: {_say(error)}"
            return image, image.count, lambda _: MissingImages(why)

    def _say_if_far(self, run_uid: str, image: _ImageKey, centre: tuple[float, float] | None) -> None:
        """Say once a run that a beam centre is so far outside that it may be no number of pixels."""
        if centre is None or image.size is None or (run := self._runs.get(run_uid)) is None or image.key in run.far:
            return
        rows, columns = image.size
        beyond = max(-centre[0] / columns, centre[0] / columns - 1, -centre[1] / rows, centre[1] / rows - 1)
        if beyond > _FAR:
            run.far.add(image.key)
            logger.warning(
                "The beam centre of %s in run %s, column %g and row %g, lies far outside of its %d x %d pixels: "
                "is it in pixels?",
                *(image.key, run_uid, *centre, rows, columns),
            )

    def _say_what_was_left(self, run_uid: str) -> None:
        """Say once, at the end of a run, which keys were not there and which arrays are no images."""
        run, wanted = self._runs.get(run_uid), self._selection.key
        if run is None or not run.keys:
            return
        if wanted is not None and not wanted & run.keys:
            logger.warning(
                "No frames in run %s: it has no data key %s. Its keys are %s",
                run_uid,
                " or ".join(sorted(wanted)),
                ", ".join(sorted(run.keys)),
            )
        elif wanted is None and run.passed_over:
            logger.log(
                logging.INFO if run.has_images else logging.WARNING,
                "These arrays of run %s are not taken for images: %s. If one is, name it: key=...",
                run_uid,
                ", ".join(f"{key} {shape}" for key, shape in sorted(run.passed_over.items())),
            )


def _keep(kept: dict[str, Any], key: str, value: Any, at_most: int) -> None:
    kept[key] = value
    if len(kept) > at_most:
        del kept[next(iter(kept))]


def _open_run(doc: Mapping[str, Any], ended: str, runs: Iterable[str]) -> bool:
    """Tell whether a (stream) resource may still be wanted; old ones do not name their run."""
    run = doc.get("run_start")
    return run in runs if run else bool(runs) and run != ended


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the files are that documents name, and which of them may be read."""

    map: RootMap
    roots: Roots | None

    def guard(self, images: Images, *files: str, **parameters: Any) -> Images:
        """Return images that are read only if their files may be."""
        if self.roots is None or not files:
            return images
        return GuardedImages(images, files, parameters, self.roots, self.map)


def _datum_images(image: _ImageKey, datum: _Datum, places: _Places) -> tuple[int, Images]:
    resource = datum.resource
    spec, kwargs = resource["spec"], resource.get("resource_kwargs") or {}
    path = places.map.join(resource.get("root") or "", resource["resource_path"])
    if spec in _EIGER and "seq_id" in datum.kwargs:
        hdf5 = FORMATS["hdf5"].with_roots(places.map)
        master = f"{path}_{datum.kwargs['seq_id']}_master.h5"
        first = datum.kwargs.get("frame_num")
        if first is None:
            return image.count, places.guard(SeriesImages(hdf5, master, image.count, image.size), master)
        return image.count, places.guard(FileImages(hdf5, master, "/entry/data", first, image.size), master)
    count = max(image.count, int(kwargs.get("frame_per_point") or 1))
    if spec in Hdf5Frames.specs and set(datum.kwargs) == {"point_number"}:
        handler = Hdf5Frames(path, **{**kwargs, "roots": places.map})
        return count, places.guard(Hdf5DatumImages(handler, datum.kwargs["point_number"], image.size), path)
    images = HandlerImages(spec, path, kwargs, datum.kwargs, count, image.size)
    return count, places.guard(images, path, resource=kwargs, datum=datum.kwargs)


def _per_index(image: _ImageKey, resource: Mapping[str, Any], descriptor: Mapping[str, Any]) -> int:
    """Return how many images an index stands for, as `bluesky.consolidators` counts them."""
    multiplier = int(_parameters(resource).get("multiplier") or 1)
    shape = descriptor["data_keys"][image.key].get("shape") or ()
    return image.count if len(shape) > 2 and shape[0] == multiplier else image.count * multiplier


def _parameters(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    return resource.get("parameters") or resource.get("resource_kwargs") or {}


def _stream_source(
    image: _ImageKey, resource: Mapping[str, Any], descriptor: Mapping[str, Any], count: int, places: _Places
) -> Callable[[int], Images]:
    """Return what makes the reader of the images at a position of the stream."""
    parameters = _parameters(resource)
    size = image.size
    dataset = parameters.get("dataset") or parameters.get("path") or ""
    form: FileFormat | None
    if "uri" not in resource:  # as ophyd-async wrote it before 0.4
        path = places.map.join(resource.get("root") or "", resource["resource_path"])
        form = FORMATS["hdf5"]
    else:
        uri, named = resource["uri"], path_of(resource["uri"])
        if named is None:
            return lambda _: MissingImages(f"{uri} is not a file: only file URIs can be read")
        path = places.map.path(named)
        form = format_of_mimetype(resource["mimetype"]) if resource.get("mimetype") else None
        if form is None and not resource.get("mimetype") and can_read(path):
            form = format_of(path)
        if form is None and path != named:
            resource = {**resource, "uri": f"file://localhost{quote(path)}"}
    if parameters.get("slice"):
        return lambda _: MissingImages(f"{path} is announced with a slice, which is not supported: announce images")
    if form is not None:
        form = form.with_roots(places.map)
        return lambda position: places.guard(FileImages(form, path, dataset, position * count, size), path)
    return lambda position: places.guard(
        ConsolidatedImages(resource, descriptor, position, size), path, resource=parameters
    )
