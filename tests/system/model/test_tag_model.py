import gc
import json
import pickle
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

import numpy as np
import pytest
from support.places import REAL_FRAMES

from bluesky_xtag.errors import FrameError, ModelError, XTagValueError
from bluesky_xtag.model import DEFAULT_TAXONOMY, Preparation, Tag, TagModel, Taxonomy, tag_model
from bluesky_xtag.model.card import CARD, fingerprint
from bluesky_xtag.model.model_files import NETWORK, load_network
from bluesky_xtag.model.serving import serve

# Keras 3.15 saves its variables through an old signature of __array__, which NumPy 2.4 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

TAXONOMY = DEFAULT_TAXONOMY.subset(["ring", "halo", "empty"])


def small_network(tags=3, extra=None):
    """A network that is quick to build, with inputs as the preparation makes them."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = {name: keras.Input(shape, name=name) for name, shape in Preparation().shapes.items()}
    pooled = [layers.GlobalMaxPooling2D()(inputs[name]) for name in ("plain", "polar")]
    hidden = layers.Concatenate()([*pooled, inputs["scalars"]])
    if extra is not None:
        hidden = extra(hidden)
    return keras.Model(inputs, layers.Dense(tags, activation="sigmoid")(hidden))


@pytest.fixture(scope="module")
def model():
    return TagModel.from_network(
        small_network(), TAXONOMY, (0.5, 0.4, 0.3), Preparation(), name="small", version="1", note="for tests"
    )


@pytest.fixture
def directory(model, tmp_path):
    return model.save(tmp_path / "model")


def edit_card(directory, **changes):
    card = json.loads((directory / CARD).read_text())
    card.update(changes)
    (directory / CARD).write_text(json.dumps(card))


def sign(directory):
    """Make the card's hash right again after an edit, as somebody who wants to deceive could."""
    card = json.loads((directory / CARD).read_text())
    taxonomy = Taxonomy(tuple(Tag(**tag) for tag in card["taxonomy"]))
    network = (directory / NETWORK).read_bytes()
    edit_card(directory, sha256=fingerprint(network, taxonomy, Preparation.from_dict(card["preparation"])))


def edit_network(directory, old, new):
    """Replace text in the network's description; the card is told the new hash."""
    path = directory / NETWORK
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert old in members["config.json"]
    members["config.json"] = members["config.json"].replace(old, new, 1)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    sign(directory)


def frames(number, seed=0, shape=(195, 487)):
    return np.random.default_rng(seed).poisson(3, (number, *shape)).astype(np.int32)


def test_importing_the_module_does_not_import_tensorflow():
    code = "import sys, bluesky_xtag.model; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_saved_and_loaded_it_is_the_same_model(model, directory):
    loaded = TagModel.load(directory)
    assert (loaded.name, loaded.version, loaded.sha256) == ("small", "1", model.sha256)
    assert loaded.card.stored == model.card.stored
    assert loaded.taxonomy == TAXONOMY and loaded.preparation == Preparation()
    np.testing.assert_array_equal(loaded.thresholds, model.thresholds)
    np.testing.assert_array_equal(loaded.predict(frames(3)), model.predict(frames(3)))
    assert sorted(path.name for path in directory.parent.iterdir()) == ["model"]


def test_saving_replaces_a_model_but_nothing_else(model, directory, tmp_path):
    model.save(directory)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").write_text("miaow")
    with pytest.raises(ModelError, match="does not hold a model"):
        model.save(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.txt").read_text() == "miaow"


@pytest.mark.parametrize("name", [CARD, NETWORK])
def test_a_missing_file_is_named(directory, name):
    (directory / name).unlink()
    with pytest.raises(ModelError, match=name):
        TagModel.load(directory)


def test_a_changed_network_is_refused(directory):
    with (directory / NETWORK).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="sha256"):
        TagModel.load(directory)


def test_tags_in_another_order_are_refused(directory):
    """They would give every frame the wrong tags."""
    edit_card(directory, taxonomy=[tag.to_dict() for tag in reversed(TAXONOMY.tags)])
    with pytest.raises(ModelError, match="the taxonomy or the preparation was damaged"):
        TagModel.load(directory)


def test_another_preparation_than_the_network_takes_is_refused(directory):
    edit_card(directory, preparation=Preparation(side=32).to_dict())
    sign(directory)
    with pytest.raises(ModelError, match="network takes"):
        TagModel.load(directory)


def test_other_thresholds_are_anybodys_right(directory):
    edit_card(directory, thresholds=[0.1, 0.2, 0.3])
    np.testing.assert_allclose(TagModel.load(directory).thresholds, [0.1, 0.2, 0.3], rtol=1e-6)


