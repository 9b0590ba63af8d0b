import importlib.util
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.model import Inputs, Preparation, TagModel
from bluesky_xtag.simulate import STRENGTHS, TAGS
from bluesky_xtag.train import train
from bluesky_xtag.train.data import generate, load
from bluesky_xtag.train.fit import training as fit
from bluesky_xtag.train.fit.network import build
from bluesky_xtag.train.fit.training import Settings

# Keras 3.15 saves its variables through an old signature of __array__, which NumPy 2.4 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

SMALL: dict[str, Any] = {
    "samples": 80,
    "validation": 20,
    "test": 20,
    "epochs": 2,
    "batch": 16,
    "chunk": 20,
    "width": 0.5,
    "image_width": 0.25,
}


@pytest.fixture(scope="module", autouse=True)
def one_view():
    """Networks that look at the profile only, which are quick to build; test_narrow.py trains one with all views."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "build", partial(build, views=("profile",)))
        yield


@pytest.fixture(scope="module")
def trained(one_view, tmp_path_factory):
    return train(tmp_path_factory.mktemp("trained") / "small", workers=1, **SMALL)


def test_training_writes_a_model_that_can_be_loaded(trained):
    model = TagModel.load(trained)
    assert model.taxonomy == TAGS and model.name == "small"
    assert model.predict(np.zeros((2, 195, 487), np.int32)).shape == (2, len(TAGS))
    assert (trained / "training.png").stat().st_size > 1000


def test_the_model_estimates_how_strong_components_are(trained):
    model = TagModel.load(trained)
    assert model.taxonomy.graded == STRENGTHS
    scores, strengths = model.predict_all(np.full((2, 195, 487), 7, np.int32))
    assert scores.shape == (2, len(TAGS)) and strengths.shape == (2, len(STRENGTHS))
    samples = load(trained.with_name("small.work") / "test", 1)
    prepared = Inputs(**{name: np.asarray(of[0], np.float32) for name, of in samples.inputs(slice(0, 1)).items()})
    whole = model.network.predict_on_batch({name: of[None] for name, of in vars(prepared).items()})[0]
    np.testing.assert_allclose(np.concatenate(model.infer_all([prepared]), axis=1)[0], whole, atol=1e-4)
    assert set(model.card.stored["strength_correlations"]) <= set(STRENGTHS)


def test_the_card_holds_what_is_needed_to_repeat_it(trained):
    card = TagModel.load(trained).card.stored
    assert {key: card["training"][key] for key in SMALL} == SMALL
    assert card["training"]["seed"] == 1 and len(card["training"]["data_sha256"]) == 64
    assert {"keras", "numpy", "tensorflow", "python"} <= set(card["versions"])
    for name in ("validation", "held_out"):
        figures = card["figures"][name]
        assert figures["frames"] == 20
        assert [row["tag"] for row in figures["tags"]] == list(TAGS.names)
        assert {"average_precision", "prevalence"} <= set(figures["tags"][0])


def test_training_goes_on_where_it_was_stopped(trained, tmp_path, monkeypatch):
    shutil.copytree(trained.with_name("small.work"), tmp_path / "small.work")
    (tmp_path / "small.work" / "checkpoint.npz").unlink()
    monkeypatch.setattr(fit, "CHECKPOINT_SECONDS", 0.0)
    save, saved = fit._Fit.save, []

    def stop_at_the_seventh(self):
        save(self)
        saved.append(self.step)
        if len(saved) == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(fit._Fit, "save", stop_at_the_seventh)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "small", workers=1, **SMALL)
    train(tmp_path / "small", workers=1, **SMALL)
    # 80 samples in batches of 16 are 5 steps an epoch; each epoch's end is saved too.
    assert saved == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10]
    whole, resumed = (TagModel.load(directory) for directory in (trained, tmp_path / "small"))
    images = np.random.default_rng(0).poisson(5, (4, 195, 487))
    np.testing.assert_allclose(resumed.predict(images), whole.predict(images), atol=0.02)


def test_other_settings_in_the_same_place_are_refused(trained):
    with pytest.raises(XTagValueError, match="other settings"):
        train(trained, workers=1, **(SMALL | {"epochs": 3}))
    assert json.loads((trained.with_name("small.work") / "settings.json").read_text())["epochs"] == 2


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"epochs": 0}, {"samples": 10, "chunk": 10, "batch": 20}])
def test_settings_that_do_not_fit_are_refused(wrong):
    with pytest.raises(XTagValueError):
        Settings(**wrong)


def test_ignored_labels_change_nothing_in_the_loss():
    from keras import ops

    labels = np.array([[1, 0, -1], [0, 1, 1], [0, 0, 0]], np.int8)
    loss = fit.masked_loss(labels)
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    other = logits.copy()
    other[0, 2] = 50
    first, second = (
        float(ops.convert_to_numpy(loss(ops.convert_to_tensor(labels.astype(np.float32)), ops.convert_to_tensor(z))))
        for z in (logits, other)
    )
    assert first == second > 0


def test_training_can_start_from_a_model(trained, tmp_path):
    model = TagModel.load(train(tmp_path / "more", workers=1, start=trained, **(SMALL | {"epochs": 1, "seed": 2})))
    first = TagModel.load(trained)
    assert model.card.stored["training"]["start"] == f"small {first.version} {first.sha256[:12]}"
    images = np.random.default_rng(0).poisson(5, (4, 195, 487))
    # 5 steps of a rate that begins at zero change little; another chance start would change all.
    np.testing.assert_allclose(model.network.get_weights()[0], first.network.get_weights()[0], atol=0.05)
    assert model.predict(images).shape == (4, len(TAGS))


def test_tags_that_the_first_model_lacks_start_anew(trained, tmp_path):
    first = TagModel.load(trained)
    fewer = TagModel.from_network(
        keras.Model(first.network.inputs, _fewer_logits(first), name="xtag"),
        TAGS.subset(["ring", "halo"]),
        [0.5, 0.5],
        first.preparation,
        name="fewer",
        version="1",
    )
    fewer.save(tmp_path / "fewer")
    begun = fit._Fit(Settings(**SMALL), _samples(tmp_path), tmp_path)
    anew, _ = (np.array(w) for w in begun.network.get_layer("logits").get_weights())
    begun.adopt(TagModel.load(tmp_path / "fewer"))
    kernel, _ = begun.network.get_layer("logits").get_weights()
    wanted, _ = first.network.get_layer("logits").get_weights()
    for name in TAGS.names:
        column = TAGS.index(name)
        expected = wanted if name in ("ring", "halo") else anew
        np.testing.assert_array_equal(kernel[:, column], expected[:, column])


def _fewer_logits(model):
    layer = model.network.get_layer("logits")
    kept = keras.layers.Dense(2, name="logits")
    logits = kept(layer.input)
    columns = [TAGS.index(name) for name in ("halo", "ring")]
    kernel, bias = layer.get_weights()
    kept.set_weights([kernel[:, columns], bias[columns]])
    return keras.layers.Activation("sigmoid", name="scores")(logits)


def _samples(directory):
    generate(directory / "few", 1, seed=1, workers=1, size=SMALL["batch"])
    return load(directory / "few", 1)


def test_a_model_with_other_inputs_is_no_start(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "Preparation", lambda: Preparation(log_scale=3.0))
    with pytest.raises(XTagValueError, match="other inputs"):
        train(tmp_path / "more", workers=1, start=trained, **SMALL)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_a_model_trained_with_another_backend_is_served_with_tensorflow(tmp_path):
    code = f"from bluesky_xtag.train import train; train({str(tmp_path / 'other')!r}, workers=1, **{SMALL})"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"KERAS_BACKEND": "jax"})
    model = TagModel.load(tmp_path / "other")
    assert model.card.stored["versions"]["backend"] == "jax"
    assert model.predict(np.zeros((1, 195, 487), np.int32)).shape == (1, len(TAGS))
