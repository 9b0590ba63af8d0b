import numpy as np
import pytest

from bluesky_xtag.model import Preparation
from bluesky_xtag.model.prepare import estimate_centre
from bluesky_xtag.simulate.scene.geometry import Geometry
from bluesky_xtag.simulate.scene.patterns import PowerLaw, Rings

prepare = Preparation()


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
