"""CBF files as Pilatus detectors and others write them: one image, packed in steps of one, two, four or eight bytes.

They are unpacked here because fabio 2026.6.0 takes the escape for a step of eight bytes for pixels, so that all pixels
behind it are displaced; and because a file that is still being written can be told by its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..arrays import check_size
from .by_fabio import FabioFormat
from .file_format import FileFormat
from .pipes import refuse_pipe

__all__ = ["CbfFormat"]

_FABIO = FabioFormat()
_BEGIN = b"\x0c\x1a\x04\xd5"
_FIELD = re.compile(rb'^\s*(X-Binary-[\w-]+|conversions|Content-Transfer-Encoding)\s*[:=]\s*"?([^"\r\n;]*)', re.M)
_TYPES = {
    b"signed 8-bit integer": np.int8,
    b"unsigned 8-bit integer": np.uint8,
    b"signed 16-bit integer": np.int16,
    b"unsigned 16-bit integer": np.uint16,
    b"signed 32-bit integer": np.int32,
    b"unsigned 32-bit integer": np.uint32,
}


class CbfFormat(FileFormat):
    """CBF files in byte-offset packing; other packings are left to fabio."""

    suffixes = frozenset({".cbf"})
    mimetypes = frozenset[str]()

    def data_sets(self, path: str, wanted: str | None = None) -> Iterator[tuple[str, int]]:
        """Yield the one data set, which has no name."""
        fields, _ = _open(path)
        if _is_packed(fields):
            yield "", 1
        else:
            yield from _FABIO.data_sets(path)

    def read(self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return the image; FrameNotReady while the file is not whole."""
        fields, packed = _open(path)
        if not _is_packed(fields):
            return _FABIO.read(path, dataset, index, size)
        if index:
            raise FrameError(f"{path} holds one image; number {index} is wanted")
        try:
            length = int(fields[b"X-Binary-Size"])
            shape = int(fields[b"X-Binary-Size-Second-Dimension"]), int(fields[b"X-Binary-Size-Fastest-Dimension"])
            dtype = np.dtype(_TYPES[fields[b"X-Binary-Element-Type"]])
        except (KeyError, ValueError) as error:
            raise FrameError(f"{path} does not say size and type of its pixels: {error}") from error
        if len(packed) < length:
            raise FrameNotReady(
                f"{path} ends after {len(packed)} of {length} bytes: it is not all written yet, or torn"
            )
        check_size(shape, dtype.itemsize, None, path)
        check_size(shape, dtype.itemsize, size, path)
        from .byte_offset import unpack  # here, because Numba takes long to import

        pixels = np.empty(shape[0] * shape[1], np.int64)
        used = unpack(np.frombuffer(packed, np.uint8, length), pixels)
        limits = np.iinfo(dtype)
        if used < 0 or pixels.min(initial=0) < limits.min or pixels.max(initial=0) > limits.max:
            raise FrameError(f"{path} is damaged: its pixels do not fit {dtype} or end early")
        return pixels.astype(dtype).reshape(shape)


def _open(path: str) -> tuple[dict[bytes, bytes], bytes]:
    """Return the fields of the header and the packed pixels behind it."""
    refuse_pipe(path)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise FrameNotReady(f"{path} does not exist yet") from error
    except OSError as error:
        raise FrameError(f"{path} cannot be read: {error}") from error
    head, found, packed = content.partition(_BEGIN)
    if not found and content[:3] in (b"", b"###"):
        raise FrameNotReady(f"{path} ends before its pixels: it is not written yet, or torn")
    return {name: value.strip() for name, value in _FIELD.findall(head)}, packed


def _is_packed(fields: dict[bytes, bytes]) -> bool:
    return fields.get(b"conversions", b"").upper() == b"X-CBF_BYTE_OFFSET" and (
        fields.get(b"Content-Transfer-Encoding", b"BINARY").upper() == b"BINARY"
    )
