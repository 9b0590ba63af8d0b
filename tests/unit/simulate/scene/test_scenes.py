import numpy as np
import pytest

from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate.scene import patterns
from bluesky_xtag.simulate.scene.geometry import Geometry
from bluesky_xtag.simulate.scene.layouts import HELD_OUT, TRAINING, Layout, draw_layout, valid_fraction
from bluesky_xtag.simulate.scene.sampler import HELD_OUT_Q, draw_scene
from bluesky_xtag.simulate.scene.scenes import Defects, Part, Scene, expose_binned, expose_full, render
from bluesky_xtag.simulate.scene.shadows import Absorber, Beamstop, FlightTube, Polarisation, Slope

PILATUS = Layout((619, 487), 172e-6, "Pilatus 300k")
GEOMETRY = Geometry(PILATUS.shape, 172e-6, 1.0, 1.0, (230.0, 260.0))
SCENE = Scene(
    PILATUS,
    GEOMETRY,
    (Part("rings", patterns.Rings(0.12, width=0.05), 2e6), Part("background", patterns.HighQ(0.0, 1.0), 1e6)),
    (Beamstop(0.03, 0.01, 0.3),),
)


@pytest.mark.parametrize("factor", [1, 3])
def test_a_rendering_holds_the_stated_photons(factor):
    rendering = render(SCENE, factor)
    for part, photons in zip(SCENE.parts, rendering.photons, strict=True):
        assert (photons * rendering.valid).sum() == pytest.approx(part.photons, rel=1e-3)


def test_exposing_blocks_is_like_binning_a_full_exposure():
    full = Preparation().bin(expose_full(render(SCENE), np.random.default_rng(0)))
    blocks = expose_binned(render(SCENE, 3), np.random.default_rng(1))
    assert blocks.factor == full.factor
    np.testing.assert_allclose(blocks.valid, full.valid, atol=1e-6)
    difference = (blocks.counts - full.counts)[full.valid > 0.5]
    spread = np.sqrt(np.maximum(full.counts + blocks.counts, 1))[full.valid > 0.5]
    # Edges of the beamstop and of the ring fall differently on blocks; everywhere else only chance differs.
    assert np.median(np.abs(difference / spread)) == pytest.approx(0.67, abs=0.15)
    assert blocks.counts.sum() == pytest.approx(full.counts.sum(), rel=0.01)


def test_gaps_are_written_as_the_detector_does():
    gaps = valid_fraction(PILATUS, 1) < 0.5
    image = expose_full(render(SCENE), np.random.default_rng(0))
    assert (image[gaps] == -1).all() and (image[~gaps] >= 0).all()


def test_unmarked_gaps_count_as_valid_zeros():
    scene = Scene(PILATUS, GEOMETRY, SCENE.parts, defects=Defects(gap_value=0))
    binned = expose_binned(render(scene, 3), np.random.default_rng(0))
    assert binned.valid.min() == 1
    assert binned.counts[valid_fraction(PILATUS, 3) == 0].sum() == 0


def test_the_counter_stops_at_its_limit():
    bright = Scene(PILATUS, GEOMETRY, (Part("rings", patterns.Rings(0.12), 1e12),), defects=Defects(limit=65534))
    image = expose_full(render(bright), np.random.default_rng(0))
    binned = expose_binned(render(bright, 3), np.random.default_rng(0))
    assert image.max() == binned.maximum == 65534
    assert binned.at_limit == pytest.approx((image == 65534).sum(), rel=0.1)


def test_shadows_transmit_between_nothing_and_all():
    for shadow in (
        Beamstop(0.1, 0.02, 1.0, 0.1, (0.01, 0), 0.1, 0.01),
        FlightTube((0.5, 0.5), 0.4),
        Absorber(0.1, 0.3, 0.2),
        Slope(0.3, 2.0),
    ):
        factor = shadow.factor(GEOMETRY)
        assert factor.shape == GEOMETRY.shape and 0 <= factor.min() < 0.3 and factor.max() == 1


