"""What the values of pixels are taken for, whatever the type that holds them: the table of the documentation, run."""

import numpy as np
import pytest

from bluesky_xtag.model import Preparation, describe_counts
from bluesky_xtag.model.prepare.validity import as_counts

prepare = Preparation()
SHAPE = (514, 512)


@pytest.fixture(scope="module")
def light():
    y, x = np.indices(SHAPE)
    return 40 * np.exp(-0.5 * ((np.hypot(x - 250, y - 230) - 120) / 4) ** 2) + 0.3


@pytest.fixture(scope="module")
def gaps():
    gaps = np.zeros(SHAPE, bool)
    gaps[250:262] = gaps[:, 170:176] = gaps[:, 340:346] = True
    gaps[100:104, 100:130] = True
    return gaps


def frame_of(light, seed=0):
    return np.random.default_rng(seed).poisson(light)


def assert_same(found, wanted):
    np.testing.assert_allclose(found.counts, wanted.counts, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(found.valid, wanted.valid)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        *((2**8 - 1, dtype) for dtype in ("uint8", "uint16", "int32", "float32")),
        *((2**16 - 1, dtype) for dtype in ("uint16", "uint32", "int32", "int64", "float32", "float64")),
        *((2**24 - 1, dtype) for dtype in ("uint32", "int32", "float32")),
        *((2**31 - 1, dtype) for dtype in ("int32", "uint32", "float32", "float64")),
        *((2**32 - 1, dtype) for dtype in ("uint32", "int64", "float32", "float64")),
        *((value, dtype) for value in (-1, -2, -10) for dtype in ("int16", "int32", "float32", "float64")),
        (np.nan, "float32"),
        (np.inf, "float32"),
    ],
)
def test_what_marks_gaps_is_a_gap_in_every_type(light, gaps, value, dtype):
    counts = frame_of(light)
    image = np.where(gaps, value, counts).astype(dtype)
    assert_same(prepare.bin(image), prepare.bin(counts.astype(np.int32), gaps))


@pytest.mark.parametrize("value", [2**16 - 1, 2**32 - 1])
def test_gaps_of_averaged_frames(light, gaps, value):
    frames = [np.where(gaps, float(value), frame_of(light, seed)) for seed in range(10)]
    assert_same(prepare.bin(np.mean(frames, axis=0)), prepare.bin(np.mean(frames, axis=0), gaps))


def test_two_kinds_of_gaps_at_once(light, gaps):
    image = np.where(gaps, 2**32 - 1, frame_of(light)).astype(float)
    image[:, :6] = 2**16 - 1
    mask = gaps.copy()
    mask[:, :6] = True
    assert_same(prepare.bin(image), prepare.bin(frame_of(light).astype(np.int32), mask))


def saturated(bits, gain, radius=10):
    y, x = np.indices(SHAPE)
    core = np.exp(-0.5 * (np.hypot(x - 300, y - 300) / radius) ** 2)
    light = gain * (40 * np.exp(-0.5 * ((np.hypot(x - 250, y - 260) - 120) / 4) ** 2) + 0.3)
    return np.minimum(frame_of(light) + frame_of(4 * 2.0**bits * core), 2**bits - 1)


@pytest.mark.parametrize(
    ("bits", "gain", "dtype"),
    [
        (8, 1, "uint8"),
        (8, 1, "int32"),
        (12, 5, "uint16"),
        (16, 50, "uint16"),
        (16, 50, "uint32"),
        (16, 50, "float32"),
    ],
)
@pytest.mark.parametrize("radius", [4, 10, 25])
def test_saturated_pixels_are_no_gaps(bits, gain, dtype, radius):
    image = saturated(bits, gain, radius).astype(dtype)
    binned = prepare.bin(image)
    assert binned.valid[:-1, :-1].min() > 0.7  # pixels that stand alone are spikes
    assert binned.maximum == 2**bits - 1
    assert binned.at_limit >= 0.95 * (image == 2**bits - 1).sum()


