"""Labels where observed effects are drawn follow from the photons, and leave open what only people or sums can tell."""

from dataclasses import replace

import numpy as np
import pytest

from bluesky_xtag.simulate import TAGS
from bluesky_xtag.simulate.scene import patterns
from bluesky_xtag.simulate.scene.geometry import Geometry
from bluesky_xtag.simulate.scene.layouts import Layout
from bluesky_xtag.simulate.scene.observed import OBSERVED
from bluesky_xtag.simulate.scene.panels import Plate
from bluesky_xtag.simulate.scene.scenes import Part, Scene, render
from bluesky_xtag.simulate.scene.small_spots import SmallSpots
from bluesky_xtag.simulate.scene.stray_patterns import AirPath, Caustic, Lopsided
from bluesky_xtag.simulate.truth.labels import label
from bluesky_xtag.simulate.truth.observed_labels import ObservedJudge

LAYOUT = Layout((500, 480), 172e-6)
GEOMETRY = Geometry(LAYOUT.shape, 172e-6, 1.0, 1.0, (230.0, 260.0))
FLAT = Part("background", patterns.HighQ(0.0, 1.0), 1e6)
RING = patterns.Rings(0.15, width=0.03)


def scene_of(*parts, **more):
    return Scene(more.pop("layout", LAYOUT), more.pop("geometry", GEOMETRY), (*parts, FLAT), **more)


def tags(scene, judge=ObservedJudge, factor=2):
    return dict(zip(TAGS.names, label(render(scene, factor), judge=judge).tolist(), strict=True))


def test_weak_and_strong_follow_the_exposure():
    found = [tags(scene_of(Part("rings", RING, photons))) for photons in (3e4, 1e7, 3e9)]
    assert [each["weak_scattering"] for each in found] == [1, 0, 0]
    assert [each["strong_scattering"] for each in found] == [0, 0, 1]


def test_brightness_is_that_of_a_place_whatever_the_size_of_the_frame():
    small = scene_of(Part("high_q", patterns.HighQ(0.0, 1.0), 1e5))
    layout = Layout((1000, 960), 172e-6)
    parts = tuple(replace(part, photons=4 * part.photons) for part in small.parts)
    large = replace(small, layout=layout, geometry=replace(GEOMETRY, shape=layout.shape), parts=parts)
    one, other = (ObservedJudge(render(scene, 2)) for scene in (small, large))
    assert other.brightness == pytest.approx(one.brightness, rel=0.02)
    assert other.snrs[0] == pytest.approx(2 * one.snrs[0], rel=0.02)


def test_air_is_no_scattering_of_the_sample():
    air = Part("background", AirPath(0.06, 0.8, 1.0), 1e6)
    found = tags(scene_of(Part("rings", RING, 1e7), air))
    assert found["diffuse_low_q"] == found["halo"] == 0 and found["ring"] == 1
    steep = Part("background", AirPath(0.002, 0.8, 1.0), 1e7)  # which nobody can tell from a sample
    assert tags(scene_of(Part("rings", RING, 1e7), steep))["diffuse_low_q"] == -1


@pytest.mark.parametrize(("photons", "wanted"), [(3e7, 1), (3e4, -1)])
def test_a_fall_of_less_than_what_is_under_it_is_left_open(photons, wanted):
    scene = scene_of(Part("low_q", patterns.Guinier(20.0), photons))
    assert tags(scene)["diffuse_low_q"] == wanted
    assert tags(scene, judge=None)["diffuse_low_q"] == 1


def test_scatter_of_slits_is_not_oriented_and_leaves_the_fall_and_emptiness_open():
    halo = Lopsided(patterns.PowerLaw(3.0, 0.01), 0.7, 0.4)
    alone = scene_of(Part("parasitic", halo, 1e6))
    assert tags(alone, judge=None)["empty"] == 1
    found = tags(alone)
    assert found["empty"] == found["diffuse_low_q"] == -1
    assert found["oriented"] == found["parasitic_streak"] == 0


def test_stray_light_that_has_a_shape_is_no_high_background():
    fall = Part("low_q", patterns.Guinier(100.0), 1e6)
    spot = Part("parasitic", patterns.Guinier(150.0), 1e8)
    flat = Part("background", patterns.HighQ(0.0, 1.0), 1e9)
    assert tags(scene_of(fall))["high_background"] == tags(scene_of(fall, spot))["high_background"] == 0
    assert tags(scene_of(fall, flat))["high_background"] == 1


