"""Finds where HDF5 keeps an image, and decodes it outside of HDF5's lock.

h5py lets one thread into HDF5 at a time. An image of 16 million pixels takes tens of milliseconds to decompress there,
and whoever writes a file in this process waits for it. So HDF5 is only asked where the chunks of the image lie, which
takes microseconds.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...errors import FrameNotReady
from .hdf5_written import Region, is_being_written

if TYPE_CHECKING:
    import h5py

    from ...model import CompiledRows

__all__ = ["ChunkedImage", "find_chunks", "find_following"]

_DEFLATE = 1  # gzip's; as HDF5 numbers the filters
_BITSHUFFLE = 32008
_PIECE = 2**16  # bytes that are inflated at once


class _Pixels(Protocol):
    """The pixels of a chunk, one after the other."""

    def fill(self, target: np.ndarray) -> None: ...


@dataclass(frozen=True)
class _Chunk:
    """Where in the file a chunk begins, and how many bytes it takes."""

    offset: int
    size: int


@dataclass(frozen=True)
class _Filter:
    """How the chunks of a data set are compressed: a number of HDF5's, 0 for not at all, and its options."""

    number: int = 0
    options: tuple[int, ...] = ()

    def opens(self, dtype: np.dtype) -> bool:
        """Return whether it can be undone here."""
        if self.number == _BITSHUFFLE:
            from .bitshuffle import can_decode

            return can_decode(self.options, dtype)
        return self.number in (0, _DEFLATE)

    def undo(self, descriptor: int, chunks: Sequence[_Chunk], dtype: np.dtype, pixels: int) -> _Pixels:
        """Return the pixels of chunks of an open file, each of which has so many, one chunk after the other."""
        if self.number == _BITSHUFFLE:
            from .bitshuffle import Bitshuffled

            def read(number: int, target: memoryview) -> None:
                _read(descriptor, chunks[number].offset, target)

            return Bitshuffled([chunk.size for chunk in chunks], read, dtype, pixels, self.options)
        each = _Inflated if self.number else _Stored
        return _InTurn([each(descriptor, chunk) for chunk in chunks], pixels)


def _read(descriptor: int, offset: int, target: memoryview) -> None:
    """Fill memory with what an open file holds from an offset on."""
    while target:
        count = os.preadv(descriptor, [target], offset)
        if not count:
            raise ValueError("the file ends before the image")
        offset += count
        target = target[count:]


def _bytes_of(target: np.ndarray) -> memoryview:
    flat: Any = target.reshape(-1).view(np.uint8)
    return memoryview(flat)


class _Stored:
    """Pixels that lie in the file as they are."""

    def __init__(self, descriptor: int, chunk: _Chunk) -> None:
        self._descriptor, self._offset = descriptor, chunk.offset

    def fill(self, target: np.ndarray) -> None:
        view = _bytes_of(target)
        _read(self._descriptor, self._offset, view)
        self._offset += len(view)


class _Inflated:
    """Pixels of a chunk that gzip's method compressed."""

    def __init__(self, descriptor: int, chunk: _Chunk) -> None:
        self._descriptor, self._chunk, self._at = descriptor, chunk, 0
        self._stream, self._kept = zlib.decompressobj(), b""

    def fill(self, target: np.ndarray) -> None:
        view = _bytes_of(target)
        while view:
            piece = self._kept or self._next()
            found = self._stream.decompress(piece, len(view))
            self._kept = self._stream.unconsumed_tail
            view[: len(found)] = found
            view = view[len(found) :]

    def _next(self) -> bytes:
        piece = bytearray(min(_PIECE, self._chunk.size - self._at))
        if not piece:
            raise ValueError("a compressed chunk ends before its image")
        _read(self._descriptor, self._chunk.offset + self._at, memoryview(piece))
        self._at += len(piece)
        return bytes(piece)


class _InTurn:
    """The pixels of chunks that lie below each other."""

    def __init__(self, chunks: Sequence[_Pixels], pixels: int) -> None:
        self._chunks, self._pixels, self._done = chunks, pixels, 0

    def fill(self, target: np.ndarray) -> None:
        flat = target.reshape(-1)
        while len(flat):
            number, inside = divmod(self._done, self._pixels)
            count = min(len(flat), self._pixels - inside)
            self._chunks[number].fill(flat[:count])
            self._done += count
            flat = flat[count:]


