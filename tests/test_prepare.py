import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import plain_views
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bluesky_xtag.errors import FrameError, XTagValueError
from bluesky_xtag.prepare import (
    PROFILE_CHANNELS,
    SPIKE_COUNTS,
    SPIKE_RATIO,
    Preparation,
    binning,
    estimate_centre,
    polar,
    preparation,
    slopes,
    symmetry,
)
from bluesky_xtag.simulate.geometry import Geometry
from bluesky_xtag.simulate.patterns import PowerLaw, Rings, Textured

prepare = Preparation()
DTYPES = [np.uint8, np.uint16, np.uint32, np.int16, np.int32, np.int64, np.float32, np.float64, ">i4", ">u2"]


@pytest.fixture
def rings():
    geometry = Geometry((300, 280), 172e-6, 1.0, 1.0, (120.0, 170.0))
    expected = 20 * Rings(0.1, (1, 2), width=0.05).intensity(geometry.q(), geometry.chi()) + 1
    return np.random.default_rng(0).poisson(expected).astype(np.int32), geometry


@settings(deadline=None, max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0, 0.9),
)
def test_binning_keeps_every_photon_of_valid_pixels_and_no_other(shape, seed, share):
    rng = np.random.default_rng(seed)
    image = rng.poisson(5, shape).astype(np.int32)
    image[rng.random(shape) < share] = -1
    image.flat[0] = 7
    mask = rng.random(shape) < 0.1
    mask.flat[0] = False
    binned = prepare.bin(image, mask)
    good = (image >= 0) & ~mask
    assert binned.counts.sum(dtype=float) == pytest.approx(image[good].sum(), rel=1e-5)
    assert binned.valid.sum(dtype=float) * binned.factor**2 == pytest.approx(good.sum(), rel=1e-5)
    assert max(binned.counts.shape) <= prepare.grid
    assert binned.maximum == image[good].max()


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


def test_nothing_is_compiled_anew_whatever_a_detector_sends(rings):
    image, geometry = rings
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
            prepare(other, geometry.beam_centre)
    for shape in ((1, 9), (2, 2), (600, 20)):
        prepare(np.zeros(shape, np.uint16))
    assert {loop: len(loop.signatures) for loop in loops} == compiled


def test_a_beam_centre_beyond_all_reason_is_none(rings):
    image, _ = rings
    wanted = prepare(image)
    for centre in ((1e39, 5.0), (5.0, -1e20), (np.nan, 5.0)):
        found = prepare(image, centre)
        np.testing.assert_array_equal(found.polar, wanted.polar)
        np.testing.assert_array_equal(found.scalars, wanted.scalars)


def test_the_variance_of_a_lone_bin_is_nothing():
    view = prepare(np.full((5, 5), 123_457, np.int32), (2.0, 2.0)).polar
    assert np.count_nonzero(view[..., 0]) == 25  # each in a cell of its own
    assert view[..., 2].max() == 0


LOGS = """
import numpy as np
from bluesky_xtag.prepare.symmetry import _logs
one = np.ones((1, 1), np.float32)
print(_logs(one, one, np.float32(1))[0, 0, 0])
"""


def test_what_was_compiled_before_another_file_changed_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    copied = tmp_path / "bluesky_xtag"
    sources = Path(binning.__file__).parent
    shutil.copytree(sources, copied / "prepare", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(sources.parent / "errors.py", copied)
    (copied / "__init__.py").touch()

    def printed():
        run = [sys.executable, "-c", LOGS]
        return float(subprocess.run(run, cwd=tmp_path, capture_output=True, check=True).stdout)

    assert printed() == pytest.approx(np.log(2))
    (index,) = (copied / "prepare" / "__pycache__").glob("symmetry._logs-*.nbi")
    compiled = index.stat().st_mtime_ns
    assert printed() == pytest.approx(np.log(2)) and index.stat().st_mtime_ns == compiled
    grid = copied / "prepare" / "grid.py"
    grid.write_text(grid.read_text().replace("return np.log(_ONE + number)", "return number"))
    assert printed() == 1


@pytest.mark.parametrize("value", [1e12, 3e38, 1e300])
def test_more_than_any_detector_counts_is_no_count(value):
    image = np.ones((50, 40))
    image[:10] = value
    assert prepare.bin(image).valid.sum() == 40 * 40
    assert all(np.isfinite(getattr(prepare(image), view)).all() for view in prepare.shapes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_gives_the_same_inputs(rings, dtype):
    image, geometry = rings
    image = np.minimum(image, 100)
    wanted = prepare(image, geometry.beam_centre)
    found = prepare(image.astype(dtype), geometry.beam_centre)
    for view in prepare.shapes:
        np.testing.assert_allclose(getattr(found, view), getattr(wanted, view), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, ">i4", np.int64])
def test_negative_counts_are_not_valid(dtype):
    image = np.ones((50, 40), dtype)
    image[:10], image[10:20] = -1, -2
    assert prepare.bin(image).valid.sum() == prepare.bin(image[:, ::-1]).valid.sum() == 30 * 40


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32])
def test_the_maximum_of_an_integer_type_is_no_count(dtype):
    image = np.ones((50, 40), dtype)
    image[10:20, :] = np.iinfo(dtype).max
    assert prepare.bin(image).valid.sum() == 40 * 40
    assert prepare.bin(image).maximum == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1.0])
