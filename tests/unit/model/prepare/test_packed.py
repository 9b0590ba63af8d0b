"""Images that are binned while they are decoded: nothing but the memory differs from images that are read whole."""

import functools
from contextlib import contextmanager

import numba
import numpy as np
import pytest
from numba import types
from numba.np.numpy_support import carray

from bluesky_xtag.errors import FrameError, FrameNotReady
from bluesky_xtag.model import CompiledRows, Preparation
from bluesky_xtag.model.prepare import binning

prepare = Preparation()
SHAPE = (700, 512)


class Packed:
    """An array behind the interface of a packed image; counts how often it was begun."""

    def __init__(self, pixels, mask=None):
        self.pixels, self.mask, self.begun = pixels, mask, 0
        self.shape, self.dtype = pixels.shape, pixels.dtype

    @contextmanager
    def rows(self):
        self.begun += 1
        self.done = 0
        yield self

    def fill(self, target):
        assert target.flags.c_contiguous and target.dtype == self.dtype
        target[:] = self.pixels[self.done : self.done + len(target)]
        self.done += len(target)

    def compiled(self) -> CompiledRows | None:
        return None

    def unpack(self):
        return self.pixels if self.mask is None else np.ma.MaskedArray(self.pixels, self.mask)


_SIZED = {1: types.uint8, 2: types.uint16, 4: types.uint32, 8: types.uint64}