def test_the_beamstop_takes_away_what_is_missing():
    shaded = render(SCENE, 3)
    free = render(Scene(PILATUS, GEOMETRY, SCENE.parts), 3)
    scale = shaded.photons[1][0, 0] / free.photons[1][0, 0]
    hidden = free.photons[1].sum() * scale - shaded.photons[1].sum()
    assert 0 < hidden <= shaded.missing.sum() * 1.001


def test_held_out_scenes_share_neither_detector_nor_q_range_with_training():
    assert not set(HELD_OUT) & set(TRAINING)
    for index in range(60):
        for held_out in (False, True):
            scene = draw_scene(np.random.default_rng([1, index]), held_out, nuisances=("gaps",))
            assert (scene.layout in HELD_OUT) == held_out
            corners = [(x, y) for x in (0, scene.layout.shape[1]) for y in (0, scene.layout.shape[0])]
            far = max(np.hypot(*np.subtract(corner, scene.geometry.beam_centre)) for corner in corners)
            two_theta = np.arctan(far * scene.geometry.pixel_size / scene.geometry.distance)
            q_max = 4 * np.pi / scene.geometry.wavelength * np.sin(two_theta / 2)
            assert held_out == any(low <= q_max * (1 + 1e-9) and q_max * (1 - 1e-9) < high for low, high in HELD_OUT_Q)


@pytest.mark.parametrize("layout", [*HELD_OUT, *TRAINING], ids=lambda layout: layout.name or str(layout.shape))
def test_layouts_have_the_shape_of_their_detector(layout):
    assert layout.gaps().shape == layout.shape
    assert 0.85 < valid_fraction(layout, 8).mean() <= 1


def test_the_shape_of_a_training_detector_does_not_tell_its_gaps():
    rng = np.random.default_rng(0)
    drawn = [draw_layout(rng) for _ in range(600)]
    shape = (1043, 981)
    assert {layout.gaps().any() for layout in drawn if layout.shape == shape} == {True, False}
    long = [layout.gaps().any() for layout in drawn if max(layout.shape) > 3 * min(layout.shape)]
    assert 0.2 < np.mean(long) < 0.8


def test_straight_gaps_are_binned_as_their_pixels_are():
    layout = Layout((203, 487), 172e-6, modules=(2, 3, 7))
    pixels = np.zeros((205, 490), np.float32)
    pixels[:203, :487] = ~layout.gaps()
    np.testing.assert_allclose(valid_fraction(layout, 5), pixels.reshape(41, 5, 98, 5).mean((1, 3)), atol=1e-6)


def test_polarisation_dims_what_scatters_along_the_field():
    wide = Geometry((301, 301), 1e-3, 0.15, 1.0, (150.0, 150.0))  # 45 degrees at the edge
    factor = Polarisation(1.0).factor(wide)
    assert factor[150, 300] == pytest.approx(0.5, abs=0.01)
    assert factor[300, 150] == pytest.approx(1.0, abs=0.01)
    assert factor[150, 150] == 1


@pytest.mark.parametrize("defects", [Defects(hot=1e-3), Defects(zingers=5e-4), Defects(salt=1e-2, salt_count=800.0)])
def test_spikes_are_left_out_of_quick_exposures_as_of_full_ones(defects):
    scene = Scene(PILATUS, GEOMETRY, SCENE.parts, SCENE.shadows, defects=defects)
    full = Preparation().bin(expose_full(render(scene), np.random.default_rng(0)))
    blocks = expose_binned(render(scene, 3), np.random.default_rng(1))
    gaps = valid_fraction(PILATUS, 3)
    assert gaps.sum() - full.valid.sum() == pytest.approx(gaps.sum() - blocks.valid.sum(), rel=0.25)
    assert gaps.sum() - full.valid.sum() > 5
    clean = render(scene, 3).total.sum()
    assert abs(blocks.counts.sum() - full.counts.sum()) < 0.15 * clean
