import keras
import numpy as np
import pytest

from bluesky_xtag.model import TagModel
from bluesky_xtag.serving import folded, serve


@pytest.fixture(scope="module")
def network():
    return TagModel.load().network


def inputs(network, frames):
    rng = np.random.default_rng(0)
    return {one.name: rng.normal(size=(frames, *one.shape[1:])).astype(np.float32) for one in network.inputs}


def norms(network):
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


def test_the_packaged_network_gives_the_same_scores_without_normalisations(network):
    quick = folded(network)
    assert len(norms(network)) > 15 and not norms(quick)
    given = inputs(network, 5)
    np.testing.assert_allclose(quick.predict_on_batch(given), network.predict_on_batch(given), atol=1e-4)


def test_served_scores_are_the_networks(network):
    given = inputs(network, 5)
    np.testing.assert_allclose(serve(network)(given), network.predict_on_batch(given), atol=1e-4)


def test_a_frame_alone_has_the_scores_that_it_has_in_company_to_the_last_bit(network):
    given, score = inputs(network, 5), serve(network)
    alone = [score({name: values[[frame]] for name, values in given.items()}) for frame in range(5)]
    np.testing.assert_array_equal(np.concatenate(alone), score(given))


def branched(where):
    """Return a network with a normalisation behind a convolution, and something at `where`; random statistics."""
    x = keras.Input((8, 8, 2), name="x")
    convolution = keras.layers.Conv2D(3, 3, use_bias=where == "bias", activation="relu" if where == "relu" else None)
    y = convolution(x)
    norm = keras.layers.BatchNormalization(axis=1 if where == "axis" else -1, scale=where != "scale")
    outputs = norm(y) + y if where == "sum" else norm(y)
    if where == "twice":
        outputs = norm(convolution(outputs[..., :2]))
    outputs = keras.layers.GlobalAveragePooling2D()(outputs)
    if where == "output":
        return keras.Model({"x": x}, [outputs, y])
    network = keras.Model({"x": x}, outputs)
    rng = np.random.default_rng(1)
    norm.set_weights([rng.uniform(0.5, 2, weights.shape) for weights in norm.get_weights()])
    return network


@pytest.mark.parametrize("where", ["sum", "relu", "bias", "twice", "axis", "scale"])
def test_a_normalisation_that_cannot_be_taken_up_stays(where):
    network = branched(where)
    assert len(norms(folded(network))) == 1
    given = {"x": np.random.default_rng(0).normal(size=(4, 8, 8, 2)).astype(np.float32)}
    np.testing.assert_allclose(serve(network)(given), network.predict_on_batch(given), atol=1e-5)


def test_what_is_given_out_stays():
    assert len(norms(folded(branched("output")))) == 1


def test_a_lone_convolution_is_taken_up():
    assert not norms(folded(branched("nowhere")))