@dataclass(frozen=True, eq=False)
class ChunkedImage:
    """An image in chunks of an HDF5 file, decoded when its rows are asked for; see `bluesky_xtag.model.PackedImage`.

    Parameters
    ----------
    path : str
        The file that has the chunks.
    where : str
        File and data set, for messages.
    identity : (int, int)
        Device and number of the file.
    shape : (int, int)
        Rows and columns.
    dtype : numpy.dtype
        Of the pixels, in native byte order.
    tile : (int, int)
        Rows and columns of a chunk; those at the edges reach beyond the image.
    chunks : sequence of _Chunk
        In the order of rows, then of columns.
    filter : _Filter
        How they are compressed.
    mask : numpy.ndarray or None
        (rows, columns), true where the detector's own mask says not to use a pixel.
    """

    path: str
    where: str
    identity: tuple[int, int]
    shape: tuple[int, int]
    dtype: np.dtype
    tile: tuple[int, int]
    chunks: Sequence[_Chunk]
    filter: _Filter
    mask: np.ndarray | None = None

    @contextmanager
    def rows(self) -> Iterator[_Rows]:
        """Return the rows from the first on.

        Raises
        ------
        FrameNotReady
            The file was replaced, or ends before the image.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise FrameNotReady(f"{self.where} cannot be read (yet): {error}") from error
        try:
            state = os.fstat(descriptor)
            if (state.st_dev, state.st_ino) != self.identity:
                raise FrameNotReady(f"{self.where} was replaced while it was read")
            yield _Rows(self, descriptor)
        finally:
            os.close(descriptor)

    def unpack(self) -> np.ndarray:
        """Return all rows; a masked array where the detector has a mask."""
        image = np.empty(self.shape, self.dtype)
        with self.rows() as rows:
            rows.fill(image)
        return image if self.mask is None else np.ma.MaskedArray(image, self.mask)


class _Rows:
    """The rows of an image, from the first on."""

    def __init__(self, image: ChunkedImage, descriptor: int) -> None:
        self._image, self._descriptor = image, descriptor
        self._done = 0  # rows
        self._pixels: _Pixels | None = None

    def fill(self, target: np.ndarray) -> None:
        """Write the next rows into an array of shape (rows, columns) in C order."""
        with self._told():
            if self._done + len(target) > self._image.shape[0]:
                raise ValueError("there are no rows any more")
            self._begin().fill(target)
            self._done += len(target)

    def compiled(self) -> CompiledRows | None:
        """Return them for a compiled loop instead, from the first on; None where Python is needed for each piece."""
        with self._told():
            begin = getattr(self._begin(), "compiled", None)
        return None if begin is None else begin(self._not_ready)

    def _begin(self) -> _Pixels:
        if self._pixels is None:
            image = self._image
            if image.tile[1] == image.shape[1]:
                self._pixels = self._undo(image.chunks)
            else:
                self._pixels = _Tiled(image, self._undo)
        return self._pixels

    def _undo(self, chunks: Sequence[_Chunk]) -> _Pixels:
        return self._image.filter.undo(self._descriptor, chunks, self._image.dtype, math.prod(self._image.tile))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, zlib.error) as error:
            raise self._not_ready(error) from error

    def _not_ready(self, reason: object) -> FrameNotReady:
        return FrameNotReady(f"{self._image.where} cannot be read (yet): {reason}")


class _Tiled:
    """The pixels of an image whose chunks lie side by side, of which a row of chunks is kept."""

    def __init__(self, image: ChunkedImage, undo: Callable[[Sequence[_Chunk]], _Pixels]) -> None:
        self._image, self._undo, self._done = image, undo, 0  # rows
        self._band = np.empty((image.tile[0], image.shape[1]), image.dtype)

    def fill(self, target: np.ndarray) -> None:
        while len(target):
            number, inside = divmod(self._done, len(self._band))
            if not inside:
                self._decode(number)
            count = min(len(target), len(self._band) - inside)
            target[:count] = self._band[inside : inside + count]
            self._done += count
            target = target[count:]

    def _decode(self, number: int) -> None:
        tile = np.empty(self._image.tile, self._image.dtype)
        places = range(0, self._image.shape[1], tile.shape[1])
        chunks = self._image.chunks[number * len(places) :]
        for chunk, first in zip(chunks, places, strict=False):
            self._undo([chunk]).fill(tile)
            part = self._band[:, first : first + tile.shape[1]]
            part[:] = tile[:, : part.shape[1]]


def find_chunks(dataset: h5py.Dataset, region: Region) -> ChunkedImage | None:
    """Return the image of a region that is known to be there, still compressed; None if HDF5 has to read it.

    HDF5 reads virtual and external data sets, chunks of several images, other filters than bitshuffle and gzip's,
    numbers in foreign byte order, and a block of images in a file that somebody writes: of these it is looked whether
    they hold the fill value everywhere.

    Parameters
    ----------
    dataset : h5py.Dataset
        The data set.
    region : tuple of slice
        One slice a dimension; the last two are rows and columns.
    """
    dtype, file = dataset.dtype, dataset.file
    if dataset.is_virtual or dataset.external or dtype.kind not in "iuf" or not dtype.isnative or file.userblock_size:
        return None
    rows, columns = region[-2:]
    shape = rows.stop - rows.start, columns.stop - columns.start
    found = _in_chunks(dataset, region, shape) if dataset.chunks else _in_block(dataset, region, shape)
    if found is None:
        return None
    tile, chunks, how = found
    state = os.stat(file.filename)
    where = f"{file.filename}:{dataset.name}"
    return ChunkedImage(file.filename, where, (state.st_dev, state.st_ino), shape, dtype, tile, chunks, how)


def find_following(dataset: h5py.Dataset, image: ChunkedImage, position: int, count: int) -> Iterator[ChunkedImage]:
    """Yield up to `count` images that follow one, at a position of the first of three dimensions, as far as written.

    Parameters
    ----------
    dataset : h5py.Dataset
        The data set.
    image : ChunkedImage
        What `find_chunks` returned for the image at `position`.
    position : int
        Along the first dimension.
    count : int
        How many images are wanted at most.
    """
    if not dataset.chunks or len(dataset.shape) != 3:
        return
    size = os.path.getsize(image.path)
    for following in range(position + 1, min(position + 1 + count, dataset.shape[0])):
        chunks = _stored(dataset, (following,), image.shape, image.tile)
        if chunks is None or any(chunk.offset + chunk.size > size for chunk in chunks):
            return
        yield replace(image, chunks=chunks)


_Found = tuple[tuple[int, int], list[_Chunk], _Filter]


def _in_chunks(dataset: Any, region: Region, shape: tuple[int, int]) -> _Found | None:
    tile = dataset.chunks[-2:]
    rows, columns = region[-2:]
    if math.prod(dataset.chunks[:-2]) != 1 or rows.start or columns.start or shape != dataset.shape[-2:]:
        return None
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(place) for place in range(plist.get_nfilters())]
    how = _Filter(*filters[0][::2][:2]) if filters else _Filter()
    if len(filters) > 1 or not how.opens(dataset.dtype):
        return None
    chunks = _stored(dataset, tuple(part.start for part in region[:-2]), shape, tile)
    return None if chunks is None else (tile, chunks, how)


def _stored(dataset: Any, lead: tuple[int, ...], shape: tuple[int, int], tile: tuple[int, int]) -> list[_Chunk] | None:
    """Return the chunks of an image; None if one is not written, or not compressed as the others are."""
    stored = [
        dataset.id.get_chunk_info_by_coord((*lead, row, column))
        for row in range(0, shape[0], tile[0])
        for column in range(0, shape[1], tile[1])
    ]
    if any(chunk.byte_offset is None or chunk.filter_mask for chunk in stored):
        return None
    return [_Chunk(chunk.byte_offset, chunk.size) for chunk in stored]


def _in_block(dataset: Any, region: Region, shape: tuple[int, int]) -> _Found | None:
    begin = dataset.id.get_offset()
    if begin is None or is_being_written(dataset.file.filename):
        return None
    place, width = 0, dataset.dtype.itemsize
    for part, side in zip(region, dataset.shape, strict=True):
        place = place * side + part.start
    return shape, [_Chunk(begin + place * width, math.prod(shape) * width)], _Filter()
