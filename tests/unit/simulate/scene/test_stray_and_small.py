"""Patterns and factors of observed effects, against their formulas worked out otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.simulate.scene.geometry import Geometry
from bluesky_xtag.simulate.scene.panels import Plate, Tiles
from bluesky_xtag.simulate.scene.patterns import PowerLaw
from bluesky_xtag.simulate.scene.readout import Readout
from bluesky_xtag.simulate.scene.small_spots import SmallSpots
from bluesky_xtag.simulate.scene.stray_patterns import AirPath, Caustic, Lopsided

GEOMETRY = Geometry((300, 320), 172e-6, 0.06, 1.0, (150.0, 140.0))


def test_air_adds_up_along_its_path():
    tangents = np.array([1e-3, 0.05, 0.2, 0.6, 1.5], np.float32)
    q = (4 * np.pi * np.sin(np.arctan(tangents) / 2)).astype(np.float32)
    found = AirPath(0.3, 1.1, 1.0).intensity(q, np.zeros_like(q))
    z = np.linspace(0.3, 1.1, 20001)
    wanted = np.array([np.trapezoid(1 / (z**2 + t**2), z) for t in tangents])
    np.testing.assert_allclose(found, wanted / (1 / 0.3 - 1 / 1.1), rtol=2e-3)


def test_a_lopsided_halo_is_stronger_on_its_side():
    law = PowerLaw(3.0, 0.1)
    q = np.full(2, 0.2, np.float32)
    there, opposite = Lopsided(law, 0.5, 0.4).intensity(q, np.array([0.4, 0.4 + np.pi], np.float32))
    assert there / opposite == pytest.approx(3, rel=1e-4)
    assert there == pytest.approx(law.intensity(q, q)[0], rel=1e-4)


def test_a_fold_has_fringes_on_one_side_and_ends_where_it_begins():
    fold = Caustic((0.0, 0.0), (0.0,), (0.0,), 0.01, 0.0, 10.0)
    x, y = np.full(2001, 0.5), np.linspace(-0.2, 0.2, 2001)
    light = fold.intensity(np.hypot(x, y).astype(np.float32), np.arctan2(y, x).astype(np.float32))
    inside, outside = light[y > 0.01], light[y < -0.03]
    assert outside.max() < 1e-3 * inside.max() and light.argmax() == pytest.approx(1000 + 1.02 * 50, abs=4)
    rising = np.diff(np.sign(np.diff(inside)))
    assert (rising < 0).sum() >= 3  # bright fringes
    behind = fold.intensity(np.array([0.5], np.float32), np.array([np.pi], np.float32))
    assert behind == 0
    assert replace(fold, glow=0.2).intensity(np.zeros(1, np.float32), np.zeros(1, np.float32)) == pytest.approx(0.2)


@pytest.mark.parametrize("factor", [1, 2, 5, 10])
def test_small_spots_keep_their_photons_on_every_grid(factor):
    geometry = replace(GEOMETRY, distance=3.0)
    step = 2 * np.pi * 172e-6 / 3.0
    spots = SmallSpots((40 * step, 90 * step), (0.3, -2.0), (1.0, 0.5), 0.6 * step, 0.005)
    grid = geometry.bin(factor)
    photons = spots.intensity(grid.q(), grid.chi()).sum() * factor**2
    assert photons == pytest.approx(1.5 * 2 * np.pi * 0.6**2, rel=0.03)


def test_a_plate_absorbs_as_the_integral_through_it_says():
    plate = Plate(0.8, np.radians(40), 0.6)
    passed = plate.factor(GEOMETRY)
    two_theta = 2 * np.arcsin(GEOMETRY.q() / (4 * np.pi))
    depth = (np.arange(4000) + 0.5) / 4000
    ratios = []
    for row, column in ((140, 150), (20, 30), (250, 300), (10, 280)):
        ray = two_theta[row, column]
        leaving = np.cos(ray) * np.cos(np.radians(40)) + np.sin(ray) * np.sin(np.radians(40)) * np.cos(
            GEOMETRY.chi()[row, column] - 0.6
        )
        through = np.exp(-0.8 * (depth / np.cos(np.radians(40)) + (1 - depth) / leaving)).mean() * (leaving > 0)
        ratios.append(passed[row, column] / max(through, 1e-9))
    np.testing.assert_allclose(ratios, ratios[0], rtol=0.01)
    assert passed.min() < 0.8 and passed.max() == pytest.approx(1)


def test_a_plate_across_the_beam_is_the_same_all_round():
    passed = Plate(0.8, 0.0, 1.0).factor(GEOMETRY)
    same = np.abs(GEOMETRY.q() - 3.0) < 0.02
    assert same.sum() > 50 and np.ptp(passed[same]) < 0.01


def test_tiles_count_their_shares():
    passed = Tiles(((1.0, 0.5), (0.25, 0.75))).factor(GEOMETRY)
    assert [passed[0, 0], passed[0, -1], passed[-1, 0], passed[-1, -1]] == [1.0, 0.5, 0.25, 0.75]
    assert np.unique(passed).size == 4


@pytest.mark.parametrize("factor", [2, 7])
def test_the_read_out_on_blocks_is_the_sum_of_that_of_pixels(factor):
    pattern = Readout(4, (2, 3), tile=2.0, row=1.0, column=0.5, bow=3.0)
    whole = pattern.counts((100, 90), 1)
    edges = (np.arange(0, size, factor) for size in whole.shape)
    down, across = edges
    wanted = np.add.reduceat(np.add.reduceat(whole, down, 0), across, 1)
    np.testing.assert_allclose(pattern.counts((100, 90), factor), wanted, atol=1e-3)
    np.testing.assert_array_equal(pattern.counts((100, 90), factor), pattern.counts((100, 90), factor))
    assert (replace(pattern, seed=5).counts((100, 90), factor) != wanted).any()


@pytest.mark.parametrize("spread", [{"tile": 2.0}, {"row": 2.0}, {"column": 2.0}, {"pixel": 2.0}, {"bow": 2.0}])
def test_the_variance_of_the_read_out_is_that_of_its_blocks(spread):
    found = [np.var(Readout(seed, (8, 8), **spread).counts((320, 320), 4)) for seed in range(8)]
    assert np.mean(found) == pytest.approx(Readout(0, (8, 8), **spread).variance(4), rel=0.15)


@pytest.mark.parametrize("bad", [{"row": -1.0}, {"pixel": float("nan")}, {"tiles": (0, 2)}])
def test_a_read_out_that_cannot_be_is_refused(bad):
    with pytest.raises(XTagValueError, match=next(iter(bad))):
        Readout(1, **bad)