def test_saturation_next_to_gaps_of_the_same_value(gaps):
    image = saturated(16, 50, 6).astype(np.uint16)
    blob = (image == 2**16 - 1).sum()
    image[gaps] = 2**16 - 1
    binned = prepare.bin(image)
    assert 0.5 * blob < binned.at_limit <= blob
    assert binned.valid.mean() == pytest.approx(prepare.bin(image, gaps).valid.mean(), abs=2e-3)


@pytest.mark.parametrize("radius", [3, 9, 20])
@pytest.mark.parametrize(("dtype", "bright"), [("uint16", 2e5), ("uint8", 300)])
def test_a_mask_decides_of_a_beam_stop_in_saturated_light(radius, dtype, bright):
    """One frame cannot tell it from saturation; what is masked is never judged."""
    y, x = np.indices(SHAPE)
    r = np.hypot(x - 250, y - 260)
    most = np.iinfo(dtype).max
    image = np.minimum(frame_of(bright * np.exp(-r / 10) + 3), most).astype(dtype)
    saturated = (image == most) & (r >= radius)
    image[r < radius] = most
    binned = prepare.bin(image, r < radius)
    assert binned.at_limit == pytest.approx(saturated.sum(), abs=4)
    assert binned.valid.sum() == pytest.approx((r >= radius).sum() / binned.factor**2, abs=4)


def test_beyond_the_trusted_range_of_a_counter_of_many_bits():
    """The flag says that there was more than can be counted, not four thousand million photons."""
    image = saturated(12, 5).astype(np.uint32)
    held = image == 2**12 - 1
    image[held] = 2**32 - 1
    binned = prepare.bin(image)
    assert binned.at_limit >= 0.9 * held.sum() and binned.maximum < 2**13
    assert binned.valid[:-1, :-1].min() > 0.7


@pytest.mark.parametrize("sigma", [1.0, 4.0, 30.0])
@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_noise_about_zero_is_counts(light, sigma, dtype):
    noise = np.random.default_rng(1).normal(0, sigma, SHAPE)
    image = frame_of(light) + noise
    image = (np.rint(image) if dtype.startswith("int") else image).astype(dtype)
    binned = prepare.bin(image)
    # What is far below the noise is lifted to zero; nothing is taken for a gap.
    assert binned.valid[:-1, :-1].min() > 0.9
    pedestal = as_counts(image).pedestal
    assert sigma * 3 <= pedestal <= sigma * 7 + 2
    assert binned.counts[:-1, :-1].mean() / 9 == pytest.approx(image.mean() + pedestal, rel=0.1)


@pytest.mark.parametrize("value", [-1, -2, -10, -1000])
@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_gaps_in_noise_about_zero(light, gaps, value, dtype):
    image = frame_of(light) + np.random.default_rng(1).normal(0, 4, SHAPE)
    image = (np.rint(image) if dtype == "int32" else image).astype(dtype)
    image[gaps] = value
    wrong = abs(prepare.bin(image).valid - prepare.bin(np.ones(SHAPE, np.int32), gaps).valid) > 0.12
    assert wrong.mean() < 0.01  # noise may hold the value of the gaps in pixels side by side


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.1])
def test_dead_pixels_here_and_there_are_no_noise(light, share):
    image = frame_of(light).astype(np.int32)
    image[np.random.default_rng(2).random(SHAPE) < share] = -2
    assert as_counts(image).image is image


@pytest.mark.parametrize("monitor", [87_314.0, 1e-3, 123.4])
def test_frames_divided_by_a_monitor_are_brought_to_counts(light, monitor):
    counts = frame_of(light).astype(np.float32)
    scaled = as_counts((counts / np.float32(monitor)).astype(np.float32))
    if monitor > 20:
        assert scaled.scale == pytest.approx(monitor, rel=1e-3)
        np.testing.assert_allclose(scaled.image, counts, rtol=1e-3)


def test_normalised_frames_without_steps_are_told_by_their_noise(light):
    rng = np.random.default_rng(3)
    flat = rng.normal(1, 0.02, SHAPE)
    counts = rng.poisson(light + 20) / flat
    scaled = as_counts((counts / 5e4).astype(np.float32))
    assert scaled.scale == pytest.approx(5e4, rel=0.4)


