import json

import bluesky.plans as bp
import h5py
import keras
import numpy as np
import pytest
from support.detectors import ArrayDetector, constant
from support.places import REAL_FRAMES, REAL_FRAMES_2

from bluesky_xtag import install
from bluesky_xtag.errors import ModelError, XTagValueError
from bluesky_xtag.model import Preparation, Tag, TagModel, Taxonomy
from bluesky_xtag.train import adapt_model, calibrate_for
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
def base(packaged_model):
    return packaged_model


@pytest.fixture(scope="module")
def adapted(base, tmp_path_factory):
    directory = tmp_path_factory.mktemp("adapted")
    path = write(directory, definitions=["", "a bright bar crosses the frame", ""])
    return adapt_model(base, path, directory / "adapted", simulated=0), TagModel.load(directory / "adapted")


def test_a_tag_of_ones_own_is_learned_and_known_ones_stay(base, adapted):
    adaptation, model = adapted
    stripe = next(row for row in adaptation.tags if row.tag == "stripe")
    assert stripe.outcome == "new" and np.isnan(stripe.order_before) and stripe.false_before is None
    assert stripe.order_after > 0.9 and stripe.false_after + stripe.missed_after <= 4
    assert model.taxonomy.tags[-1] == Tag("stripe", "own", "a bright bar crosses the frame")
    images = [image(seed, ring, stripe) for seed, ring, stripe in ((90, 0, 0), (91, 1, 0), (92, 0, 1), (93, 1, 1))]
    before, after = base.predict(images), model.predict(images)
    assert after[2:, -1].min() > 0.5 > after[:2, -1].max()
    unlabelled = [n for n, name in enumerate(base.taxonomy.names) if name not in TAGS]
    np.testing.assert_allclose(after[:, unlabelled], before[:, unlabelled], atol=1e-5)
    np.testing.assert_array_equal(model.thresholds[unlabelled], base.thresholds[unlabelled])


def test_uncertain_labels_are_not_counted_and_rare_new_tags_not_learned(adapted):
    adaptation, model = adapted
    ring = next(row for row in adaptation.tags if row.tag == "ring")
    assert (ring.positives, ring.negatives) == (11, 11)
    assert "once" in adaptation.left_out and "once" not in model.taxonomy.names
    assert any("Not learned: once; 1 frames hold it and 23 do not" in note for note in adaptation.notes)


def test_the_card_tells_where_the_model_comes_from_and_how_it_was_measured(base, adapted):
    adaptation, model = adapted
    story = model.card.stored["adaptation"]
    assert story["from"] == {"name": base.name, "version": base.version, "sha256": base.sha256}
    assert story["frames"] == 24 and story["file"] == "mine.h5"
    assert story["sources"] == {f"sample {n}": 4 for n in range(6)} == adaptation.sources
    assert [row["tag"] for row in story["tags"]] == ["ring", "stripe"]
    assert {"false_before", "false_after", "missed_before", "missed_after", "threshold"} <= set(story["tags"][0])
    assert story["tags"][1]["false_before"] is None and story["tags"][1]["order_before"] is None
    assert story["stages"][0]["stage"] == "before" and story["stages"][0]["errors"] == adaptation.before.errors
    assert story["settings"]["simulated"] == 0
    assert model.name == "adapted" and model.sha256 != base.sha256
    assert "NaN" not in json.dumps(model.card.stored)
    stages, tags = adaptation.tables()
    assert stages.row_count == len(adaptation.stages) and tags.row_count == 2


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
    before, after = adaptation.simulated["before"], adaptation.simulated["after"]
    assert after["mAP"] > before["mAP"] - 0.05 and after["errors"] < before["errors"] + 0.5
    figures = TagModel.load(tmp_path / "adapted").card.stored["figures"]["held_out"]
    assert figures["mean_average_precision"] == pytest.approx(after["mAP"])


def test_too_few_frames_or_sources_are_refused(base, tmp_path):
    with pytest.raises(XTagValueError, match="9 labelled frames, but at least 10"):
        adapt_model(base, write(tmp_path, number=9), tmp_path / "adapted")
    with pytest.raises(XTagValueError, match=r"2 source\(s\), but at least 3"):
        adapt_model(base, write(tmp_path, sources=2), tmp_path / "adapted")
    path = write(tmp_path)
    with h5py.File(path, "a") as file:
        for number, frame in enumerate(file.values()):
            frame.attrs["truth"] = [-1, number == 4, 0]
    with pytest.raises(XTagValueError, match="no tag of .* label more frames"):
        adapt_model(base, path, tmp_path / "adapted")
    assert not (tmp_path / "adapted").exists()


def test_a_new_tag_that_the_pixels_do_not_show_is_not_learned(base, tmp_path):
    path = write(tmp_path)
    with h5py.File(path, "a") as file:
        for number, frame in enumerate(file.values()):
            frame.attrs["truth"] = [number % 2, number // 2 % 2, 7 * number % 24 < 12]
    adaptation = adapt_model(base, path, tmp_path / "adapted")
    assert "guessing makes 12" in adaptation.left_out["once"]
    model = TagModel.load(tmp_path / "adapted")
    assert model.taxonomy.names == (*base.taxonomy.names, "stripe")


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
    sources = read_labelled([path], base, Head.of(base)).sources
    expected = ["https://example.org/1", "https://example.org/2", "lab", "frame03", "Pilatus", "lab"]
    assert list(sources[:6]) == expected


def test_masked_pixels_are_not_learned_from(base, tmp_path):
    path = write(tmp_path)
    hidden = np.zeros((120, 100), bool)
    hidden[10:60, 20:80] = True
    found = []
    for value, told_apart in ((3000, True), (-1, False), (3000, False)):
        with h5py.File(path, "a") as file:
            for name in [name for name in file if name.startswith("frame")]:
                file[name][hidden] = value
                if told_apart:
                    file[f"masks/{name}"] = hidden
                elif f"masks/{name}" in file:
                    del file[f"masks/{name}"]
        found.append(read_labelled([path], base, Head.of(base)).features)
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 0.1


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


@pytest.mark.skipif(not REAL_FRAMES_2.exists(), reason=f"there is no {REAL_FRAMES_2}")
def test_thirty_measured_frames_of_other_sources_have_fewer_errors(base, tmp_path):
    adaptation = adapt_model(base, REAL_FRAMES_2, tmp_path / "adapted")
    assert adaptation.frames == 30 and len(adaptation.sources) == 11
    assert adaptation.after.errors < 0.75 * adaptation.before.errors
    assert adaptation.after.change < -adaptation.after.error
    mixture = calibrate_for(base, [REAL_FRAMES, REAL_FRAMES_2])
    assert sum(mixture.sources.values()) == 53
    assert mixture.after.errors < 0.75 * mixture.before.errors