def test_another_number_of_tags_than_the_network_has_is_refused(directory):
    card = json.loads((directory / CARD).read_text())
    edit_card(directory, taxonomy=card["taxonomy"][:2], thresholds=[0.5, 0.5])
    sign(directory)
    with pytest.raises(ModelError, match="2 tags"):
        TagModel.load(directory)


def test_code_in_a_network_is_refused_and_not_run(tmp_path):
    import keras

    lambda_layer = keras.layers.Lambda(lambda x: x * 2)
    with pytest.raises(ModelError, match="Lambda"):
        TagModel.from_network(
            small_network(extra=lambda_layer), TAXONOMY, (0.5,) * 3, Preparation(), name="evil", version="1"
        )


@pytest.mark.parametrize("module", [b"os", b"builtins", b"keras.utils", b"my_package.layers"])
def test_foreign_classes_in_a_network_are_refused(directory, module):
    edit_network(directory, b'"module": "keras.layers"', b'"module": "' + module + b'"')
    with pytest.raises(ModelError, match="could run code"):
        TagModel.load(directory)


def test_a_network_of_more_weights_than_its_file_holds_is_refused_before_there_is_room_for_them(directory):
    """Two layers of 65,536 units would take 17 GB before Keras sees that the file holds no such weights."""
    import keras

    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Dense(4)(inputs)))
    network.save(directory / NETWORK)
    with zipfile.ZipFile(directory / NETWORK) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    wide = members["config.json"].replace(b'"units": 4', b'"units": 65536').replace(b"[null, 4]", b"[null, 65536]")
    assert wide.count(b"65536") > 4
    with zipfile.ZipFile(directory / NETWORK, "w") as archive:
        for name, content in (members | {"config.json": wide}).items():
            archive.writestr(name, content)
    sign(directory)
    with pytest.raises(ModelError, match=r"has [\d,]{13} weights, of which its file holds 40"):
        TagModel.load(directory)


def test_layers_with_random_numbers_of_their_own_may_have_these(directory):
    import keras

    inputs = [keras.Input(shape, name=name) for name, shape in Preparation().shapes.items()]
    x = keras.layers.Flatten()(inputs[0])
    for _ in range(20):
        x = keras.layers.Dropout(0.1)(keras.layers.GaussianNoise(0.1)(x))
    network = keras.Model(inputs, keras.layers.Dense(3, activation="sigmoid")(x))
    made = TagModel.from_network(network, TAXONOMY, (0.5,) * 3, Preparation(), name="random", version="1")
    assert TagModel.load(made.save(directory.with_name("random"))).predict(frames(1)).shape == (1, 3)


def test_a_model_of_other_layers_needs_trust(tmp_path):
    """It is never the default; a trusted model stays trusted where it is sent."""
    import keras

    made = {
        "name": "other",
        "version": "1",
        "taxonomy": TAXONOMY,
        "thresholds": (0.5,) * 3,
        "preparation": Preparation(),
    }
    network = small_network(extra=keras.layers.UnitNormalization())
    with pytest.raises(ModelError, match="keras.layers.UnitNormalization.*trust=True"):
        TagModel.from_network(network, **made)
    model = TagModel.from_network(network, **made, trust=True)
    directory = model.save(tmp_path / "model")
    with pytest.raises(ModelError, match="UnitNormalization"):
        TagModel.load(directory)
    loaded = TagModel.load(directory, trust=True)
    sent = pickle.loads(pickle.dumps(loaded))
    np.testing.assert_array_equal(sent.predict(frames(2)), model.predict(frames(2)))


@pytest.mark.parametrize("content", ["[" * 10**6, " " * (16 * 2**20 + 1)], ids=["nested", "large"])
def test_a_card_that_is_none_is_refused(directory, content):
    (directory / CARD).write_text(content)
    with pytest.raises(ModelError, match=CARD):
        TagModel.load(directory)


def test_more_files_in_a_network_are_refused(directory):
    with zipfile.ZipFile(directory / NETWORK, "a") as archive:
        archive.writestr("assets/run.py", "print('here')")
    sign(directory)
    with pytest.raises(ModelError, match="run.py"):
        TagModel.load(directory)


def test_what_is_no_network_is_refused(directory):
    (directory / NETWORK).write_bytes(b"nothing")
    sign(directory)
    with pytest.raises(ModelError, match="not a Keras file"):
        TagModel.load(directory)


@pytest.mark.parametrize("number", [0, 1, 2, 5, 16, 21])
def test_a_score_for_each_tag_of_each_frame(model, number):
    scores = model.predict(frames(number)) if number else model.predict([])
    assert scores.shape == (number, 3) and scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()


