"""Compiled loops of the preparation: they give what whole arrays give, and are compiled when they must be."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support import plain_views

from bluesky_xtag.model import SPIKE_COUNTS, SPIKE_RATIO, Preparation
from bluesky_xtag.model.prepare import binning, polar, preparation, slopes, symmetry

prepare = Preparation()


def plainly_binned(image, mask):
    """Return sums, valid pixels, the highest count and how many hold it, from the whole frame at once."""
    good = (image >= 0) & (image < np.iinfo(image.dtype).max) & ~mask
    clean = np.where(good, image, 0)
    padded = np.pad(clean, 1)
    rows, columns = image.shape
    places = [(down, right) for down in range(3) for right in range(3) if (down, right) != (1, 1)]
    around = np.max([padded[down : down + rows, right : right + columns] for down, right in places], axis=0)
    good &= clean <= SPIKE_RATIO * around + SPIKE_COUNTS
    factor = max(1, -(-max(image.shape) // prepare.grid))
    edges = [np.arange(0, side, factor) for side in image.shape]
    counts, pixels = (
        np.add.reduceat(np.add.reduceat(layer, edges[0], axis=0), edges[1], axis=1)
        for layer in (np.where(good, clean, 0), good.astype(int))
    )
    highest = clean[good].max()
    return counts, pixels, highest, np.count_nonzero(clean[good] == highest)


@settings(deadline=None, max_examples=40)
@given(
    shape=st.sampled_from([(300, 280), (1, 70_000), (70_000, 1), (37, 2100), (5, 3), (2, 1), (700, 301)]),
    seed=st.integers(0, 2**32 - 1),
    mean=st.sampled_from([0.05, 3, 70, 400]),
    few=st.floats(0, 0.3),
)
def test_binning_a_row_at_a_time_is_binning_the_whole_frame(shape, seed, mean, few):
    rng = np.random.default_rng(seed)
    image = rng.poisson(mean, shape).astype(np.int32)
    chance = rng.random(shape)
    image[chance < few / 2] = -1
    image[(chance > 0.5) & (chance < 0.5 + few / 2)] = 4000
    mask = rng.random(shape) < few
    image.flat[0], mask.flat[0] = 10, False
    counts, pixels, highest, times = plainly_binned(image, mask)
    binned = prepare.bin(image, mask)
    np.testing.assert_array_equal(binned.counts, counts)
    np.testing.assert_allclose(binned.valid * binned.factor**2, pixels, rtol=1e-6)
    assert binned.maximum == highest
    assert binned.at_limit == (times if highest >= 254 else 0)


@settings(deadline=None, max_examples=40)
@given(
    shape=st.sampled_from([(300, 280), (64, 64), (37, 2100), (5, 3), (1, 9), (195, 487), (1043, 981)]),
    seed=st.integers(0, 2**32 - 1),
    mean=st.sampled_from([0.05, 3, 400]),
    few=st.sampled_from([0, 0.3, 0.999]),
    centre=st.tuples(st.floats(-1, 2), st.floats(-1, 2)),
)
def test_compiled_views_are_those_of_whole_arrays(shape, seed, mean, few, centre):
    rng = np.random.default_rng(seed)
    image = rng.poisson(mean, shape).astype(np.int32)
    mask = rng.random(shape) < few
    mask[: shape[0] // 4, : shape[1] // 3] = True
    mask[-2:, -2:] = False
    binned = prepare.bin(image, mask)
    x, y = (round(2 * share * side) / 2 for share, side in zip(centre, binned.counts.shape[::-1], strict=True))
    found = prepare.views(binned, ((x + 0.5) * binned.factor - 0.5, (y + 0.5) * binned.factor - 0.5))
    view, profile = plain_views.polar(binned, (x, y), prepare)
    np.testing.assert_allclose(found.plain, plain_views.plain(binned, prepare), atol=2e-4)
    single = np.array([2e-4, 2e-4, 5e-3, 2e-4, 2e-4])  # a variance is the small difference of large squares
    assert (np.abs(found.polar - view) <= single).all()
    np.testing.assert_allclose(found.profile, profile, atol=2e-3)


def test_the_variance_of_a_lone_bin_is_nothing():
    view = prepare(np.full((5, 5), 123_457, np.int32), (2.0, 2.0)).polar
    assert np.count_nonzero(view[..., 0]) == 25  # each in a cell of its own
    assert view[..., 2].max() == 0


def test_nothing_is_compiled_anew_whatever_a_detector_sends():
    image = (1000 / (1 + np.hypot(*np.indices((300, 280)) - 140))).astype(np.int32)
    prepare(image, None, image > 10**6)
    loops = {
        loop
        for module in (binning, polar, preparation, slopes, symmetry)
        for loop in vars(module).values()
        if hasattr(loop, "signatures")
    }
    compiled = {loop: len(loop.signatures) for loop in loops}
    assert len(compiled) > 20
    locked = image.astype(np.float32)
    locked.setflags(write=False)
    for other in (locked, np.asfortranarray(image), image[::-1, ::2], image.astype(">u2"), image.astype(float)):
        for mask in (other > 10**6, np.asfortranarray(other > 10**6), (other > 10**6).astype(np.uint8)):
            mask.setflags(write=False)
            prepare(other, None, mask)
            prepare(other, (120.0, 170.0))
    for shape in ((1, 9), (2, 2), (600, 20)):
        prepare(np.zeros(shape, np.uint16))
    assert {loop: len(loop.signatures) for loop in loops} == compiled
