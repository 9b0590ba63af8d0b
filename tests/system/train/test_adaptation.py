import json

import bluesky.plans as bp
import h5py
import keras
import numpy as np
import pytest
from support.detectors import ArrayDetector, constant
from support.places import REAL_FRAMES

from bluesky_xtag import install
from bluesky_xtag.errors import ModelError, XTagValueError
from bluesky_xtag.model import Preparation, Tag, TagModel, Taxonomy
from bluesky_xtag.train import adapt_model
from bluesky_xtag.train.adapt.examples_of_frames import read_labelled
from bluesky_xtag.train.adapt.head import Head

# Keras 3.15 saves its variables through an old signature of __array__, which NumPy 2.4 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

TAGS = ("ring", "stripe", "once")


def image(seed, ring, stripe):
    """A frame of 120 x 100 pixels: a flat background, a sharp ring, and a bright bar across."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:120, :100]
    radius = np.hypot(rows - 60 + rng.normal(), columns - 50 + rng.normal())
    expected = 3 + 40 * ring * np.exp(-((radius - rng.uniform(25, 40)) ** 2) / 2)
    expected += 40 * stripe * (np.abs(rows - rng.uniform(20, 100)) < 6)
    return rng.poisson(expected).astype(np.int32)


def write(directory, number=24, sources=6, **attributes):
    """Write labelled frames; ring and stripe come in all four pairs, `once` holds for one frame."""
    path = directory / "mine.h5"
    with h5py.File(path, "w") as file:
        file.attrs["tags"] = TAGS
        file.attrs.update(attributes)
        for n in range(number):
            frame = file.create_dataset(f"frame{n:02d}", data=image(n, n % 2, n // 2 % 2))
            frame.attrs["truth"] = [-1 if n < 2 else n % 2, n // 2 % 2, int(n == 5)]
            frame.attrs["source"] = f"sample {n % sources}:file {n}"
    return path


@pytest.fixture(scope="module")
def base():
    return TagModel.load()


@pytest.fixture(scope="module")
def adapted(base, tmp_path_factory):
    directory = tmp_path_factory.mktemp("adapted")
    path = write(directory, definitions=["", "a bright bar crosses the frame", ""])
    return adapt_model(base, path, directory / "adapted", simulated=0), TagModel.load(directory / "adapted")


def test_a_tag_of_ones_own_is_learned_and_known_ones_stay(base, adapted):
    adaptation, model = adapted
    stripe = next(row for row in adaptation.tags if row.tag == "stripe")
    assert stripe.outcome == "new" and np.isnan(stripe.ap_before)
    assert stripe.ap_after > 0.9 and stripe.prevalence == 0.5
    assert model.taxonomy.tags[-1] == Tag("stripe", "own", "a bright bar crosses the frame")
    images = [image(seed, ring, stripe) for seed, ring, stripe in ((90, 0, 0), (91, 1, 0), (92, 0, 1), (93, 1, 1))]
    before, after = base.predict(images), model.predict(images)
    assert after[2:, -1].min() > after[:2, -1].max()
    unlabelled = [n for n, name in enumerate(base.taxonomy.names) if name not in TAGS]
    np.testing.assert_allclose(after[:, unlabelled], before[:, unlabelled], atol=1e-5)
    np.testing.assert_array_equal(model.thresholds[unlabelled], base.thresholds[unlabelled])


def test_uncertain_labels_are_not_counted_and_rare_new_tags_not_learned(adapted):
    adaptation, model = adapted
    ring = next(row for row in adaptation.tags if row.tag == "ring")
    assert (ring.positives, ring.negatives) == (11, 11)
    assert adaptation.left_out == ("once",) and "once" not in model.taxonomy.names
    assert any("Not learned: once" in note for note in adaptation.notes)


def test_the_card_tells_where_the_model_comes_from_and_how_it_was_measured(base, adapted):
    adaptation, model = adapted
    story = model.card.stored["adaptation"]
    assert story["from"] == {"name": base.name, "version": base.version, "sha256": base.sha256}
    assert story["frames"] == 24 and story["file"] == "mine.h5"
    assert story["sources"] == {f"sample {n}": 4 for n in range(6)} == adaptation.sources
    assert [row["tag"] for row in story["tags"]] == ["ring", "stripe"]
    assert {"ap_before", "ap_after", "f1_before", "f1_after", "threshold", "outcome"} <= set(story["tags"][0])
    assert story["tags"][1]["ap_before"] is None
    assert {"mean", "low", "high"} == set(story["change"])
    assert story["settings"]["simulated"] == 0
    assert model.name == "adapted" and model.sha256 != base.sha256
    assert "NaN" not in json.dumps(model.card.stored)
    assert adaptation.table().row_count == 3


def test_an_adapted_model_tags_a_scan(adapted, RE):
    _, model = adapted
    rows = []
    RE.subscribe(lambda name, doc: rows.append(doc["data"]) if "xtag_status" in doc.get("data", {}) else None, "event")
    tagger = install(RE, model=model)
    RE(bp.count([ArrayDetector(constant(image(95, 0, 1)), shape=(120, 100))]))
    tagger.uninstall()
    assert rows[0]["xtag_status"] == "ok" and rows[0]["xtag_p_stripe"] > 0.5


def test_what_the_model_knew_is_measured_on_simulated_frames(base, tmp_path):
    adaptation = adapt_model(base, write(tmp_path), tmp_path / "adapted", simulated=30, workers=1)
    assert adaptation.simulated_frames == 30
    assert adaptation.simulated_after > adaptation.simulated_before - 0.05
    figures = TagModel.load(tmp_path / "adapted").card.stored["figures"]["held_out"]
    assert figures["mean_average_precision"] == pytest.approx(adaptation.simulated_after)


def test_too_few_frames_or_sources_are_refused(base, tmp_path):
    with pytest.raises(XTagValueError, match="19 labelled frames, but at least 20"):
        adapt_model(base, write(tmp_path, number=19), tmp_path / "adapted")
    with pytest.raises(XTagValueError, match=r"2 source\(s\), but at least 3"):
        adapt_model(base, write(tmp_path, sources=2), tmp_path / "adapted")
    path = write(tmp_path)
    with h5py.File(path, "a") as file:
        for number, frame in enumerate(file.values()):
            frame.attrs["truth"] = [number == 3, number == 4, 0]
    with pytest.raises(XTagValueError, match="no tag of .* label more frames"):
        adapt_model(base, path, tmp_path / "adapted")
    assert not (tmp_path / "adapted").exists()


def test_definitions_that_do_not_fit_the_tags_are_refused(base, tmp_path):
    with pytest.raises(XTagValueError, match="3 `tags` but gives 2 `definitions`"):
        adapt_model(base, write(tmp_path, definitions=["a", "b"]), tmp_path / "adapted")


def test_sources_are_told_apart_by_origin_and_frames_without_one_by_name(base, tmp_path):
    path = write(tmp_path)
    with h5py.File(path, "a") as file:
        for number, frame in enumerate(file.values()):
            frame.attrs["source"] = ("https://example.org/1", "https://example.org/2", "lab@1:file")[number % 3]
        del file["frame03"].attrs["source"]
        file["frame04"].attrs["source"] = ""
        file["frame04"].attrs["detector"] = "Pilatus"
    sources = read_labelled(path, base, Head.of(base)).sources
    expected = ["https://example.org/1", "https://example.org/2", "lab", "frame03", "Pilatus", "lab"]
    assert list(sources[:6]) == expected


def small(*last):
    """A model of two tags whose network ends with the given layers."""
    inputs = {name: keras.Input(shape, name=name) for name, shape in Preparation().shapes.items()}
    x = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(inputs["polar"]), inputs["scalars"]])
    for layer in last:
        x = layer(x)
    taxonomy = Taxonomy((Tag("ice", "frame", "ice"), Tag("loop", "frame", "loop")))
    return TagModel.from_network(keras.Model(inputs, x), taxonomy, [0.5, 0.5], Preparation(), name="small", version="1")


@pytest.mark.parametrize("dense", [{"activation": "sigmoid"}, {"activation": "sigmoid", "use_bias": False}])
def test_the_last_layer_comes_off_and_on_again(dense):
    model = small(keras.layers.Dense(2, **dense))
    head = Head.of(model)
    again = head.network(head.kernel, head.bias)
    frame = Preparation()(image(1, 1, 0))
    batch = {name: getattr(frame, name)[None] for name in Preparation().shapes}
    np.testing.assert_allclose(again.predict_on_batch(batch), model.infer([frame]), atol=1e-6)


def test_a_network_that_ends_otherwise_is_refused():
    with pytest.raises(ModelError, match="not with a dense layer and a sigmoid"):
        Head.of(small(keras.layers.Dense(2), keras.layers.Softmax()))


@pytest.mark.skipif(not REAL_FRAMES.exists(), reason=f"there is no {REAL_FRAMES}")
def test_measured_frames_of_other_sources_are_not_tagged_worse(base, tmp_path):
    adaptation = adapt_model(base, REAL_FRAMES, tmp_path / "adapted", simulated=0)
    assert adaptation.frames == 23 and len(adaptation.sources) == 7
    assert adaptation.after.mean > adaptation.before.mean - 0.03
    assert adaptation.change.low <= adaptation.change.mean <= adaptation.change.high
