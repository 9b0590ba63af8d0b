from dataclasses import replace

import numpy as np
import pytest
from support.draws import RecordingChance, expose_on_grid

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate import TAGS, Exposed, Region, Sample, make_scene
from bluesky_xtag.simulate.dataset import at_grid, raw, render_both
from bluesky_xtag.simulate.scene import patterns
from bluesky_xtag.simulate.scene.detectors import expose
from bluesky_xtag.simulate.scene.exposure_limits import (
    HIGHEST_LIMIT,
    LONGEST_EXPOSURE,
    MOST_PER_PIXEL,
    MOST_SCATTERED,
    draw_counts,
    limit_scale,
)
from bluesky_xtag.simulate.scene.geometry import Geometry
from bluesky_xtag.simulate.scene.layouts import Layout
from bluesky_xtag.simulate.scene.scenes import Defects, Part, Scene, expose_binned, expose_full, render

HIDDEN = (90210417, 359, True)  # nearly all of its spots lie under a masked region
PIXELS = Layout((60, 80), 172e-6)
GEOMETRY = Geometry(PIXELS.shape, 172e-6, 1.0, 1.0, (10.0, 30.0))
SPOT = patterns.Spots((0.02,), (0.0,), (1.0,), 2e-3, 0.1)
FLAT = patterns.HighQ(0.0, 1.0)


@pytest.mark.parametrize("held_out", [False, True])
def test_every_draw_of_some_hundred_scenes_is_bounded(held_out):
    for number in range(120):
        expose_on_grid(5, number, held_out)


def test_a_pattern_that_is_nearly_all_masked_does_not_light_up_the_rest():
    scene = make_scene(*HIDDEN)
    spots, *others = scene.parts
    rendering = at_grid(scene)
    assert rendering.scene.parts[0].photons < 1 < spots.photons  # as many as 1e14 scattered photons leave over
    assert 0.5 * MOST_SCATTERED < rendering.photons[0].sum(dtype=float) <= 1.001 * MOST_SCATTERED
    assert rendering.scene.parts[1:] == tuple(others)  # the rest of the scene is as it was
    expose_on_grid(*HIDDEN)
    chance = RecordingChance(0)
    image, labels, _ = raw(scene, chance)
    assert all(expected.max() <= MOST_PER_PIXEL for expected in chance.expected)
    assert image.max() <= scene.defects.limit and labels.shape == (len(TAGS),)


@pytest.mark.parametrize("number", [13, 359])
def test_labels_speak_of_the_photons_that_the_frame_has(number):
    rendering, judged = render_both(make_scene(90210417, number, held_out=True))
    shown = [part.photons for part in rendering.scene.parts]
    assert [part.photons for part in judged.scene.parts] == pytest.approx(shown, rel=1e-6)


def test_ordinary_scenes_bring_the_photons_that_they_state():
    for number in range(30):
        scene = make_scene(3, number)
        assert at_grid(scene).scene == scene


@pytest.mark.parametrize("factor", [1, 4])
@pytest.mark.parametrize("photons", [1e12, 1e20, 1e300])
def test_what_a_mask_hides_is_bounded_however_many_photons_are_stated(factor, photons):
    scene = Scene(
        PIXELS,
        GEOMETRY,
        (Part("spots", SPOT, photons), Part("background", FLAT, photons)),
        blind=((0.0, 0.0, 0.9, 1.0),),
        defects=Defects(flat_field=0.05, gain=4.0, limit=HIGHEST_LIMIT),
    )
    rendering, chance = render(scene, factor), RecordingChance(1)
    counts = expose_full(rendering, chance) if factor == 1 else expose_binned(rendering, chance).counts
    assert all(0 <= expected.min() and expected.max() <= 1e11 * factor**2 for expected in chance.expected)
    assert np.isfinite(counts).all() and counts.max() <= HIGHEST_LIMIT * factor**2
    for part, layer in zip(rendering.scene.parts, rendering.photons, strict=True):
        assert layer.sum(dtype=float) <= 1.001 * MOST_SCATTERED
        assert (layer * rendering.valid).sum(dtype=float) == pytest.approx(part.photons, rel=1e-3)


def test_the_scale_is_the_wanted_one_until_too_many_photons_would_be_scattered():
    assert limit_scale(1e9, scattered=1e5) == 1e9
    assert limit_scale(1e9, scattered=1e6) == MOST_SCATTERED / 1e6
    assert np.isfinite(np.float32(limit_scale(np.inf, scattered=0.0)))


def test_counts_are_drawn_as_numpy_does_where_they_are_physical():
    expected = np.geomspace(1e-3, 1e9, 500, dtype=np.float32)
    drawn = draw_counts(expected, 1, np.random.default_rng(4))
    np.testing.assert_array_equal(drawn, np.random.default_rng(4).poisson(expected))
    assert draw_counts(np.array([np.inf]), 9, np.random.default_rng(4)) == pytest.approx(9e11, rel=1e-5)


@pytest.mark.parametrize("wrong", [-1.0, np.nan])
def test_expectations_that_are_no_numbers_are_refused(wrong):
    with pytest.raises(XTagValueError, match="negative or not a number"):
        expose(np.full((3, 3), wrong), np.random.default_rng(0))


@pytest.mark.parametrize("name", ["hot", "zingers", "tracks", "dead", "salt"])
@pytest.mark.parametrize("share", [-0.1, 1.5, np.nan])
def test_more_defects_than_pixels_are_refused(name, share):
    with pytest.raises(XTagValueError, match=f"`{name}` is a share of all pixels, but got"):
        Defects(**{name: share})
    if name in ("hot", "zingers", "dead"):
        with pytest.raises(XTagValueError, match=name):
            expose(np.ones((3, 3)), np.random.default_rng(0), **{name: share})


@pytest.mark.parametrize(
    ("name", "value"), [("gain", np.inf), ("read_noise", -1), ("dead_time", np.nan), ("limit", 2**40), ("limit", -1)]
)
def test_detectors_that_there_are_not_are_refused(name, value):
    with pytest.raises(XTagValueError, match=f"`{name}` is"):
        Defects(**{name: value})


@pytest.mark.parametrize("photons", [-1.0, np.nan, np.inf])
def test_parts_bring_a_number_of_photons(photons):
    with pytest.raises(XTagValueError, match="rings brings"):
        replace(Part("rings", FLAT, 1.0), photons=photons)


@pytest.mark.parametrize("seconds", [-0.1, np.nan, np.inf, 1.01 * LONGEST_EXPOSURE])
def test_samples_and_maps_are_exposed_for_a_possible_time(seconds):
    for expose_there in (Sample().expose, Exposed(Region(0), 0, Preparation())):
        with pytest.raises(XTagValueError, match="cannot be exposed for .* choose 0 to 100 s"):
            expose_there(5.0, 5.0, seconds)


def test_the_longest_exposure_of_the_sample_stays_within_the_bounds():
    sample, exposed = Sample(), Exposed(Region(0), 0, Preparation())
    sample._noise, exposed._noise = chances = RecordingChance(0), RecordingChance(1)
    image, inputs = sample.expose(3.0, 3.0, LONGEST_EXPOSURE), exposed(5.0, 5.0, LONGEST_EXPOSURE)
    assert image.max() <= HIGHEST_LIMIT and np.isfinite(inputs.plain).all()
    assert all(
        0 <= expected.min() and expected.max() <= 1e6 * MOST_PER_PIXEL
        for chance in chances
        for expected in chance.expected
    )
