import numpy as np
import pytest

from bluesky_xtag.simulate import PHASES, SIZE, Sample
from bluesky_xtag.simulate.scene.detectors import module_mask


@pytest.fixture(scope="module")
def sample():
    return Sample()


def test_every_phase_has_its_place(sample):
    line = np.linspace(0, SIZE, 101)
    fractions = sample.fractions(*np.meshgrid(line, line))
    np.testing.assert_allclose(fractions.sum(axis=0), 1)
    areas = np.bincount(fractions.argmax(axis=0).ravel(), minlength=len(PHASES)) / fractions[0].size
    assert areas.min() > 0.08


@pytest.mark.parametrize(
    ("place", "phase", "holds", "lacks"),
    [
        ((0.0, 0.0), "empty", {"empty"}, {"ring", "halo", "spots"}),
        ((3.0, 3.0), "amorphous", {"halo"}, {"ring", "spots", "empty"}),
        ((7.0, 3.4), "powder", {"ring", "higher_orders"}, {"halo", "spots", "empty"}),
        ((3.3, 7.0), "oriented", {"oriented", "higher_orders"}, {"halo", "empty"}),
        ((7.0, 7.0), "crystalline", {"spots"}, {"halo", "empty"}),
        ((1.7, 5.0), "amorphous", {"weak_scattering", "halo"}, {"empty", "spots"}),
    ],
)
def test_truth_follows_the_phase(sample, place, phase, holds, lacks):
    assert sample.phase(*place) == phase
    present, absent = sample.truth(*place, 0.1)
    assert present >= holds | {"detector_gaps"}
    assert absent >= lacks
    assert not present & absent


def test_borders_show_both_phases(sample):
    line = np.linspace(2, 8, 200)
    border = line[np.abs(np.diff(sample.fractions(line, 3.0)[1:3], axis=0)[0]).argmin()]
    assert sample.truth(border, 3.0, 0.1)[0] >= {"halo", "ring"}


def test_an_exposure_counts_photons_outside_the_gaps(sample):
    frame = sample.expose(3.0, 3.0, 0.1)
    gaps = module_mask("Pilatus 1M")
    assert (frame.shape, frame.dtype) == (gaps.shape, np.int32)
    assert set(np.unique(frame[gaps])) == {-1}
    assert frame[~gaps].min() == 0
    assert frame[~gaps].sum() == pytest.approx(sample.photons(3.0, 3.0, 0.1)[~gaps].sum(), rel=0.01)


def test_a_longer_exposure_brings_more_photons(sample):
    short, long = (sample.photons(7.0, 3.4, seconds) for seconds in (0.1, 0.3))
    np.testing.assert_allclose(long, 3 * short, rtol=1e-4)


def test_the_seed_decides_everything():
    first, second, other = Sample(5), Sample(5), Sample(6)
    np.testing.assert_array_equal(first.expose(5, 5, 0.1), second.expose(5, 5, 0.1))
    line = np.linspace(0, SIZE, 50)
    assert np.any(first.fractions(line, 4.0) != other.fractions(line, 4.0))