@pytest.mark.parametrize("bright", [0.01, 0.1, 1, 30])
def test_frames_with_few_photons_divided_by_a_monitor(light, bright):
    """Most pixels hold nothing or one photon: all that they hold is one step."""
    counts = frame_of(bright * light)
    scaled = as_counts((counts / 87_314).astype(np.float32))
    assert scaled.scale == pytest.approx(87_314, rel=1e-3)
    np.testing.assert_allclose(scaled.image, counts, rtol=1e-3)


@pytest.mark.parametrize("bright", [1, 3, 30, 1000])
def test_frames_corrected_pixel_by_pixel_and_normalised_to_one(light, bright):
    """Pixels without a photon are a part of the noise: without them, few photons seem to be a hundred times more."""
    counts = frame_of(bright * light)
    corrected = counts / np.random.default_rng(3).normal(1, 0.02, SHAPE).clip(0.9, 1.1)
    scaled = as_counts((corrected / corrected.max()).astype(np.float32))
    assert scaled.scale == pytest.approx(corrected.max(), rel=0.4)


MONITOR = 87_314.0
ASSUMED = {
    "divided by a monitor": (lambda counts: counts / MONITOR, "float32", "multiplied by 8.731e+04"),
    "normalised to one": (lambda counts: counts / counts.max(), "float64", "multiplied by"),
    "noise about zero": (lambda counts: counts + np.random.default_rng(2).normal(0, 4, SHAPE), "float32", "is added"),
    "gain 4": (lambda counts: 4 * counts, "int32", "whole multiples of 4"),
    "gain 16, 12 bits in 16": (lambda counts: 16 * counts, "uint16", "whole multiples of 16"),
    "gain 3.7": (lambda counts: 3.7 * counts, "float32", "whole multiples of 3.7"),
    "mean of four": (lambda counts: counts / 4, "float32", "whole multiples of 0.25"),
}


@pytest.mark.parametrize("kind", ASSUMED)
def test_what_is_assumed_of_numbers_is_told(light, kind):
    change, dtype, words = ASSUMED[kind]
    assert words in describe_counts(change(frame_of(light)).astype(dtype))


def test_noise_about_zero_that_was_divided_is_told_in_one_sentence(light):
    noisy = frame_of(light) + np.random.default_rng(2).normal(0, 4, SHAPE)
    told = describe_counts((noisy / MONITOR).astype(np.float32))
    assert told.startswith("were divided or normalised") and "; they have noise about zero" in told


@pytest.mark.parametrize("bright", [0, 0.01, 0.1, 1, 30, 1000])
@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int32", "float32", "float64"])
def test_nothing_is_told_of_plain_counts(light, gaps, bright, dtype):
    counts = frame_of(bright * light).astype(dtype)
    assert describe_counts(counts) == ""
    value = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 2**32 - 1
    assert describe_counts(np.where(gaps, value, counts).astype(dtype)) == ""


def test_nothing_is_told_of_a_few_values():
    """Two hot pixels and nothing else are no gain."""
    image = np.zeros(SHAPE, np.int32)
    image[8, 10], image[16, 20] = 40, 80
    assert describe_counts(image) == ""


def test_plain_counts_are_left_as_they_are(light, gaps):
    for dtype in ("uint8", "uint16", "uint32", "int32", "float32", "float64"):
        image = frame_of(light).astype(dtype)
        assert as_counts(image).image is image
        if dtype == "int32":
            image[gaps] = -1
            assert as_counts(image).image is image


def test_a_mask_that_comes_with_the_pixels_is_used(light, gaps):
    image = frame_of(light).astype(np.uint32)
    image[gaps] = 500_000
    other = np.zeros(SHAPE, bool)
    other[:20] = True
    assert_same(prepare.bin(np.ma.MaskedArray(image, gaps)), prepare.bin(image, gaps))
    assert_same(prepare.bin(np.ma.MaskedArray(image, gaps), other), prepare.bin(image, gaps | other))