def test_company_in_a_call_does_not_change_a_frames_scores_by_a_single_bit(model):
    stack = frames(19)
    together = model.predict(stack)
    alone = np.concatenate([model.predict(image[None]) for image in stack])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(model.predict(stack[2:7]), alone[2:7])


def test_frames_of_different_shapes_go_together(model):
    images = [frames(1, shape=shape)[0] for shape in ((195, 487), (64, 64), (300, 200))]
    together = model.predict(images, [(1.0, 2.0), None, (150.0, 100.0)])
    alone = model.predict([images[2]], [(150.0, 100.0)])
    np.testing.assert_array_equal(together[2], alone[0])


def test_calls_that_do_not_fit_are_refused(model):
    with pytest.raises(XTagValueError, match=r"image\[None\]"):
        model.predict(frames(1)[0])
    with pytest.raises(XTagValueError, match="beam centres"):
        model.predict(frames(2), [(1.0, 1.0)])
    with pytest.raises(FrameError, match="no valid pixel"):
        model.predict(np.full((1, 10, 10), -1))


def test_a_mask_hides_pixels(model):
    images, mask = frames(1), np.zeros((195, 487), bool)
    mask[:50] = True
    spoiled = images.copy()
    spoiled[0, :50] = 10**6
    np.testing.assert_array_equal(model.predict(images, masks=mask), model.predict(spoiled, masks=[mask]))


def test_equal_models_share_what_serves_them_and_others_do_not(directory, monkeypatch, tmp_path):
    import keras

    made = []
    monkeypatch.setattr(tag_model, "serve", lambda network, **more: made.append(network) or serve(network, **more))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # without programs of earlier processes
    monkeypatch.setattr(tag_model, "_shared", WeakValueDictionary())
    first, again = TagModel.load(directory), TagModel.load(directory)
    with ThreadPoolExecutor(4) as threads:
        scores = list(threads.map(lambda model: model.predict(frames(1)), [first, again, first, again]))
    np.testing.assert_array_equal(scores, [scores[0]] * 4)
    assert len(made) == 1
    loaded = []
    monkeypatch.setattr(
        tag_model, "load_network", lambda *given, **more: loaded.append(given) or load_network(*given, **more)
    )
    third = TagModel.load(directory)
    np.testing.assert_array_equal(third.predict(frames(1)), scores[0])
    assert loaded == [], "what is not needed was loaded"
    given = {name: values[None] for name, values in vars(Preparation()(frames(1)[0])).items()}
    assert third.network is not first.network
    np.testing.assert_allclose(third.network.predict_on_batch(given)[0], scores[0][0], atol=1e-4)
    wider = small_network(extra=keras.layers.Dense(8))
    other = TagModel.from_network(wider, TAXONOMY, (0.5, 0.4, 0.3), Preparation(), name="small", version="1")
    assert (other.predict(frames(1)) != scores[0]).any() and len(made) == 2
    del first, again, third
    gc.collect()
    assert [key for _, key, _ in tag_model._shared] == [other.sha256], "what serves no model any more is kept"


def test_the_device_is_announced(directory, caplog):
    caplog.set_level("INFO", logger="bluesky_xtag")
    model = TagModel.load(directory)
    assert model.device == "CPU" or model.device.startswith("GPU: ")
    assert "the model runs on" in caplog.text


@pytest.fixture(scope="module")
def packaged(packaged_model):
    return packaged_model


def test_the_packaged_model_is_small_and_knows_its_figures(packaged):
    from bluesky_xtag.model import DEFAULT

    assert sum(path.stat().st_size for path in DEFAULT.iterdir()) < 10e6
    held_out = packaged.card.stored["figures"]["held_out"]
    assert held_out["mean_average_precision"] >= 0.87 > 0.4 > held_out["chance"]


def test_the_packaged_model_tags_geometries_that_it_never_saw(packaged):
    from bluesky_xtag.simulate import sample
    from bluesky_xtag.train.evaluate.metrics import mean_average_precision

    drawn = [sample(271828, index, held_out=True) for index in range(200)]
    scores = packaged.infer([inputs for inputs, _ in drawn])
    found, chance = mean_average_precision(np.stack([labels for _, labels in drawn]), scores)
    assert chance < 0.3
    assert found >= 0.80


