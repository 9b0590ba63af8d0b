import numpy as np
import pytest

from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate import SIZE, Domains, Exposed, Islands, Peaks, Region
from bluesky_xtag.simulate.beamline.maps import BEAM

AXIS = np.linspace(0, SIZE, 101)
X, Y = np.meshgrid(AXIS, AXIS)


@pytest.mark.parametrize("kind", [Region, Domains, Peaks, Islands])
def test_shares_add_up_and_follow_the_seed(kind):
    shares = kind(1).fractions(X, Y)
    assert shares.shape == (len(kind(1).phases), *X.shape)
    assert np.allclose(shares.sum(axis=0), 1) and shares.min() >= 0
    assert np.array_equal(shares, kind(1).fractions(X, Y))
    assert not np.array_equal(shares[0], kind(2).fractions(X, Y)[0])
    assert np.allclose(kind(1).fractions(X[3, 4], Y[3, 4]), shares[:, 3, 4])


@pytest.mark.parametrize("seed", range(5))
def test_maps_are_what_they_are_said_to_be(seed):
    assert 0.2 < Region(seed).fractions(X, Y)[1].mean() < 0.4
    domains = Domains(seed)
    phases = domains.fractions(X, Y).argmax(axis=0)
    assert 4 <= len(domains.phases) <= 6 and set(phases.flat) == set(range(len(domains.phases)))
    assert abs(Islands(seed).fractions(X, Y)[0].mean() - 0.7) < 0.01


def test_a_border_is_crossed_within_the_beam():
    region = Region(0)
    line = np.linspace(0, SIZE, 20_001)
    share = region.fractions(line, np.full_like(line, 5.0))[1]
    mixed = (share > 0) & (share < 1)
    assert 0 < mixed.sum() * (line[1] - line[0]) < 6 * BEAM


def test_the_best_place_has_the_highest_share_and_two_more_are_maxima():
    peaks = Peaks(3)
    shares = peaks.fractions(X, Y)[1]
    assert peaks.fractions(*peaks.best)[1] >= shares.max()
    inner = shares[1:-1, 1:-1]
    around = [np.roll(shares, step, (0, 1))[1:-1, 1:-1] for step in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    assert (inner > np.max(around, axis=0)).sum() == 3


def test_frames_have_counting_noise_and_come_again_with_the_seed():
    first, again = (Exposed(Region(0), 4, Preparation()) for _ in range(2))
    one, other = first(5.0, 5.0, 0.1), first(5.0, 5.0, 0.1)
    assert not np.array_equal(one.polar, other.polar)
    assert np.array_equal(one.polar, again(5.0, 5.0, 0.1).polar)
    assert first.exposed == pytest.approx(0.2)


def test_more_of_a_phase_gives_more_of_its_photons():
    islands = Islands(0)
    empty, powder = (np.unravel_index(np.argmax(islands.fractions(X, Y)[k]), X.shape) for k in (0, 1))
    exposed = Exposed(islands, 0, Preparation())
    dark, bright = (exposed(X[at], Y[at], 0.1) for at in (empty, powder))
    assert bright.plain[..., 0].sum() > dark.plain[..., 0].sum()
