import numpy as np
import pytest

from bluesky_xtag.model import Preparation
from bluesky_xtag.train.fit.network import build


def test_the_network_takes_the_preparations_inputs_and_is_small():
    network = build(Preparation().shapes, 7)
    assert {tensor.name: tensor.shape[1:] for tensor in network.inputs} == Preparation().shapes
    assert network.output_shape == (None, 7)
    assert 2e5 < network.count_params() < 1.5e6


def test_turning_the_polar_view_by_a_pooled_step_changes_nothing():
    network = build(Preparation().shapes, 3)
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=(2, *shape)).astype(np.float32) for name, shape in Preparation().shapes.items()}
    before = np.asarray(network(inputs, training=False))
    inputs["polar"] = np.roll(inputs["polar"], 8, axis=2)
    np.testing.assert_allclose(np.asarray(network(inputs, training=False)), before, atol=1e-4)


@pytest.mark.parametrize("views", [("plain",), ("polar", "profile")])
def test_views_can_be_left_out_and_widths_changed(views):
    network = build(Preparation().shapes, 3, width=0.5, views=views)
    assert network.get_layer("features").units == 64
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=(2, *shape)).astype(np.float32) for name, shape in Preparation().shapes.items()}
    before = np.asarray(network(inputs, training=False))
    for name in {"plain", "polar", "profile"} - set(views):
        inputs[name] = np.zeros_like(inputs[name])
    np.testing.assert_array_equal(np.asarray(network(inputs, training=False)), before)
