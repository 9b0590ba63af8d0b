import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bluesky_xtag.errors import FrameError, XTagValueError
from bluesky_xtag.model import Preparation
from bluesky_xtag.model.prepare import PROFILE_CHANNELS
from bluesky_xtag.simulate.scene.geometry import Geometry
from bluesky_xtag.simulate.scene.patterns import Rings, Textured

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


def test_a_beam_centre_beyond_all_reason_is_none(rings):
    image, _ = rings
    wanted = prepare(image)
    for centre in ((1e39, 5.0), (5.0, -1e20), (np.nan, 5.0)):
        found = prepare(image, centre)
        np.testing.assert_array_equal(found.polar, wanted.polar)
        np.testing.assert_array_equal(found.scalars, wanted.scalars)


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
