"""Finds where HDF5 keeps an image, and decodes it outside of HDF5's lock.

h5py lets one thread into HDF5 at a time. An image of 16 million pixels takes tens of milliseconds to decompress there,
and whoever writes a file in this process waits for it. So HDF5 is only asked where the chunks of the image lie, which
takes microseconds.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...errors import FrameError, FrameNotReady
from .hdf5_written import Region, is_being_written

if TYPE_CHECKING:
    import h5py

__all__ = ["ChunkedImage", "find_chunks"]

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
            from .bitshuffle import decompressor

            known = len(self.options) > 4 and self.options[2] == dtype.itemsize
            return known and decompressor(self.options) is not None
        return self.number in (0, _DEFLATE)

    def undo(self, descriptor: int, chunk: _Chunk, dtype: np.dtype, pixels: int) -> _Pixels:
        """Return the pixels of a chunk of an open file."""
        if not self.number:
            return _Stored(descriptor, chunk.offset)
        data = os.pread(descriptor, chunk.size, chunk.offset)
        if len(data) < chunk.size:
            raise ValueError(f"the file ends after {len(data)} of the {chunk.size} bytes of a chunk")
        if self.number == _DEFLATE:
            return _Inflated(data)
        from .bitshuffle import Bitshuffled, decompressor

        return Bitshuffled(data, dtype, pixels, decompressor(self.options))


def _bytes_of(target: np.ndarray) -> memoryview:
    flat: Any = target.reshape(-1).view(np.uint8)
    return memoryview(flat)


class _Stored:
    """Pixels that lie in the file as they are."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor, self._offset = descriptor, offset

    def fill(self, target: np.ndarray) -> None:
        view = _bytes_of(target)
        while view:
            count = os.preadv(self._descriptor, [view], self._offset)
            if not count:
                raise ValueError("the file ends before the image")
            self._offset += count
            view = view[count:]


class _Inflated:
    """Pixels of a chunk that gzip's method compressed."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = memoryview(data), 0
        self._stream, self._kept = zlib.decompressobj(), b""

    def fill(self, target: np.ndarray) -> None:
        view = _bytes_of(target)
        while view:
            piece = self._kept or bytes(self._data[self._at : self._at + _PIECE])
            if not piece:
                raise ValueError("a compressed chunk ends before its image")
            if not self._kept:
                self._at += len(piece)
            found = self._stream.decompress(piece, len(view))
            self._kept = self._stream.unconsumed_tail
            view[: len(found)] = found
            view = view[len(found) :]


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
        self._across = -(-image.shape[1] // image.tile[1])
        self._done = 0  # rows
        self._pixels: _Pixels | None = None

    def fill(self, target: np.ndarray) -> None:
        """Write the next rows into an array of shape (rows, columns) in C order."""
        try:
            if self._done + len(target) > self._image.shape[0]:
                raise ValueError("there are no rows any more")
            while len(target):
                inside = self._done % self._image.tile[0]
                if not inside:
                    self._pixels = self._begin(self._done // self._image.tile[0])
                count = min(len(target), self._image.tile[0] - inside)
                assert self._pixels is not None
                self._pixels.fill(target[:count])
                self._done += count
                target = target[count:]
        except FrameError:
            raise
        except (OSError, ValueError, zlib.error) as error:
            raise FrameNotReady(f"{self._image.where} cannot be read (yet): {error}") from error

    def _begin(self, band: int) -> _Pixels:
        """Return the pixels of a row of chunks."""
        image = self._image
        chunks = image.chunks[band * self._across : (band + 1) * self._across]
        each = [image.filter.undo(self._descriptor, chunk, image.dtype, math.prod(image.tile)) for chunk in chunks]
        return each[0] if image.tile[1] == image.shape[1] else _Band(each, image)


class _Band:
    """The pixels of chunks that lie side by side."""

    def __init__(self, chunks: Sequence[_Pixels], image: ChunkedImage) -> None:
        rows, columns = image.tile
        self._pixels, self._done = np.empty((rows, image.shape[1]), image.dtype), 0
        tile = np.empty(image.tile, image.dtype)
        for first, chunk in zip(range(0, image.shape[1], columns), chunks, strict=True):
            chunk.fill(tile)
            part = self._pixels[:, first : first + columns]
            part[:] = tile[:, : part.shape[1]]

    def fill(self, target: np.ndarray) -> None:
        target[:] = self._pixels[self._done : self._done + len(target)]
        self._done += len(target)


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
    lead = tuple(part.start for part in region[:-2])
    stored = [
        dataset.id.get_chunk_info_by_coord((*lead, row, column))
        for row in range(0, shape[0], tile[0])
        for column in range(0, shape[1], tile[1])
    ]
    if any(chunk.byte_offset is None or chunk.filter_mask for chunk in stored):
        return None
    return tile, [_Chunk(chunk.byte_offset, chunk.size) for chunk in stored], how


def _in_block(dataset: Any, region: Region, shape: tuple[int, int]) -> _Found | None:
    begin = dataset.id.get_offset()
    if begin is None or is_being_written(dataset.file.filename):
        return None
    place, width = 0, dataset.dtype.itemsize
    for part, side in zip(region, dataset.shape, strict=True):
        place = place * side + part.start
    return shape, [_Chunk(begin + place * width, math.prod(shape) * width)], _Filter()
