from dataclasses import replace

import numpy as np
import pytest

from bluesky_xtag.simulate.scene.geometry import Geometry

GEOMETRY = Geometry((120, 100), 172e-6, 0.5, 1.2, (40.0, 70.0))


def test_q_is_zero_at_the_centre_and_follows_its_formula():
    q = GEOMETRY.q()
    assert q.shape == (120, 100) and q.dtype == np.float32
    assert q[70, 40] == 0
    theta = np.arctan(30 * 172e-6 / 0.5) / 2
    assert q[100, 40] == pytest.approx(4 * np.pi / 1.2 * np.sin(theta), rel=1e-5)


def test_azimuth_runs_from_columns_to_rows():
    chi = GEOMETRY.chi()
    assert chi[70, 90] == 0
    assert chi[110, 40] == pytest.approx(np.pi / 2)
    assert chi[20, 40] == pytest.approx(-np.pi / 2)


def test_radius_at_inverts_q():
    assert GEOMETRY.radius_at(float(GEOMETRY.q()[70, 95])) == pytest.approx(55, rel=1e-4)
    assert GEOMETRY.radius_at(1e3) == float("inf")


def test_binning_keeps_q_at_the_blocks_centres():
    binned = GEOMETRY.bin(4)
    assert binned.shape == (30, 25)
    blocks = GEOMETRY.q().reshape(30, 4, 25, 4).mean((1, 3))
    far = binned.radius() > 5
    np.testing.assert_allclose(binned.q()[far], blocks[far], rtol=0.01)


@pytest.mark.parametrize(("tilt", "swing"), [(0.05, 0.0), (0.0, 0.6), (-0.04, 0.3)])
def test_an_inclined_plane_follows_vectors_in_space(tilt, swing):
    inclined = replace(GEOMETRY, tilt=tilt, swing=swing)
    about_row = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_column = np.array([[np.cos(swing), 0, np.sin(swing)], [0, 1, 0], [-np.sin(swing), 0, np.cos(swing)]])
    rows, columns = np.mgrid[:120, :100]
    flat = np.stack([columns - 40.0, rows - 70.0, np.zeros((120, 100))]) * 172e-6
    place = np.tensordot(about_column @ about_row, flat, 1) + np.array([0, 0, 0.5])[:, None, None]
    along = place[2] / np.sqrt((place**2).sum(0))
    np.testing.assert_allclose(inclined.q(), 4 * np.pi / 1.2 * np.sqrt((1 - along) / 2), atol=2e-3)
    off = np.hypot(columns - 40, rows - 70) > 2
    turned = np.angle(np.exp(1j * (inclined.chi() - np.arctan2(place[1], place[0]))))
    assert np.abs(turned[off]).max() < 1e-3


def test_the_direct_beam_meets_an_inclined_plane_in_the_beam_centre():
    assert replace(GEOMETRY, tilt=0.05, swing=0.4).q()[70, 40] == pytest.approx(0, abs=1e-6)
