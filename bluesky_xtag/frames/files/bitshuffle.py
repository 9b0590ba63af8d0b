"""Decodes the blocks of the bitshuffle filter, which most photon-counting detectors write, outside of HDF5's lock.

The filter stores a chunk in blocks of 8 KiB. In each, all lowest bits of the pixels come first, then all second bits,
and so on; that is then compressed with LZ4 or Zstandard. (The layout is that of bitshuffle's HDF5 filter,
https://github.com/kiyo-masui/bitshuffle.) Undoing one block after the other, what is decoded stays in the processor's
cache. Most pixels hold few photons, so the planes of the higher bits are alike: all 0, or all 1 in gaps. They are
looked at once instead of being transposed.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from ...model import compile_loop

__all__ = ["Bitshuffled", "decompressor", "warm"]

_LZ4, _ZSTD = 2, 3
_HEADER = 12  # bytes: of all pixels, 8; of a block, 4
_LARGEST_BLOCK = 2**24  # bytes; the filter makes blocks of 8 KiB, unless somebody asks for others
_AT, _DONE, _BEGIN, _END = range(4)  # of the state: compressed bytes, pixels, and pixels that are kept for later


@cache
def decompressor(options: tuple[int, ...]) -> Any:
    """Return what decompresses a block, a function of the library that hdf5plugin brings; None if there is none.

    Parameters
    ----------
    options : tuple of int
        The filter's, as the data set tells them; the fifth is the compression.

    Returns
    -------
    object or None
        A C function that compiled loops can call: LZ4's with (source, target, bytes of each), Zstandard's with (target,
        its bytes, source, its bytes). It returns how many bytes it wrote.
    """
    from hdf5plugin import get_config

    name = {_LZ4: "LZ4_decompress_safe", _ZSTD: "ZSTD_decompress"}.get(options[4] if len(options) > 4 else 0)
    library = get_config().registered_filters.get("bshuf")
    if name is None or library is None:
        return None
    function = getattr(ctypes.CDLL(library), name, None)
    return None if function is None else _as_argument(function, name)


def _as_argument(function: Any, name: str) -> Any:
    """Return a C function as something that compiled loops take as an argument."""
    import numba.experimental.function_type  # noqa: F401 - teaches Numba these arguments
    from numba import types

    place, size, length = types.uintp, types.uintp, types.int32
    lz4 = name.startswith("LZ4")
    signature = length(place, place, length, length) if lz4 else size(place, size, place, size)

    class Function(types.WrapperAddressProtocol):
        is_lz4 = lz4

        def __wrapper_address__(self) -> int:
            return ctypes.cast(function, ctypes.c_void_p).value or 0

        def signature(self) -> Any:
            return signature

    return Function()


class Bitshuffled:
    """The pixels of a chunk, decoded one after the other.

    Parameters
    ----------
    chunk : bytes
        As it is stored.
    dtype : numpy.dtype
        Of the pixels, in native byte order.
    pixels : int
        How many the chunk holds.
    decompress : object
        From `decompressor`.

    Raises
    ------
    ValueError
        The chunk is not what the filter writes.
    """

    def __init__(self, chunk: bytes, dtype: np.dtype, pixels: int, decompress: Any) -> None:
        size = dtype.itemsize
        total, block = int.from_bytes(chunk[:8], "big"), int.from_bytes(chunk[8:_HEADER], "big")
        if total != pixels * size or block % (8 * size) or not 0 < block <= _LARGEST_BLOCK:
            raise ValueError(f"the chunk says {total} bytes in blocks of {block}, but {pixels * size} are wanted")
        self._chunk = np.frombuffer(chunk, np.uint8)
        self._bits = np.dtype(f"u{size}")
        self._pixels = pixels
        self._functions = (decompress, None) if decompress.is_lz4 else (None, decompress)
        self._state = np.array([_HEADER, 0, 0, 0], np.int64)
        self._packed = np.empty(block, np.uint8)
        self._spare = np.empty(block // size, self._bits)
        self._columns = np.empty(block // (8 * size), np.uint64)

    def fill(self, target: np.ndarray) -> None:
        """Decode as many pixels as the target, an array in C order, has.

        Raises
        ------
        ValueError
            The chunk is damaged, or ends before.
        """
        flat, buffers = target.reshape(-1).view(self._bits), (self._packed, self._spare, self._columns)
        if not _fill(*self._functions, self._chunk, self._state, self._pixels, flat, *buffers):
            raise ValueError(f"the chunk is damaged after {self._state[_DONE]} of {self._pixels} pixels")


def warm() -> None:
    """Compile, or load, what decodes LZ4's blocks of two and of four bytes a pixel."""
    for dtype in (np.dtype(np.uint16), np.dtype(np.uint32)):
        pixels = np.zeros(4, dtype)  # too few to be compressed
        decompress = decompressor((0, 0, dtype.itemsize, 0, _LZ4))
        if decompress is not None:
            header = pixels.nbytes.to_bytes(8, "big") + (8 * dtype.itemsize).to_bytes(4, "big")
            Bitshuffled(header + pixels.tobytes(), dtype, len(pixels), decompress).fill(pixels)