def test_floats_that_are_no_counts_are_masked(bad):
    image = np.ones((50, 40), np.float32)
    image[0, :10] = bad
    binned = prepare.bin(image)
    assert binned.valid.sum() == 50 * 40 - 10
    assert binned.counts.sum() == 50 * 40 - 10


def test_masked_pixels_have_no_influence(rings):
    image, geometry = rings
    mask = np.zeros(image.shape, bool)
    mask[40:80, 100:140] = True
    spoiled = image.copy()
    spoiled[mask] = 10**6
    for view in ("plain", "polar", "scalars"):
        np.testing.assert_array_equal(
            getattr(prepare(image, geometry.beam_centre, mask), view),
            getattr(prepare(spoiled, geometry.beam_centre, mask), view),
        )


@pytest.mark.parametrize(
    "image",
    [
        np.full((40, 40), -1, np.int32),
        np.full((40, 40), np.nan, np.float32),
        np.full((40, 40), 2**16 - 1, np.uint16),
    ],
)
def test_a_frame_without_valid_pixels_is_refused(image):
    with pytest.raises(FrameError, match="no valid pixel"):
        prepare(image)


@pytest.mark.parametrize(
    "image", [np.ones(9), np.ones((2, 3, 4)), np.ones((0, 4)), np.array([["a"]]), np.ones((4, 4), complex)]
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(FrameError):
        prepare(image)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(FrameError, match="mask"):
        prepare(np.ones((4, 5)), mask=np.zeros((5, 4), bool))


@settings(deadline=None, max_examples=40)
@given(
    image=arrays(np.int32, st.tuples(st.integers(1, 90), st.integers(1, 90)), elements=st.integers(-2, 2**31 - 1)),
    centre=st.none() | st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
)
def test_inputs_are_finite_and_of_fixed_shape_for_any_frame(image, centre):
    image.flat[0] = 1
    inputs = prepare(image, centre)
    for name, shape in prepare.shapes.items():
        view = getattr(inputs, name)
        assert view.shape == shape and view.dtype == np.float32 and np.isfinite(view).all()


def test_zero_counts_are_a_frame():
    inputs = prepare(np.zeros((195, 487), np.int32))
    assert inputs.plain[..., 0].max() == 0 and inputs.scalars[0] == 0


def test_one_hot_pixel_leaves_the_rest_of_the_plain_logarithm_alone(rings):
    image, geometry = rings
    hot = image.copy()
    hot[5, 5] = 10**8
    before, after = (prepare(i, geometry.beam_centre).plain[..., 0] for i in (image, hot))
    assert (before != after).sum() == 1


def test_a_turn_of_the_frame_shifts_the_polar_view(rings):
    image, geometry = rings
    x, y = geometry.beam_centre
    turned = np.rot90(image)
    before = prepare(image, (x, y)).polar[..., 0]
    after = prepare(turned, (y, image.shape[1] - 1 - x)).polar[..., 0]
    quarter = prepare.azimuths // 4
    shifted = np.roll(before, -quarter, axis=1)
    assert np.corrcoef(shifted[10:].ravel(), after[10:].ravel())[0, 1] > 0.95
    np.testing.assert_allclose(before.mean(1)[20:], after.mean(1)[20:], atol=0.03)


def test_a_ring_lies_at_its_radius_in_the_polar_view(rings):
    image, geometry = rings
    polar = prepare(image, geometry.beam_centre).polar
    # Where no pixel is valid there is no mean, so only cells with pixels are averaged.
    profile = (polar[..., 0] * (polar[..., 1] > 0)).sum(1) / np.maximum((polar[..., 1] > 0).sum(1), 1)
    farthest = np.hypot(max(120, 280 - 120), max(170, 300 - 170))
    wanted = geometry.radius_at(0.1) / farthest * prepare.radii
    assert abs(np.argmax(profile) + 0.5 - wanted) < 1.5


@pytest.mark.parametrize("centre", [(120.0, 170.0), (140.0, 150.0), (60.0, 220.0)])
def test_the_centre_of_a_centrosymmetric_frame_is_found(centre):
    geometry = Geometry((300, 280), 172e-6, 1.0, 1.0, centre)
    expected = 20 * Rings(0.05, (1, 2, 3), width=0.1).intensity(geometry.q(), geometry.chi()) + 1
    image = np.random.default_rng(0).poisson(expected).astype(np.int32)
    image[:, 135:139] = -1
    found, symmetry = found_centre(image)
    assert np.abs(found - centre).max() < 4
    assert symmetry > 0.5


def found_centre(image):
    """Return the estimate in pixels, and the symmetry."""
    binned = prepare.bin(image)
    x, y, symmetry = estimate_centre(binned)
    return np.array([(c + 0.5) * binned.factor - 0.5 for c in (x, y)]), symmetry


def exposed(geometry, pattern, photons=20):
    expected = photons * pattern.intensity(geometry.q(), geometry.chi()) + 1
    return np.random.default_rng(0).poisson(expected).astype(np.int32)


@pytest.mark.parametrize("centre", [(-60.0, 150.0), (400.0, -40.0), (140.0, 420.0)])
@pytest.mark.parametrize("pattern", [Rings(0.12, (1, 2, 3), width=0.1), PowerLaw(2, 0.2)], ids=["rings", "power law"])
def test_the_beam_beside_the_frame_is_found_by_what_it_scatters_into_it(centre, pattern):
    found, symmetry = found_centre(exposed(Geometry((300, 280), 172e-6, 1.0, 1.0, centre), pattern, 200))
    assert np.hypot(*(found - centre)) < 0.12 * np.hypot(*np.subtract(centre, (140, 150)))  # of its distance
    assert symmetry == 0


def test_the_beam_on_a_horizon_is_found_by_the_half_above_it():
    geometry = Geometry((300, 280), 172e-6, 1.0, 1.0, (140.0, 200.0))
    image = exposed(geometry, Rings(0.05, (1, 2, 3), width=0.1))
    image[200:] = np.random.default_rng(1).poisson(0.1, image[200:].shape)
    found, _ = found_centre(image)
    assert np.abs(found - geometry.beam_centre).max() < 5


@pytest.mark.parametrize("centre", [(300.0, -150.0), (200.0, 300.0)])
def test_a_long_frame_reaches_as_far_up_as_down(centre):
    image = exposed(Geometry((60, 400), 172e-6, 1.0, 1.0, centre), PowerLaw(2, 0.2), 2000)
    (x, y), (turned_x, turned_y) = (found_centre(each)[0] for each in (image, image[::-1]))
    assert (turned_x, turned_y) == pytest.approx((x, 59 - y), abs=8)
    assert np.hypot(x - centre[0], y - centre[1]) < 50


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (2, 3)])
def test_the_centre_of_a_frame_without_room_lies_within(shape):
    (x, y), _ = found_centre(np.random.default_rng(0).poisson(5, shape))
    assert -0.5 <= x <= shape[1] and -0.5 <= y <= shape[0]


