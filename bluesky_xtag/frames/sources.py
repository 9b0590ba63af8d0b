"""Readers of the images of one event, one for each place where Bluesky's documents put them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast
from urllib.parse import unquote, urlparse

import numpy as np

from ..errors import FrameError, FrameNotReady
from .files.hdf5 import Hdf5Frames, read_image

__all__ = [
    "ConsolidatedImages",
    "HandlerImages",
    "Hdf5DatumImages",
    "Hdf5Images",
    "InlineImages",
    "MissingImages",
    "path_of",
    "shape_of",
]

logger = logging.getLogger(__name__)

Size = tuple[int, int] | None


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of an array or of nested lists without converting them."""
    if hasattr(value, "shape"):
        return tuple(value.shape)
    shape = []
    while isinstance(value, Sequence) and not isinstance(value, str):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _pick(value: Any, index: int) -> np.ndarray:
    """Return image `index` of an array, lazy array or nested lists, counted over all dimensions but the last two."""
    leading = shape_of(value)[:-2]
    if leading:
        for position in np.unravel_index(index, leading):
            value = value[int(position)]
    return np.asarray(value)


@dataclass(frozen=True, eq=False, slots=True)
class InlineImages:
    """Images inside the event."""

    value: Any
    size: Size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        try:
            return _pick(self.value, index)
        except FrameError:  # of a value that is read only now, from where it is stored
            raise
        except ValueError as error:
            raise FrameError(f"the value in the event is not an array: {error}") from error


@dataclass(frozen=True, eq=False, slots=True)
class MissingImages:
    """Images of which the documents do not say where they are."""

    reason: str
    size: Size = None

    def read(self, index: int) -> np.ndarray:
        """Raise FrameError with the reason."""
        raise FrameError(self.reason)


@dataclass(frozen=True, eq=False, slots=True)
class Hdf5DatumImages:
    """Images of a datum in an HDF5 file of the AD_HDF5 family."""

    handler: Hdf5Frames
    point_number: int
    size: Size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        return self.handler.image(self.point_number, index)


@dataclass(frozen=True, eq=False, slots=True)
class Hdf5Images:
    """Images of an HDF5 file from image `first` on: those of one index of a stream_datum, or an Eiger's series."""

    path: str
    dataset: str
    first: int
    size: Size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        return read_image(self.path, self.dataset, self.first + index, rows=self.size[0] if self.size else None)


@cache
def _handlers() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="databroker.handlers")}


@lru_cache(maxsize=256)  # so that it is said once for each resource, not for each event
def _warn_of_surplus(path: str, announced: int, found: int) -> None:
    logger.warning(
        "Only the first %d of the %d images of each event in %s are used: correct the shape of the data key",
        announced,
        found,
        path,
    )


@dataclass(eq=False, slots=True)
class HandlerImages:
    """Images of a datum that a handler of the entry-point group ``databroker.handlers`` reads.

    A new handler is made for each attempt, as handlers keep the state of the file at their first look; what it returns
    is kept while other images of the same event may want it.
    """

    spec: str
    path: str
    resource_kwargs: Mapping[str, Any]
    datum_kwargs: Mapping[str, Any]
    count: int
    size: Size
    _payload: Any = field(default=None, init=False)

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        payload = self._load() if self._payload is None else self._payload
        if self.count > 1:
            self._payload = payload
        shape = shape_of(payload)
        found = int(np.prod(shape[:-2]))
        if found > self.count:
            _warn_of_surplus(self.path, self.count, found)
        if index >= found:
            self._payload = None
            raise FrameNotReady(f"{self.path} holds {found} images of this event; number {index} is wanted")
        return self._attempt(_pick, payload, index)

    def _load(self) -> Any:
        if self.spec not in _handlers():
            raise FrameError(
                f"no handler for the resource spec {self.spec!r} of {self.path}: install the package that registers "
                "it in the entry-point group 'databroker.handlers'"
            )
        try:
            import hdf5plugin  # noqa: F401 - handlers of HDF5 files rely on somebody having registered the filters

            handler = _handlers()[self.spec].load()
        except (ImportError, AttributeError) as error:
            raise FrameError(f"the handler of the resource spec {self.spec!r} does not load: {error}") from error
        return self._attempt(lambda: handler(self.path, **self.resource_kwargs)(**self.datum_kwargs))

    def _attempt(self, action: Any, *args: Any) -> Any:
        try:
            return action(*args)
        except (ImportError, TypeError) as error:
            raise FrameError(f"the handler of {self.spec!r} cannot read {self.path}: {_said(error)}") from error
        except Exception as error:  # noqa: BLE001 - handlers raise anything while a file is incomplete
            raise FrameNotReady(f"the handler of {self.spec!r} cannot read {self.path} yet: {_said(error)}") from error


@dataclass(frozen=True, eq=False, slots=True)
class ConsolidatedImages:
    """Images of one index of a stream_datum in files that Bluesky's consolidators know: TIFF, JPEG, NPY sequences."""

    stream_resource: Mapping[str, Any]
    descriptor: Mapping[str, Any]
    position: int
    size: Size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        uris, adapter = self._files()
        try:
            return _pick(adapter.from_uris(*uris).read(), index)
        except Exception as error:  # noqa: BLE001 - adapters raise anything while a file is incomplete
            raise FrameNotReady(f"{' '.join(uris)} cannot be read yet: {_said(error)}") from error

    def _files(self) -> tuple[list[str], Any]:
        """Return the URIs of the files of this index, and the adapter that reads them."""
        kind = self.stream_resource["mimetype"]
        try:
            from bluesky.consolidators import consolidator_factory
            from tiled.mimetypes import DEFAULT_ADAPTERS_BY_MIMETYPE
        except ImportError as error:
            raise FrameError(f"{kind} is read with Tiled: pip install 'bluesky_xtag[tiled]'") from error
        indices: Any = {"start": self.position, "stop": self.position + 1}
        try:
            # A copy, for some consolidators change the document.
            consolidator = consolidator_factory(copy.deepcopy(self.stream_resource), self.descriptor)
            consolidator.consume_stream_datum(cast(Any, {"indices": indices, "seq_nums": indices}))
            return [asset.data_uri for asset in consolidator.assets], DEFAULT_ADAPTERS_BY_MIMETYPE[kind]
        except Exception as error:  # noqa: BLE001 - whatever they raise, they will raise it again
            raise FrameError(f"Bluesky's consolidators cannot read {kind}: {_said(error)}") from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def path_of(uri: str) -> str | None:
    """Return the path of a ``file:`` URI (or of a plain path), None for other schemes."""
    parts = urlparse(uri)
    return unquote(parts.path) if parts.scheme in ("", "file") else None