@compile_loop()
def _fill(
    lz4: Any,
    zstd: Any,
    chunk: np.ndarray,
    state: np.ndarray,
    pixels: int,
    target: np.ndarray,
    packed: np.ndarray,
    spare: np.ndarray,
    columns: np.ndarray,
) -> bool:
    """Fill a target; return whether the chunk could be decoded. One of the functions is None."""
    filled = _take_spare(state, spare, target)
    while filled < len(target):
        size, stored = _next_block(chunk, state, pixels, len(spare))
        if stored < 0:
            return False
        if stored:
            source, length = chunk[state[_AT] :].ctypes.data, size * spare.itemsize
            written = np.int64(0)
            if lz4 is not None:  # Numba leaves out what is done with None
                written = np.int64(lz4(source, packed.ctypes.data, np.int32(stored), np.int32(length)))
            if zstd is not None:
                written = np.int64(zstd(packed.ctypes.data, np.uintp(length), source, np.uintp(stored)))
            if written != length:
                return False
            state[_AT] += stored
        filled += _unshuffle(chunk, state, size, stored, target[filled:], packed, spare, columns)
    return True


@compile_loop()
def _take_spare(state: np.ndarray, spare: np.ndarray, target: np.ndarray) -> int:
    """Copy pixels that were decoded before and not asked for; return how many."""
    taken = min(state[_END] - state[_BEGIN], len(target))
    target[:taken] = spare[state[_BEGIN] : state[_BEGIN] + taken]
    state[_BEGIN] += taken
    return taken


@compile_loop()
def _next_block(chunk: np.ndarray, state: np.ndarray, pixels: int, most: int) -> tuple[int, int]:
    """Return how many pixels the next block has, and how many bytes it takes: 0 as it is, -1 if it cannot be.

    The last block is smaller; of what is left then, less than eight pixels, nothing is shuffled or compressed.
    """
    size = min(pixels - state[_DONE], most)
    size -= size % 8 if size >= 8 else 0
    at = state[_AT]
    if size < 8:
        return size, 0 if 0 < size and at + size <= len(chunk) else -1
    if at + 4 > len(chunk):
        return size, -1
    stored = (np.int64(chunk[at]) << 24) | (np.int64(chunk[at + 1]) << 16) | (np.int64(chunk[at + 2]) << 8)
    stored |= np.int64(chunk[at + 3])
    state[_AT] = at + 4
    return size, int(stored) if 0 < stored <= len(chunk) - at - 4 else -1


@compile_loop()
def _unshuffle(
    chunk: np.ndarray,
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
        here.view(np.uint8)[:] = chunk[state[_AT] : state[_AT] + taken]
        state[_AT] += taken
    if wanted < size:
        target[:wanted] = spare[:wanted]
        state[_BEGIN], state[_END] = wanted, size
    state[_DONE] += size
    return wanted


@compile_loop()
def _transpose(packed: np.ndarray, pixels: np.ndarray, columns: np.ndarray) -> None:
    """Put the bits of planes together again, of a number of pixels that eight divides."""
    size, row = pixels.itemsize, len(columns)
    planes = packed.reshape(8 * size, row)
    telling = size  # bytes of a pixel, above which all planes are alike
    if row % 8 == 0:
        words = packed.view(np.uint64).reshape(8 * size, row // 8)
        while telling > 1 and _are_alike(words[8 * telling - 8 : 8 * telling], words[8 * size - 1]):
            telling -= 1
    low = columns.view(np.uint8)
    _turn(planes[:8], columns)
    for place in range(len(pixels)):
        pixels[place] = low[place]
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