def test_a_frame_of_noise_has_some_centre():
    found, _ = found_centre(np.random.default_rng(0).poisson(0.2, (195, 487)))
    assert np.isfinite(found).all()
    found, symmetry = found_centre(np.zeros((195, 487), np.int32))
    assert found == pytest.approx((243, 97), abs=2) and symmetry == 0


def test_settings_survive_json_and_foreign_ones_are_refused():
    assert Preparation.from_dict(Preparation(grid=128).to_dict()) == Preparation(grid=128)
    with pytest.raises(XTagValueError, match="preparation settings"):
        Preparation.from_dict({"grid": 128})


def test_a_turn_of_the_frame_leaves_the_profile(rings):
    image, (x, y) = rings[0], rings[1].beam_centre
    upright, turned = prepare(image, (x, y)), prepare(np.rot90(image), (y, image.shape[1] - 1 - x))
    assert np.corrcoef(upright.profile[20:].ravel(), turned.profile[20:].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("fold", [2, 4, 6])
def test_the_profile_shows_the_fold_of_a_texture(fold):
    geometry = Geometry((256, 256), 172e-6, 1.0, 1.0, (128.0, 128.0))
    textured = Textured(Rings(0.1, width=0.1), 0.5, fold, 0.4)
    image = np.random.default_rng(0).poisson(20 * textured.intensity(geometry.q(), geometry.chi()))
    profile = prepare(image, geometry.beam_centre).profile
    row = np.argmax(profile[:, PROFILE_CHANNELS.index("log_mean")])
    harmonics = {n: profile[row, PROFILE_CHANNELS.index(f"smooth_harmonic_{n}")] for n in (1, 2, 4, 6)}
    assert max(harmonics, key=lambda n: harmonics[n]) == fold
    assert harmonics[fold] > 2 * harmonics[1]


@pytest.mark.parametrize("place", [(0, 0), (213, 10), (214, 10), (150, 200), (299, 279)])
def test_a_lone_spike_is_no_photon_but_a_spot_is(rings, place):
    image, geometry = rings
    spiked, spot = image.copy(), image.copy()
    spiked[place] = 10**6
    row, column = min(place[0], 290), min(place[1], 270)
    spot[row : row + 2, column : column + 2] = 10**4
    clean, masked = prepare.bin(image), prepare.bin(spiked)
    assert masked.maximum == clean.maximum
    assert masked.counts.sum() == clean.counts.sum() - image[place]
    assert masked.valid.sum() * 4 == pytest.approx(clean.valid.sum() * 4 - 1)
    assert prepare.bin(spot).maximum == 10**4
