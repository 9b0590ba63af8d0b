import keras
import numpy as np
import pytest

from bluesky_xtag.model import Preparation, TagModel
from bluesky_xtag.simulate import TAGS
from bluesky_xtag.train import train
from bluesky_xtag.train.data import generate, load
from bluesky_xtag.train.fit.narrow import is_wider, narrow, teach
from bluesky_xtag.train.fit.network import build

# Keras 3.15 saves its variables through an old signature of __array__, which NumPy 2.4 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SMALL = {"samples": 20, "validation": 20, "test": 20, "epochs": 1, "batch": 10, "chunk": 20, "width": 0.5}


def of_width(image_width, width=0.5):
    return build(Preparation().shapes, len(TAGS), width=width, image_width=image_width)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    network = of_width(0.5)
    network = keras.Model(network.inputs, keras.layers.Activation("sigmoid", name="scores")(network.outputs[0]))
    model = TagModel.from_network(network, TAGS, [0.5] * len(TAGS), Preparation(), name="wide", version="1")
    return model.save(tmp_path_factory.mktemp("wide") / "wide")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    directory = tmp_path_factory.mktemp("samples")
    generate(directory, 1, seed=1, workers=1, size=20)
    return load(directory, 1)


def test_channels_that_say_nothing_can_go_without_a_change(samples):
    first, network = of_width(0.5), of_width(0.25)
    rng = np.random.default_rng(0)
    for view in ("plain", "polar"):
        for number in (0, 2, 4):
            channels = network.get_layer(f"{view}_{number}_convolution").filters
            silent = rng.permutation(2 * channels)[:channels]
            for layer in (f"{view}_{number}_norm", f"{view}_{number + 1}_norm"):
                gamma, beta, mean, variance = first.get_layer(layer).get_weights()
                gamma, beta = rng.uniform(0.1, 0.5, gamma.shape), rng.uniform(1, 2, beta.shape)
                gamma[silent] = beta[silent] = 0
                first.get_layer(layer).set_weights([gamma, beta, mean, variance])
    for layer in network.layers:
        if layer.weights and not layer.name.startswith(("plain", "polar")) and layer.name != "features":
            layer.set_weights(first.get_layer(layer.name).get_weights())
    inputs = samples.inputs(slice(None))
    narrow(first, network, inputs)
    wanted = first.predict_on_batch(inputs)
    np.testing.assert_allclose(network.predict_on_batch(inputs), wanted, atol=1e-4 * np.abs(wanted).max())


def test_only_networks_that_are_alike_but_for_their_images_are_narrowed():
    network = of_width(0.25)
    assert is_wider(of_width(0.5), network)
    assert not is_wider(of_width(0.25), network)
    assert not is_wider(of_width(0.125), network)
    assert not is_wider(of_width(0.5, width=0.75), network)
    assert not is_wider(build(Preparation().shapes, len(TAGS), image_width=0.5, views=("plain",)), network)
    assert not is_wider(of_width(0.5), build(Preparation().shapes, len(TAGS), width=0.5, views=("profile",)))


def test_what_is_taught_lies_between_labels_and_scores(samples, wide, tmp_path):
    model, every = TagModel.load(wide), list(range(len(TAGS)))
    labels = teach(samples, model, every[:5], every[:5], tmp_path / "taught.npy")
    scores = model.network.predict_on_batch(samples.inputs(slice(None)))
    known = samples.labels[:, :5] >= 0
    halfway = (samples.labels[:, :5] + scores[:, :5]) / 2
    np.testing.assert_allclose(labels[:, :5][known], halfway[known], atol=1e-3)
    assert (labels[:, :5][~known] == -1).all() and not known.all()
    np.testing.assert_array_equal(labels[:, 5:], samples.labels[:, 5:])


def test_training_from_a_wider_model_begins_with_what_it_knows(wide, tmp_path):
    first = TagModel.load(wide)
    slow = SMALL | {"seed": 2, "image_width": 0.25, "learning_rate": 1e-9}
    model = TagModel.load(train(tmp_path / "narrow", workers=1, start=wide, **slow))
    assert model.network.count_params() < first.network.count_params()
    assert model.card.stored["training"]["image_width"] == 0.25
    assert model.card.stored["training"]["start"] == f"wide {first.version} {first.sha256[:12]}"
    assert np.load(tmp_path / "narrow.work" / "taught.npy").shape == (20, len(TAGS))
    kernel, first_kernel = (m.network.get_layer("plain_0_convolution").get_weights()[0] for m in (model, first))
    kept = [np.abs(first_kernel - kernel[..., [channel]]).max(axis=(0, 1, 2)).argmin() for channel in range(6)]
    np.testing.assert_allclose(kernel, first_kernel[..., kept], atol=1e-6)
