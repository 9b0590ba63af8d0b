import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluesky_xtag.simulate.scene import patterns
from bluesky_xtag.simulate.scene.geometry import Geometry

GEOMETRY = Geometry((201, 181), 172e-6, 0.8, 1.0, (90.0, 100.0))
COMPONENTS = [
    patterns.PowerLaw(3.5, 0.01),
    patterns.Guinier(50.0),
    patterns.OrnsteinZernike(60.0),
    patterns.DebyeBueche(60.0),
    patterns.HighQ(1.0, float(GEOMETRY.q().max())),
    patterns.Sphere(80.0, 0.05),
    patterns.Halo(0.12, 0.25),
    patterns.Rings(0.08, (1, 2), (1.0, 0.5), 0.03, lorentzian=True),
    patterns.Spots((0.05, 0.1), (0.4, 2.0), (1.0, 1.0), 0.004, 0.05),
    patterns.Textured(patterns.Rings(0.08), 0.6, 2, 0.3),
    patterns.BraggRods((0.03, 0.06), 0.004, 0.1),
    patterns.Streak(0.7, 0.004, 0.06),
    patterns.Yoneda(0.03, 0.006, 0.05, 0.03),
]


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: type(c).__name__)
def test_intensities_are_never_negative_and_peak_about_one(component):
    intensity = component.intensity(GEOMETRY.q(), GEOMETRY.chi())
    assert intensity.shape == GEOMETRY.shape and intensity.dtype == np.float32
    assert intensity.min() >= 0 and 0.6 < intensity.max() < 2


@pytest.mark.parametrize(("q_range", "slope"), [((0.02, 0.1), -3.5)])
def test_power_law_has_its_exponent(q_range, slope):
    q = np.linspace(*q_range, 50, dtype=np.float32)[None]
    intensity = patterns.PowerLaw(-slope, 0.01).intensity(q, q)
    assert np.polyfit(np.log(q[0]), np.log(intensity[0]), 1)[0] == pytest.approx(slope, rel=1e-3)


def test_guinier_gives_its_radius_of_gyration_back():
    q = np.linspace(0.001, 0.02, 50, dtype=np.float32)[None]
    slope = np.polyfit(q[0].astype(float) ** 2, np.log(patterns.Guinier(50.0).intensity(q, q)[0]), 1)[0]
    assert np.sqrt(-3 * slope) == pytest.approx(50, rel=1e-3)


def test_sphere_has_its_first_minimum_at_4_49():
    q = np.linspace(0.02, 0.1, 4000, dtype=np.float32)[None]
    intensity = patterns.Sphere(70.0).intensity(q, q)[0]
    assert q[0, np.argmin(intensity[q[0] < 0.08])] * 70 == pytest.approx(4.4934, rel=0.01)


@settings(deadline=None, max_examples=25)
@given(eta=st.floats(0, 0.85), fold=st.sampled_from([2, 4, 6]), angle=st.floats(-3, 3))
def test_texture_has_the_stated_contrast_and_repeats_fold_times(eta, fold, angle):
    chi = np.linspace(-np.pi, np.pi, 7200, endpoint=False, dtype=np.float32)[None]
    q = np.full_like(chi, 0.1)
    textured = patterns.Textured(patterns.Rings(0.1), eta, fold, angle)
    intensity = textured.intensity(q, chi)[0]
    contrast = (intensity.max() - intensity.min()) / (intensity.max() + intensity.min())
    assert contrast == pytest.approx(textured.contrast, abs=2e-3)
    np.testing.assert_allclose(np.roll(intensity, 7200 // fold), intensity, atol=2e-3)


def test_silver_behenate_rings_lie_where_bragg_says():
    # d = 58.38 angstrom: ring n at tan(2 asin(n wavelength / 2 d)) distance.
    wavelength, distance, pixel = 0.9184, 1.0, 172e-6
    geometry = Geometry((1043, 981), pixel, distance, wavelength, (490.2, 521.7))
    q0 = 2 * np.pi / 58.38
    rings = patterns.Rings(q0, (1, 2, 3), width=0.02).intensity(geometry.q(), geometry.chi())
    along = rings[522, 491:]
    for order in (1, 2, 3):
        radius = distance * np.tan(2 * np.arcsin(order * wavelength / 2 / 58.38)) / pixel
        window = along[int(radius) - 12 : int(radius) + 12]
        assert abs(np.argmax(window) + int(radius) - 12 + 491 - 490.2 - radius) <= 1
        assert geometry.radius_at(order * q0) == pytest.approx(radius, rel=1e-6)