@pytest.fixture(scope="module")
def known_frames():
    """Bright full-size frames of a photon counter, with the tags that each must get and must not get."""
    from bluesky_xtag.simulate.scene import patterns
    from bluesky_xtag.simulate.scene.geometry import Geometry
    from bluesky_xtag.simulate.scene.layouts import Layout
    from bluesky_xtag.simulate.scene.scenes import Part, Scene, expose_full, render
    from bluesky_xtag.simulate.scene.shadows import Beamstop

    layout = Layout((1062, 1028), 75e-6, "Eiger2 1M")
    geometry = Geometry(layout.shape, 75e-6, 1.0, 1.0, (505.0, 540.0))
    ring, halo = patterns.Rings(0.12, width=0.03), patterns.Halo(0.15, 0.25)
    flat = Part("background", patterns.HighQ(0.0, 1.0), 1e5)
    low = Part("low_q", patterns.PowerLaw(3.0, 0.01), 3e6)
    stop = (Beamstop(0.03, 0.008, 0.4),)
    cases = (
        (
            (Part("rings", ring, 3e6), low),
            stop,
            {"ring", "beamstop", "detector_gaps", "diffuse_low_q"},
            {"halo", "empty"},
        ),
        ((Part("rings", patterns.Textured(ring, 0.7, 2, 0.5), 3e6),), (), {"oriented"}, {"halo", "beamstop", "empty"}),
        ((Part("halo", halo, 3e6),), (), {"halo"}, {"ring", "spots", "empty"}),
        ((), (), {"empty"}, {"ring", "halo", "spots", "beamstop", "oriented"}),
    )
    frames = []
    for number, (parts, shadows, wanted, unwanted) in enumerate(cases):
        scene = Scene(layout, geometry, (*parts, flat), shadows)
        frames.append((expose_full(render(scene), np.random.default_rng(number)), wanted, unwanted))
    return frames


def accepted(model, image, centre):
    return set(model.taxonomy.accepted(model.predict([image], [centre])[0], model.thresholds))


@pytest.mark.parametrize("error", [(0, 0), (4, -3), None])
def test_known_frames_get_their_tags_whether_the_centre_is_right_wrong_or_unknown(packaged, known_frames, error):
    for image, wanted, unwanted in known_frames:
        found = accepted(packaged, image, None if error is None else (505.0 + error[0], 540.0 + error[1]))
        assert wanted <= found and not unwanted & found


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_frames_keep_their_tags(packaged, known_frames, turns):
    for image, wanted, unwanted in known_frames:
        x, y = 505.0, 540.0
        for turn in range(turns):  # numpy turns a quarter against the clock
            x, y = y, (image.shape[1], image.shape[0])[turn % 2] - 1 - x
        found = accepted(packaged, np.rot90(image, turns), (x, y))
        assert wanted <= found and not unwanted & found


@pytest.mark.skipif(not REAL_FRAMES.exists(), reason="measured frames are not here (../shared/real_frames.h5)")
def test_the_packaged_model_tags_measured_frames(packaged):
    from bluesky_xtag.train.evaluate.evaluation import evaluate

    rows = {row.tag: row for row in evaluate(packaged, REAL_FRAMES).tags}
    chosen = [rows[tag] for tag in ("ring", "diffuse_low_q", "beamstop", "detector_gaps", "oriented")]
    precision = np.mean([row.average_precision for row in chosen])
    chance = np.mean([row.prevalence for row in chosen])
    assert precision > chance + 0.3


@pytest.mark.parametrize("counts", [5, 50, 500, 50_000])
def test_dark_frames_are_empty_and_have_no_high_background(packaged, counts):
    image = np.random.default_rng(counts).poisson(counts / (195 * 487), (195, 487)).astype(np.int32)
    found = accepted(packaged, image, None)
    assert "empty" in found and not found & {"high_background", "weak_scattering", "ring", "halo", "spots"}


@pytest.mark.parametrize(
    ("shape", "name"),
    [((256, 1024), ""), ((773, 1153), ""), ((195, 1475), "Pilatus 300kw"), ((619, 1475), "Pilatus 900k")],
)
def test_gaps_are_told_by_themselves_and_not_by_the_shape(packaged, shape, name):
    from bluesky_xtag.simulate.scene import patterns
    from bluesky_xtag.simulate.scene.geometry import Geometry
    from bluesky_xtag.simulate.scene.layouts import Layout
    from bluesky_xtag.simulate.scene.scenes import Part, Scene, expose_full, render

    geometry = Geometry(shape, 172e-6, 1.0, 1.0, (0.45 * shape[1], 0.55 * shape[0]))
    parts = (
        Part("rings", patterns.Rings(0.1, width=0.03), 1e6),
        Part("low_q", patterns.Guinier(30.0), 1e6),
        Part("background", patterns.HighQ(0.0, 1.0), 1e5),
    )
    scene = Scene(Layout(shape, 172e-6, name), geometry, parts)
    image = expose_full(render(scene), np.random.default_rng(0))
    assert ("detector_gaps" in accepted(packaged, image, geometry.beam_centre)) == bool(name)
