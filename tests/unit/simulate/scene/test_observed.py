"""What measured frames show beyond the nuisances: off by default, by chance, and each as it says."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.simulate import make_scene
from bluesky_xtag.simulate.scene.observed import OBSERVED, draw_observed
from bluesky_xtag.simulate.scene.patterns import Textured
from bluesky_xtag.simulate.scene.scenes import expose_full, render
from bluesky_xtag.simulate.scene.shadows import Beamstop


def fitting(name, seed=5, nuisances=("gaps", "noise", "beamstop")):
    """Return a scene that can show an effect, and the same with it."""
    effect = OBSERVED[name]
    scenes = (make_scene(seed, index, nuisances=nuisances) for index in count())
    scene = next(each for each in scenes if each.parts[0].photons > 1e4 and effect.fits(each))
    return scene, effect.draw(scene, np.random.default_rng(3))


def coarse(scene, size=100):
    return render(scene, max(1, max(scene.layout.shape) // size))


def test_without_a_rate_scenes_are_those_of_before():
    for index in range(30):
        assert make_scene(7, index) == make_scene(7, index, observed=0.0) == make_scene(7, index, observed=1e-12)


def test_seeds_name_scenes():
    assert make_scene(7, 3, observed=1.0) == make_scene(7, 3, observed=1.0) != make_scene(7, 4, observed=1.0)


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_effects_are_drawn_as_often_as_they_say(rate):
    plain = [make_scene(2, index) for index in range(400)]
    changed = np.mean([scene != make_scene(2, index, observed=rate) for index, scene in enumerate(plain)])
    none = [np.prod([1 - rate * each.share for each in OBSERVED.values() if each.fits(scene)]) for scene in plain]
    assert changed == pytest.approx(1 - np.mean(none), abs=0.07)


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(XTagValueError, match="from 0 to 1"):
        draw_observed(make_scene(2, 0), np.random.default_rng(0), rate)


@pytest.mark.parametrize("name", OBSERVED)
def test_each_effect_changes_the_frame_by_its_seed_alone(name):
    before, after = fitting(name)
    assert after != before
    assert OBSERVED[name].draw(before, np.random.default_rng(3)) == after
    assert OBSERVED[name].draw(before, np.random.default_rng(4)) != after or name == "blank_corners"
    total = coarse(after).total
    assert np.isfinite(total).all() and total.min() >= 0


def test_a_strip_keeps_the_highest_q_and_the_relative_error_of_the_centre():
    before, after = fitting("strip")
    before = replace(before, told_centre=tuple(c + 5.0 for c in before.geometry.beam_centre))
    after = OBSERVED["strip"].draw(before, np.random.default_rng(3))
    assert max(after.layout.shape) >= 3 * min(after.layout.shape) and max(after.layout.modules[:2]) >= 2
    assert after.geometry.shape == after.layout.shape
    plain = replace(before.geometry, tilt=0.0, swing=0.0)
    assert after.geometry.q().max() == pytest.approx(plain.q().max(), rel=0.01)
    wrong = np.subtract(after.told_centre, after.geometry.beam_centre)
    assert wrong / max(after.layout.shape) == pytest.approx(5 / max(before.layout.shape), rel=1e-3)


def test_missing_modules_leave_a_corner_without_pixels():
    before, after = fitting("missing_modules")
    shares = [coarse(scene).valid for scene in (before, after)]
    gone = (shares[0] > 0) & (shares[1] == 0)
    assert 0.01 < gone.mean() < 0.35
    assert any(gone[row, column] for row in (0, -1) for column in (0, -1))


def test_unequal_modules_count_unequal_shares():
    before, after = fitting("unequal_modules")
    gains = np.array(after.shadows[-1].gains)
    assert gains.size > 1 and 0.6 < gains.min() < gains.max() <= 1
    passed = after.shadows[-1].factor(replace(before.geometry, shape=(60 * gains.shape[0], 60 * gains.shape[1])))
    np.testing.assert_allclose(passed.reshape(gains.shape[0], 60, gains.shape[1], 60).mean((1, 3)), gains, rtol=1e-5)


def test_two_detectors_leave_a_wide_gap():
    _, after = fitting("two_detectors")
    gaps = after.layout.gaps()
    widest = max(gaps.all(0).sum(), gaps.all(1).sum())
    assert widest >= 20 and widest == gaps.sum() / (gaps.shape[0] if gaps.all(0).any() else gaps.shape[1])


@pytest.mark.parametrize("arms", [1, 2, 4])
def test_arms_reach_as_many_sides_as_there_are(arms):
    geometry = replace(make_scene(1, 0).geometry, beam_centre=(100.0, 90.0), shape=(180, 200))
    dark = Beamstop(0.03, 0.02, arms=arms).factor(geometry)
    assert sum(side < 0.6 for side in (dark[90, 0], dark[90, -1], dark[0, 100], dark[-1, 100])) == arms


def test_crossed_arms_take_the_place_of_another_beamstop():
    before, after = fitting("crossed_arms")
    scene = replace(before, shadows=(Beamstop(0.03), *before.shadows))
    after = OBSERVED["crossed_arms"].draw(scene, np.random.default_rng(3))
    (stop,) = [shadow for shadow in after.shadows if isinstance(shadow, Beamstop)]
    assert stop.arms in (2, 4) and stop.arm > 0


def test_corners_without_light_are_exactly_zero():
    before, blank = fitting("blank_corners", nuisances=("noise",))
    noisy, dark = (expose_full(render(scene), np.random.default_rng(1)) for scene in (before, blank))
    rows, columns = np.indices(dark.shape)
    outside = np.hypot(rows - dark.shape[0] / 2, columns - dark.shape[1] / 2) > 0.51 * max(dark.shape)
    assert outside.any() and not dark[outside].any() and noisy[outside].any()
    lit = np.hypot(rows - dark.shape[0] / 2, columns - dark.shape[1] / 2) < 0.43 * max(dark.shape)
    np.testing.assert_array_equal(noisy[lit], dark[lit])


def test_a_dark_frame_holds_a_handful_of_counts():
    _, after = fitting("dark", nuisances=("gaps",))
    assert sum(part.photons for part in after.parts) <= 200
    assert {part.kind for part in after.parts} == {"background"}


def test_a_direct_beam_has_no_beamstop_and_is_at_the_beam():
    before, after = fitting("direct_beam")
    assert not any(isinstance(shadow, Beamstop) for shadow in after.shadows)
    drawn = render(replace(after, blind=()), 4)
    spot = drawn.photons[len(before.parts)]
    row, column = np.unravel_index(spot.argmax(), spot.shape)
    x, y = after.geometry.bin(4).beam_centre
    assert np.hypot(row - y, column - x) < 4


def test_usual_exposures_hold_what_measured_frames_hold():
    before, _ = fitting("well_exposed")
    sums = []
    for seed in range(200):
        scene = OBSERVED["well_exposed"].draw(before, np.random.default_rng(seed))
        sums.append(sum(part.photons for part in scene.parts))
    assert 1.9e6 < min(sums) < 4e6 and 3.5e8 < max(sums) < 7.1e8


def test_little_texture_is_less_than_that_of_an_oriented_sample():
    before, _ = fitting("weak_texture")
    bare = sum(not isinstance(part.component, Textured) for part in before.parts)
    contrasts = []
    for seed in range(60):
        scene = OBSERVED["weak_texture"].draw(before, np.random.default_rng(seed))
        new = [p.component for p, old in zip(scene.parts, before.parts, strict=True) if p.component != old.component]
        assert 0 < len(new) <= bare and len({(each.eta, each.angle) for each in new}) == 1
        contrasts.append(new[0].contrast)
    assert 0.019 < min(contrasts) < 0.04 and 0.2 < max(contrasts) < 0.281