def test_a_flare_has_no_tag_of_a_sample():
    fans = Caustic((0.2, 0.2), (3.6, 4.2), (3.0, -5.0), 0.004, 0.02, 0.1, 0.1)
    found = tags(scene_of(Part("flare", fans, 1e6)))
    sample = ("grazing_incidence", "bragg_rods", "oriented", "symmetry_4", "symmetry_6", "halo", "ring", "spots")
    assert not any(found[name] for name in sample) and found["empty"] == -1


@pytest.mark.parametrize(("contrast", "wanted"), [(0.1, 0), (0.17, 0), (0.25, -1), (0.5, 1)])
def test_a_little_texture_is_not_oriented(contrast, wanted):
    eta = (1 - np.sqrt(1 - contrast**2)) / contrast
    ring = patterns.Textured(patterns.Rings(0.15, width=0.05), float(eta))
    assert tags(scene_of(Part("rings", ring, 1e8)))["oriented"] == wanted


@pytest.mark.parametrize(("absorption", "wanted"), [(0.1, 0), (3.0, -1)])
def test_a_plate_that_absorbs_much_leaves_the_orientation_open(absorption, wanted):
    near = replace(GEOMETRY, distance=0.05)
    plate = Plate(absorption, 0.9, 0.5)
    scene = scene_of(Part("halo", patterns.Halo(3.0, 0.3), 1e8), geometry=near, shadows=(plate,))
    assert tags(scene)["oriented"] == wanted and tags(scene, judge=None)["oriented"] == 0


def small_crystal(photons, level):
    rng = np.random.default_rng(2)
    pixel = 2 * np.pi * 172e-6
    places = rng.uniform(0.05, 0.25, 30), rng.uniform(-np.pi, np.pi, 30)
    spots = SmallSpots(*(tuple(map(float, each)) for each in places), (1.0,) * 30, 0.4 * pixel, 0.005)
    flat = Part("background", patterns.HighQ(0.0, 1.0), level)
    return Scene(LAYOUT, GEOMETRY, (Part("spots", spots, photons), flat))


def test_spots_that_only_pixels_show_are_not_absent():
    bright, lost, none = (small_crystal(*each) for each in ((3e4, 1e6), (2e3, 5e6), (30, 1e6)))
    assert [tags(scene, factor=10)["spots"] for scene in (bright, lost, none)] == [1, -1, 0]
    judge = ObservedJudge(render(lost, 10))
    spots = lost.parts[0].component
    assert isinstance(spots, SmallSpots) and judge.pixel_spots(spots, judge.parts[0][1]) >= 3


@pytest.mark.parametrize("seed", range(4))
def test_dark_frames_are_empty_whatever_the_read_out_writes(seed):
    layout = Layout((512, 512), 1e-4, integrating=True)
    scene = scene_of(Part("rings", RING, 1e6), layout=layout, geometry=replace(GEOMETRY, shape=layout.shape))
    scene = replace(scene, defects=replace(scene.defects, read_noise=2.0, offset=10.0))
    for name in ("readout", "dark"):
        scene = OBSERVED[name].draw(scene, np.random.default_rng(seed))
    found = tags(scene)
    assert found["empty"] == 1 and found["weak_scattering"] == found["high_background"] == 0


def test_a_pattern_of_the_read_out_hides_what_is_faint():
    scene = scene_of(Part("rings", RING, 2e4))
    scene = replace(scene, defects=replace(scene.defects, read_noise=1.0, offset=10.0))
    hidden = OBSERVED["readout"].draw(scene, np.random.default_rng(1))
    clear, dim = (ObservedJudge(render(each, 2)).snrs[0] for each in (scene, hidden))
    assert dim < clear


def test_arms_and_strips_are_told_by_their_tags():
    scene = scene_of(Part("rings", RING, 1e7))
    crossed = OBSERVED["crossed_arms"].draw(scene, np.random.default_rng(0))
    assert tags(scene)["beamstop"] == 0 and tags(crossed)["beamstop"] == 1
    for seed in range(6):
        strip = OBSERVED["strip"].draw(scene, np.random.default_rng(seed))
        (x, y), (rows, columns) = strip.geometry.beam_centre, strip.geometry.shape
        found = tags(strip, factor=-(-max(rows, columns) // 256))
        assert found["detector_gaps"] in (1, -1) and (found["detector_gaps"] == 1 or strip.defects.gap_value == 0)
        outside = max(-x / columns, -y / rows, x / columns - 1, y / rows - 1)
        assert found["beam_off_image"] == (1 if outside > 0.02 else 0 if outside < -0.02 else -1)
