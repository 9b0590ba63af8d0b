import json

import numpy as np
import pytest

from bluesky_xtag.simulate.scene import patterns
from bluesky_xtag.simulate.scene.geometry import Geometry
from bluesky_xtag.simulate.scene.layouts import Layout
from bluesky_xtag.simulate.scene.scenes import Part, Scene
from bluesky_xtag.simulate.truth.continuous import continuous_truth

LAYOUT = Layout((250, 240), 172e-6)
RING = patterns.Textured(patterns.Rings(0.1, (1.0, 2.0), width=0.03), 0.5, 4, 0.2)


def truth(photons):
    geometry = Geometry(LAYOUT.shape, 172e-6, 1.0, 1.0, (120.0, 130.0), swing=0.1)
    scene = Scene(LAYOUT, geometry, (Part("rings", RING, photons),), turn=np.pi / 6)
    return continuous_truth(scene)


def test_components_keep_their_parameters_and_their_snr():
    found = truth(1e4)
    (ring,) = json.loads(found["components"])
    assert (ring["kind"], ring["pattern"], ring["q0"], ring["fold"], ring["width"]) == ("rings", "Rings", 0.1, 4, 0.03)
    assert ring["ratios"] == [1.0, 2.0] and ring["photons"] == 1e4
    assert ring["snr"] == pytest.approx(100, rel=0.01)  # alone, and photons are all the noise: their root
    (brighter,) = json.loads(truth(4e4)["components"])
    assert brighter["snr"] == pytest.approx(2 * ring["snr"], rel=0.01)


def test_the_geometry_is_kept_in_degrees_and_pixels():
    found = truth(1e4)
    np.testing.assert_array_equal(found["true_beam_centre_xy"], (120.0, 130.0))
    assert found["swing"] == pytest.approx(np.degrees(0.1)) and found["turn"] == pytest.approx(30)
