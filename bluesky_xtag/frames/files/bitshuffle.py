"""Decodes the blocks of the bitshuffle filter, which most photon-counting detectors write, outside of HDF5's lock.

The filter stores a chunk in blocks of 8 KiB. In each, all lowest bits of the pixels come first, then all second bits,
and so on; that is then compressed with LZ4 or Zstandard. (The layout is that of bitshuffle's HDF5 filter,
https://github.com/kiyo-masui/bitshuffle.) Undoing one block after the other, what is decoded stays in the processor's
cache. Most pixels hold few photons, so the planes of the higher bits are alike: all 0, or all 1 in gaps. They are
looked at once instead of being transposed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding as llvm
from numba import types
from numba.np.numpy_support import carray

from ...model import CompiledRows, Preparation, compile_function, compile_loop

__all__ = ["Bitshuffled", "can_decode", "warm"]

_LZ4, _ZSTD = 2, 3  # as the filter's options number them
_HEADER = 12  # bytes: of all pixels, 8; of a block, 4
_LARGEST_BLOCK = 2**24  # bytes; the filter makes blocks of 8 KiB, unless somebody asks for others
_WORD = 8  # bytes

# All that is known while an image is decoded lies in one array of words, so that compiled loops elsewhere need no more
# than its address: these numbers, for each chunk where it begins and ends, room for a block, and the chunks.
_CHUNK = 0  # number of the chunk
_AT = 1  # byte that is read next
_DONE = 2  # pixels of the chunk that are decoded
_SPARE, _SPARE_END = 3, 4  # pixels that were decoded and not asked for yet
_PIXELS = 5  # of a chunk
_BLOCK = 6  # pixels of a block
_CODEC = 7
_ROOM, _DATA, _WORDS = 8, 9, 10  # words: where room for a block and the chunks begin, and where all ends
_TABLE = 11

_LZ4_NAME, _ZSTD_NAME = "bluesky_xtag_lz4_decompress", "bluesky_xtag_zstd_decompress"
_lz4 = types.ExternalFunction(_LZ4_NAME, types.int32(types.uintp, types.uintp, types.int32, types.int32))
_zstd = types.ExternalFunction(_ZSTD_NAME, types.uintp(types.uintp, types.uintp, types.uintp, types.uintp))


def can_decode(options: Sequence[int], dtype: np.dtype) -> bool:
    """Return whether chunks are decoded here.

    Parameters
    ----------
    options : sequence of int
        The filter's, as the data set tells them; the third is the size of a pixel, the fifth the compression.
    dtype : numpy.dtype
        Of the pixels.
    """
    known = len(options) > 4 and options[2] == dtype.itemsize in (1, 2, 4, 8) and options[4] in (_LZ4, _ZSTD)
    return known and _has_library()


@cache
def _has_library() -> bool:
    """Tell the compiler where the functions of the library are that hdf5plugin brings; return whether there are."""
    from hdf5plugin import get_config

    library = get_config().registered_filters.get("bshuf")
    if library is None:
        return False
    for name, function in ((_LZ4_NAME, "LZ4_decompress_safe"), (_ZSTD_NAME, "ZSTD_decompress")):
        found = getattr(ctypes.CDLL(library), function, None)
        if found is None:
            return False
        llvm.add_symbol(name, ctypes.cast(found, ctypes.c_void_p).value)
    return True


class Bitshuffled:
    """The pixels of chunks, decoded one after the other.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of each chunk.
    read : callable
        Called with the number of a chunk and memory; fills it with the first bytes of the chunk.
    dtype : numpy.dtype
        Of the pixels, in native byte order.
    pixels : int
        How many each chunk holds.
    options : sequence of int
        The filter's; `can_decode` has to be true for them.

    Raises
    ------
    ValueError
        A chunk is not what the filter writes.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        read: Callable[[int, memoryview], None],
        dtype: np.dtype,
        pixels: int,
        options: Sequence[int],
    ) -> None:
        size = dtype.itemsize
        header = bytearray(_HEADER)
        read(0, memoryview(header))
        block = int.from_bytes(header[8:], "big")
        if block % (8 * size) or not 0 < block <= _LARGEST_BLOCK:
            raise ValueError(f"the chunk says that it has blocks of {block} bytes")
        header[:8] = (pixels * size).to_bytes(8, "big")
        ends = np.cumsum(sizes)
        room = _TABLE + 2 * len(sizes)
        data = room + 2 * -(-block // _WORD) + block // (8 * size)
        words = data + -(-int(ends[-1]) // _WORD)
        self._bits, self._state = np.dtype(f"u{size}"), np.empty(words, np.int64)
        self._state[:_TABLE] = 0, _HEADER, 0, 0, 0, pixels, block // size, options[4], room, data, words
        self._state[_TABLE:room:2], self._state[_TABLE + 1 : room : 2] = ends - sizes, ends
        chunks = memoryview(self._state[data:].view(np.uint8).data)
        for number, (end, length) in enumerate(zip(ends.tolist(), sizes, strict=True)):
            chunk = chunks[end - length : end]
            read(number, chunk)
            if chunk[:_HEADER] != header:
                raise ValueError(f"a chunk does not begin as one of {pixels * size} bytes in blocks of {block}")

    def fill(self, target: np.ndarray) -> None:
        """Decode as many pixels as the target, an array in C order, has.

        Raises
        ------
        ValueError
            The chunk is damaged, or ends before.
        """
        if not _fill(self._state, target.reshape(-1).view(self._bits)):
            raise ValueError(self._trouble())

    def compiled(self, error: Callable[[str], Exception]) -> CompiledRows:
        """Return what compiled loops call for the pixels; what is to be raised is made from a reason."""
        return CompiledRows(_pointed(self._bits.itemsize), self._state, lambda: error(self._trouble()))

    def _trouble(self) -> str:
        return f"the chunk is damaged after {self._state[_DONE]} of {self._state[_PIXELS]} pixels"


def warm() -> None:
    """Compile, or load, what decodes and bins images of two and of four bytes a pixel."""
    for dtype in (np.dtype(np.uint16), np.dtype(np.uint32)):
        options = (0, 0, dtype.itemsize, 0, _LZ4)
        if can_decode(options, dtype):
            image = _Blank(dtype, options)
            Preparation().bin(image)
            image.unpack()


class _Blank:
    """An image of two pixels without counts, too few to be compressed."""

    shape = (1, 2)
    mask = None

    def __init__(self, dtype: np.dtype, options: Sequence[int]) -> None:
        self.dtype, self._options = dtype, options
        pixels = bytes(2 * dtype.itemsize)
        self._chunk = len(pixels).to_bytes(8, "big") + (8 * dtype.itemsize).to_bytes(4, "big") + pixels

    @contextmanager
    def rows(self) -> Iterator[_Blank]:
        yield self

    def fill(self, target: np.ndarray) -> None:
        self._begin().fill(target)

    def compiled(self) -> CompiledRows:
        return self._begin().compiled(ValueError)

    def unpack(self) -> np.ndarray:
        pixels = np.empty(self.shape, self.dtype)
        self.fill(pixels)
        return pixels

    def _begin(self) -> Bitshuffled:
        def read(_: int, target: memoryview) -> None:
            target[:] = self._chunk[: len(target)]

        return Bitshuffled([len(self._chunk)], read, self.dtype, 2, self._options)


@cache
def _pointed(size: int) -> Any:
    """Return the C function that fills pixels of a size in bytes, given pointers."""
    pixel = {1: types.uint8, 2: types.uint16, 4: types.uint32, 8: types.uint64}[size]
    signature = types.int64(types.CPointer(types.int64), types.CPointer(pixel), types.int64)
    return compile_function(signature)(_fill_pointed)


def _fill_pointed(state: Any, target: Any, pixels: int) -> int:
    return int(_fill(carray(state, state[_WORDS]), carray(target, pixels)))


@compile_loop()
def _fill(state: np.ndarray, target: np.ndarray) -> bool:
    """Fill a target; return whether the chunks could be decoded."""
    block, size = state[_BLOCK], target.itemsize
    length, begin = -(-block * size // _WORD), state[_ROOM]
    packed = state[begin : begin + length].view(np.uint8)
    spare = state[begin + length : begin + 2 * length].view(target.dtype)
    columns = state[begin + 2 * length : begin + 2 * length + block // 8].view(np.uint64)
    chunks = state[state[_DATA] : state[_WORDS]].view(np.uint8)
    filled = _take_spare(state, spare, target)
    while filled < len(target):
        if state[_DONE] == state[_PIXELS] and not _begin_next(state):
            return False
        count, stored = _next_block(chunks, state)
        if stored < 0:
            return False
        if stored:
            written, wanted = np.int64(0), count * size
            source, room = chunks[state[_AT] :].ctypes.data, packed.ctypes.data
            if state[_CODEC] == _LZ4:
                written = np.int64(_lz4(source, room, np.int32(stored), np.int32(wanted)))
            else:
                written = np.int64(_zstd(room, np.uintp(wanted), source, np.uintp(stored)))
            if written != wanted:
                return False
            state[_AT] += stored
        filled += _unshuffle(chunks, state, count, stored, target[filled:], packed, spare, columns)
    return True


@compile_loop()
def _begin_next(state: np.ndarray) -> bool:
    """Go to the next chunk; return whether there is one."""
    table = _TABLE + 2 * (state[_CHUNK] + 1)
    if table >= state[_ROOM]:
        return False
    state[_CHUNK], state[_AT], state[_DONE] = state[_CHUNK] + 1, state[table] + _HEADER, 0
    return True


@compile_loop()
def _take_spare(state: np.ndarray, spare: np.ndarray, target: np.ndarray) -> int:
    """Copy pixels that were decoded before and not asked for; return how many."""
    taken = min(state[_SPARE_END] - state[_SPARE], len(target))
    target[:taken] = spare[state[_SPARE] : state[_SPARE] + taken]
    state[_SPARE] += taken
    return taken


@compile_loop()
def _next_block(chunks: np.ndarray, state: np.ndarray) -> tuple[int, int]:
    """Return how many pixels the next block has, and how many bytes it takes: 0 as it is, -1 if it cannot be.

    The last block is smaller; of what is left then, less than eight pixels, nothing is shuffled or compressed.
    """
    size = min(state[_PIXELS] - state[_DONE], state[_BLOCK])
    size -= size % 8 if size >= 8 else 0
    at, end = state[_AT], state[_TABLE + 2 * state[_CHUNK] + 1]
    if size < 8:
        return size, 0 if 0 < size else -1
    if at + 4 > end:
        return size, -1
    stored = (np.int64(chunks[at]) << 24) | (np.int64(chunks[at + 1]) << 16) | (np.int64(chunks[at + 2]) << 8)
    stored |= np.int64(chunks[at + 3])
    state[_AT] = at + 4
    return size, int(stored) if 0 < stored <= end - at - 4 else -1


@compile_loop()
def _unshuffle(
    chunks: np.ndarray,
    state: np.ndarray,
    size: int,
    stored: int,
    target: np.ndarray,
    packed: np.ndarray,
    spare: np.ndarray,
    columns: np.ndarray,
) -> int:
    """Write the pixels of a decompressed block, those that are too many into the spare; return how many were wanted."""
    wanted = min(size, len(target))
    here = target[:size] if wanted == size else spare[:size]
    if stored:
        _transpose(packed[: size * spare.itemsize], here, columns[: size // 8])
    else:
        taken = size * spare.itemsize
        here.view(np.uint8)[:] = chunks[state[_AT] : state[_AT] + taken]
        state[_AT] += taken
    if wanted < size:
        target[:wanted] = spare[:wanted]
        state[_SPARE], state[_SPARE_END] = wanted, size
    state[_DONE] += size
    return wanted


@compile_loop()
def _transpose(packed: np.ndarray, pixels: np.ndarray, columns: np.ndarray) -> None:
    """Put the bits of planes together again, of a number of pixels that eight divides."""
    size, row = pixels.itemsize, len(columns)
    planes = packed.reshape(8 * size, row)
    low = columns.view(np.uint8)
    _turn(planes[:8], columns)
    for place in range(len(pixels)):
        pixels[place] = low[place]
    telling = size  # bytes of a pixel, above which all planes are alike
    if row % 8 == 0:
        words = packed.view(np.uint64).reshape(8 * size, row // 8)
        highest = words[8 * size - 1]
        if _are_alike(words[8:], highest):
            telling = 1
        while telling > 1 and _are_alike(words[8 * telling - 8 : 8 * telling], highest):
            telling -= 1
    for byte in range(1, telling):
        _turn(planes[8 * byte : 8 * byte + 8], columns)
        _add_byte(low, 8 * byte, pixels)
    if telling < size and _is_any(planes[8 * size - 1]):
        _add_high(planes[8 * size - 1], 8 * telling, pixels, columns)


@compile_loop()
def _are_alike(words: np.ndarray, other: np.ndarray) -> bool:
    different = np.uint64(0)
    for plane in range(len(words)):
        for place in range(len(other)):
            different |= words[plane, place] ^ other[place]
    return bool(different == np.uint64(0))


@compile_loop()
def _turn(planes: np.ndarray, columns: np.ndarray) -> None:
    """Turn eight planes into bytes: eight bits of each plane are an 8 x 8 matrix, which is transposed.

    The three exchanges of ever larger squares are those of H. S. Warren, Hacker's Delight, section 7-3.
    """
    one, two, three, four = planes[0], planes[1], planes[2], planes[3]
    five, six, seven, eight = planes[4], planes[5], planes[6], planes[7]
    for place in range(len(columns)):
        bits = np.uint64(one[place]) | (np.uint64(two[place]) << np.uint64(8))
        bits |= (np.uint64(three[place]) << np.uint64(16)) | (np.uint64(four[place]) << np.uint64(24))
        bits |= (np.uint64(five[place]) << np.uint64(32)) | (np.uint64(six[place]) << np.uint64(40))
        bits |= (np.uint64(seven[place]) << np.uint64(48)) | (np.uint64(eight[place]) << np.uint64(56))
        other = (bits ^ (bits >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
        bits ^= other ^ (other << np.uint64(7))
        other = (bits ^ (bits >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
        bits ^= other ^ (other << np.uint64(14))
        other = (bits ^ (bits >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
        columns[place] = bits ^ other ^ (other << np.uint64(28))


@compile_loop()
def _add_byte(low: np.ndarray, shift: int, pixels: np.ndarray) -> None:
    for place in range(len(pixels)):
        pixels[place] |= np.uint64(low[place]) << np.uint64(shift)


@compile_loop()
def _add_high(plane: np.ndarray, shift: int, pixels: np.ndarray, columns: np.ndarray) -> None:
    """Set all bits from `shift` on of the pixels that have the highest one set."""
    for place in range(len(plane)):
        bits = (np.uint64(plane[place]) * np.uint64(0x0101010101010101)) & np.uint64(0x8040201008040201)
        columns[place] = ((bits + np.uint64(0x7F7F7F7F7F7F7F7F)) >> np.uint64(7)) & np.uint64(0x0101010101010101)
    is_set, high = columns.view(np.uint8), np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(shift)
    for place in range(len(pixels)):
        pixels[place] |= np.uint64(is_set[place]) * high


@compile_loop()
def _is_any(plane: np.ndarray) -> bool:
    found = np.uint8(0)
    for place in range(len(plane)):
        found |= plane[place]
    return bool(found > 0)
