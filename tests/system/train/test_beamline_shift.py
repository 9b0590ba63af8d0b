"""A beamline on which a model is wrong in one direction: simulated frames, and a model whose scores are too high."""

import re
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest
from scipy.special import expit, logit

from bluesky_xtag.model import TagModel
from bluesky_xtag.simulate import simulate
from bluesky_xtag.train import adapt_model, calibrate_for, score
from bluesky_xtag.train.adapt.head import Head

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

FRAMES, SOURCES, SHIFT = 40, 8, 3.0


@pytest.fixture(scope="module")
def shifted(packaged_model):
    """The packaged model with all logits too high: it accepts too many tags, and ranks frames as well as before."""
    head = Head.of(packaged_model)
    network = head.network(head.kernel, head.bias + SHIFT)
    card = packaged_model.card
    return TagModel.from_network(network, card.taxonomy, card.thresholds, card.preparation, name="shifted", version="1")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Simulated frames of eight sources, the names of which could do harm in a page."""
    path = simulate(tmp_path_factory.mktemp("beamline") / "<i>mine.h5", FRAMES, seed=7, workers=1)
    with h5py.File(path, "a") as file:
        for number, name in enumerate([name for name in file if name != "masks"]):
            file[name].attrs["source"] = f"<script>alert({number % SOURCES})</script>"
    return path


@pytest.fixture(scope="module")
def adapted(shifted, archive):
    out, html = archive.with_name("adapted"), archive.with_name("adapted.html")
    return adapt_model(shifted, archive, out, html=html), TagModel.load(out), html.read_text("utf-8")


def test_a_model_that_is_wrong_in_one_direction_has_far_fewer_errors(adapted):
    adaptation, _, _ = adapted
    assert (adaptation.frames, len(adaptation.sources)) == (FRAMES, SOURCES)
    assert adaptation.after.stage == "calibration"
    assert adaptation.after.errors < 0.6 * adaptation.before.errors
    assert adaptation.after.clean > adaptation.before.clean
    assert adaptation.after.entropy < adaptation.before.entropy
    assert adaptation.after.change < -2 * adaptation.after.error
    assert adaptation.after.errors == np.mean([len(row.false_after + row.missed_after) for row in adaptation.each])
    assert adaptation.before.errors == sum(row.false_before + row.missed_before for row in adaptation.tags) / FRAMES


def test_calibration_alone_keeps_the_order_of_frames(adapted):
    adaptation, _, _ = adapted
    assert {row.outcome for row in adaptation.tags} == {"calibrated"}
    for row in adaptation.tags:
        np.testing.assert_equal(row.order_after, row.order_before)


def test_the_model_that_is_stored_makes_as_few_errors(adapted, shifted, archive):
    adaptation, model, _ = adapted
    before, after = (score(each, archive) for each in (shifted, model))
    wrong = [
        (((found.scores >= found.thresholds) != (found.truth == 1)) & (found.truth >= 0)).sum() / FRAMES
        for found in (before, after)
    ]
    assert wrong[0] == pytest.approx(adaptation.before.errors, abs=0.1)
    assert wrong[1] < adaptation.after.errors + 0.3
    labelled = [row.tag for row in adaptation.tags]
    assert all(model.thresholds[model.taxonomy.index(tag)] == 0.5 for tag in labelled)


class Page(HTMLParser):
    """What a page loads or runs, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_stands_alone_and_names_are_text(adapted):
    adaptation, _, text = adapted
    page = Page(text)
    assert page.addresses and all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not {"script", "i", "link", "iframe", "form"} & set(page.tags) and "url(" not in text
    words = " ".join(page.words)
    assert "shifted 1, adapted to <i>mine.h5" in words
    assert re.search(r"<script>alert\(\d\)</script>: 0000\d\d", words)
    assert f"{adaptation.before.errors:.2f} → {adaptation.after.errors:.2f}" in words
    assert all(row.tag in words for row in adaptation.tags)
    assert 0 < page.tags.count("img") <= 12


def test_thresholds_for_a_mixture_accept_what_calibrated_scores_accept(shifted, archive):
    mixture = calibrate_for(shifted, [archive])
    assert mixture.tags == shifted.taxonomy.names and mixture.after.errors < 0.6 * mixture.before.errors
    scores = expit(np.random.default_rng(0).normal(2, 4, (200, len(mixture.tags))))
    changed = mixture.slopes != 1
    assert changed.any()
    accepted = scores >= mixture.thresholds
    np.testing.assert_array_equal(accepted[:, changed], (mixture(scores) >= 0.5)[:, changed])
    np.testing.assert_allclose(mixture(scores)[:, ~changed], scores[:, ~changed])
    assert np.median(logit(mixture.thresholds) - logit(shifted.thresholds)) > 1
    stored = mixture.to_dict()
    assert stored["frames"] == FRAMES and stored["sources"] == SOURCES and "<script>" not in str(stored)
