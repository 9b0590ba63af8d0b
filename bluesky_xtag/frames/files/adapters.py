"""Files that Bluesky's consolidators find; those of TIFF, JPEG and NumPy are read here, others by Tiled's adapters.

Tiled's adapters take seconds to import, which is longer than a frame may wait.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..arrays import pick_image
from ..roots import path_of
from .formats import format_of_mimetype
from .hdf5_held import without_hint
from .pipes import refuse_pipe
from .tiff import TiffFormat

__all__ = ["ConsolidatedImages", "import_for"]


@dataclass(frozen=True, eq=False, slots=True)
class ConsolidatedImages:
    """Images of one index of a stream_datum in files that Bluesky's consolidators know: TIFF, JPEG, NPY sequences."""

    stream_resource: Mapping[str, Any]
    descriptor: Mapping[str, Any]
    position: int
    size: tuple[int, int] | None

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        uris, per_file = self._files()
        try:
            return self._read(uris, per_file, index)
        except FrameError:
            raise
        except Exception as error:  # noqa: BLE001 - readers raise anything while a file is incomplete
            reason = f"{type(error).__name__}: {without_hint(error)}"
            raise FrameNotReady(f"{' '.join(uris)} cannot be read yet: {reason}") from None

    def _read(self, uris: Sequence[str], per_file: int, index: int) -> np.ndarray:
        kind = self.stream_resource["mimetype"]
        read = _READERS.get(kind)
        if read is None:
            for uri in uris:
                refuse_pipe(path_of(uri) or "")
            return pick_image(_adapter(kind).from_uris(*uris).read(), index)
        place, number = divmod(index, per_file)
        path = path_of(uris[place])
        if path is None:
            raise FrameError(f"{uris[place]} is not a file: only file URIs can be read")
        refuse_pipe(path)
        return read(path, number, self.size)

    def _files(self) -> tuple[list[str], int]:
        """Return the URIs of the files of this index, and how many images each has."""
        kind = self.stream_resource["mimetype"]
        try:
            from bluesky.consolidators import consolidator_factory
        except ImportError as error:
            raise FrameError(f'{kind} is read with Tiled: pip install "bluesky_xtag[tiled]"') from error
        indices: Any = {"start": self.position, "stop": self.position + 1}
        try:
            # A copy, for some consolidators change the document.
            consolidator = consolidator_factory(copy.deepcopy(self.stream_resource), self.descriptor)
            consolidator.consume_stream_datum(cast(Any, {"indices": indices, "seq_nums": indices}))
            return [asset.data_uri for asset in consolidator.assets], int((consolidator.chunk_shape or (1,))[0])
        except Exception as error:  # noqa: BLE001 - whatever they raise, they will raise it again
            raise FrameError(f"Bluesky's consolidators cannot read {kind}: {type(error).__name__}: {error}") from error


def _adapter(kind: str) -> Any:
    try:
        from tiled.mimetypes import DEFAULT_ADAPTERS_BY_MIMETYPE

        return DEFAULT_ADAPTERS_BY_MIMETYPE[kind]
    except Exception as error:  # noqa: BLE001 - it is imported here, and will fail again
        raise FrameError(f"Tiled's adapters cannot read {kind}: {type(error).__name__}: {error}") from error


def _read_tiff(path: str, number: int, size: tuple[int, int] | None) -> np.ndarray:
    try:
        return _TIFF.read(path, "", number, size)
    except FrameNotReady as error:
        raise FrameNotReady(f"{path} cannot be read yet: {error}") from error


def _read_jpeg(path: str, number: int, size: tuple[int, int] | None) -> np.ndarray:
    import imagecodecs

    return pick_image(imagecodecs.jpeg_decode(Path(path).read_bytes())[np.newaxis], 0)


def _read_npy(path: str, number: int, size: tuple[int, int] | None) -> np.ndarray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return np.array(pick_image(array, number))


_TIFF = TiffFormat()
_READERS: dict[str, Callable[[str, int, tuple[int, int] | None], np.ndarray]] = {
    "multipart/related;type=image/tiff": _read_tiff,
    "multipart/related;type=image/jpeg": _read_jpeg,
    "multipart/related;type=application/x-npy": _read_npy,
}


def import_for(mimetype: str | None = None) -> None:
    """Import what reading a stream needs: its files, or what streams of images mostly are if the mimetype is None."""
    import imagecodecs  # noqa: F401
    import tifffile  # noqa: F401

    with suppress(ImportError):  # without Tiled there are no consolidators
        import bluesky.consolidators  # noqa: F401
    if mimetype is not None and mimetype not in _READERS and format_of_mimetype(mimetype) is None:
        with suppress(FrameError):
            _adapter(mimetype)