@functools.cache
def copies(size):
    """Return a C function that copies the next pixels of a given size; the state: where they are, and how many."""
    pixel = _SIZED[size]

    @numba.cfunc(types.int64(types.CPointer(types.int64), types.CPointer(pixel), types.int64))
    def fill(state, target, pixels):
        if pixels > state[1]:
            return 0
        kept = carray(state, 2 + -(-(state[0] + state[1]) * size // 8))[2:].view(np.uint8)
        wanted = carray(target, pixels).view(np.uint8)
        wanted[:] = kept[state[0] * size : (state[0] + pixels) * size]
        state[0] += pixels
        state[1] -= pixels
        return 1

    return fill


class Compiled(Packed):
    """The same, whose rows compiled loops have; as many as `held`."""

    held = None

    def fill(self, target):
        assert self.dtype not in ("uint16", "uint32", "int16", "int32"), "compiled loops need no Python"
        super().fill(target)

    def compiled(self):
        size = self.pixels.itemsize
        state = np.zeros(2 + -(-self.pixels.nbytes // 8), np.int64)
        state[1] = self.pixels.size if self.held is None else self.held
        state[2:].view(np.uint8)[: self.pixels.nbytes] = self.pixels.reshape(-1).view(np.uint8)
        return CompiledRows(copies(size), state, lambda: FrameNotReady("torn"))


BOTH = pytest.mark.parametrize("way", [Packed, Compiled])


def light(shape=SHAPE):
    y, x = np.indices(shape)
    return 60 * np.exp(-0.5 * ((np.hypot(x - 250, y - 330) - 150) / 4) ** 2) + 0.4


def counts(dtype, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).poisson(light(shape)).astype(dtype)


def with_gaps(image, value):
    image = image.copy()
    image[250:262] = image[:, 170:176] = value
    return image


def saturated(dtype):
    top = np.iinfo(dtype).max
    y, x = np.indices(SHAPE)
    spot = 30 * float(top) * np.exp(-0.5 * (np.hypot(x - 200, y - 300) / 9) ** 2)
    return np.minimum(counts("int64") + spot, top).astype(dtype)


def noise(dtype):
    image = counts("float64") + np.random.default_rng(1).normal(0, 3, SHAPE)
    return (np.round(image) if np.dtype(dtype).kind == "i" else image).astype(dtype)


PLAIN = {
    **{f"counts in {dtype}": counts(dtype) for dtype in ("uint8", "uint16", "uint32", "int32", "int64", "float32")},
    "gaps at the maximum": with_gaps(counts("uint32"), 2**32 - 1),
    "gaps at -1": with_gaps(counts("int32"), -1),
    "gaps that are NaN": with_gaps(counts("float32"), np.nan),
    "hot pixels": np.where(np.random.default_rng(2).random(SHAPE) > 0.9999, 100_000, counts("uint32")).astype("uint32"),
}
OTHERS = {
    "saturated 8 bits": saturated("uint8"),
    "saturated 16 bits": saturated("uint16"),
    "gaps of 16 bits in 32": with_gaps(counts("uint32"), 65535),
    "gaps of 32 bits in floats": with_gaps(counts("float64"), 2**32 - 1),
    "noise about zero, integers": noise("int16"),
    "noise about zero, floats": noise("float32"),
    "divided by a monitor": (counts("float64") / 1234.5).astype("float32"),
}


def assert_equal(found, wanted):
    np.testing.assert_array_equal(found.counts, wanted.counts)
    np.testing.assert_array_equal(found.valid, wanted.valid)
    assert (found.factor, found.maximum, found.at_limit) == (wanted.factor, wanted.maximum, wanted.at_limit)


@BOTH
@pytest.mark.parametrize("kind", [*PLAIN, *OTHERS])
@pytest.mark.parametrize("strip", [1, 3_000, 60_000, 480_000])
def test_bins_are_those_of_the_array_to_the_last_bit(monkeypatch, way, kind, strip):
    image = (PLAIN | OTHERS)[kind]
    wanted = prepare.bin(image)
    monkeypatch.setattr(binning, "_STRIP", strip)
    monkeypatch.setattr(binning, "_STAYS", strip)
    assert_equal(prepare.bin(way(image)), wanted)


@BOTH
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_counts_are_decoded_once(way, kind):
    packed = way(PLAIN[kind])
    packed.unpack = None  # would be written to memory as a whole
    prepare.bin(packed)
    assert packed.begun == 1


@BOTH
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 300), (1025, 3), (513, 1100), (2050, 64)])
def test_every_size(monkeypatch, way, shape):
    image = np.random.default_rng(0).poisson(2, shape).astype("uint16")
    wanted = prepare.bin(image)
    for strip in (1, 500, 480_000):
        monkeypatch.setattr(binning, "_STRIP", strip)
        monkeypatch.setattr(binning, "_STAYS", strip)
        assert_equal(prepare.bin(way(image)), wanted)


@BOTH
@pytest.mark.parametrize("kind", ["counts in uint32", "saturated 16 bits", "noise about zero, floats"])
def test_its_own_mask_and_the_users_hold_together(way, kind):
    image, own, user = (PLAIN | OTHERS)[kind], np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    own[10:60, 30:90], user[:, 400:] = True, True
    for first, second in ((own, None), (None, user), (own, user)):
        array = image if first is None else np.ma.MaskedArray(image, first)
        assert_equal(prepare.bin(way(image, first), second), prepare.bin(array, second))
    assert (prepare.bin(way(image, own), user).valid[:, 400:] == 0).all()


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(FrameError, match="mask has shape"):
        prepare.bin(Packed(PLAIN["counts in uint32"]), np.zeros((5, 5), bool))


@BOTH
def test_no_valid_pixel_is_said(way):
    with pytest.raises(FrameError, match="no valid pixel"):
        prepare.bin(way(np.full(SHAPE, 2**32 - 1, "uint32")))


def test_an_image_that_cannot_be_decoded_stays_not_ready():
    packed = Packed(PLAIN["counts in uint32"])

    def fail(target):
        raise FrameNotReady("torn")

    packed.fill = fail
    with pytest.raises(FrameNotReady, match="torn"):
        prepare.bin(packed)


@pytest.mark.parametrize("held", [0, 512, 100_000, 700 * 512 - 1])
def test_rows_of_a_compiled_loop_that_cannot_be_decoded_stay_not_ready(held):
    packed = Compiled(PLAIN["counts in uint32"])
    packed.held = held
    with pytest.raises(FrameNotReady, match="torn"):
        prepare.bin(packed)
