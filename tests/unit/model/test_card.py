import json

import numpy as np
import pytest

from bluesky_xtag import ModelError
from bluesky_xtag.model import DEFAULT_TAXONOMY, ModelCard, Preparation
from bluesky_xtag.model.card import CARD, fingerprint

TAXONOMY = DEFAULT_TAXONOMY.subset(["empty", "ring", "halo"])
FIELDS = {
    "format": 1,
    "name": "small",
    "version": "1",
    "taxonomy": [tag.to_dict() for tag in TAXONOMY.tags],
    "thresholds": [0.5, 0.4, 0.3],
    "preparation": Preparation().to_dict(),
    "sha256": "0" * 64,
}


def write(directory, text):
    (directory / CARD).write_text(text if isinstance(text, str) else json.dumps(text))
    return directory


def test_the_card_of_a_directory_tells_what_the_model_is(tmp_path):
    card = ModelCard.load(write(tmp_path, FIELDS | {"note": "for tests"}))
    assert (card.name, card.version, card.sha256, card.taxonomy) == ("small", "1", "0" * 64, TAXONOMY)
    assert card.preparation == Preparation() and card.stored["note"] == "for tests"
    np.testing.assert_array_equal(card.thresholds, np.float32([0.5, 0.4, 0.3]))


def test_the_packaged_card_has_all_default_tags_and_needs_no_tensorflow():
    card = ModelCard.load()
    assert card.taxonomy == DEFAULT_TAXONOMY and len(card.thresholds) == len(DEFAULT_TAXONOMY)


def test_colours_and_ranks_are_not_stored():
    assert all(set(tag) == {"name", "group", "definition"} for tag in FIELDS["taxonomy"])
    assert len({tag.colour for tag in TAXONOMY.tags}) == 3 and all(tag.rank for tag in TAXONOMY.tags)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format"),
        ({"thresholds": [0.5]}, "thresholds"),
        ({"thresholds": [0.5, 0.5, 2.0]}, "thresholds"),
        ({"thresholds": "high"}, "thresholds"),
        ({"taxonomy": [{"name": "Ring!", "group": "", "definition": ""}] * 3}, "taxonomy"),
        ({"taxonomy": 3}, "taxonomy"),
        ({"preparation": {"grid": 256}}, "preparation"),
        ({"preparation": Preparation().to_dict() | {"grid": 0}}, "grid is 0"),
        ({"preparation": Preparation().to_dict() | {"grid": "256"}}, "grid is '256'"),
        ({"preparation": Preparation().to_dict() | {"log_scale": float("nan")}}, "log_scale"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tmp_path, changes, message):
    with pytest.raises(ModelError, match=message):
        ModelCard.load(write(tmp_path, FIELDS | changes))


@pytest.mark.parametrize("lacking", FIELDS)
def test_a_card_that_lacks_something_is_refused(tmp_path, lacking):
    with pytest.raises(ModelError, match=f"lacks {lacking}"):
        ModelCard.load(write(tmp_path, {name: value for name, value in FIELDS.items() if name != lacking}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("null", "not the fields of a card"),
        ("[1, 2]", "not the fields"),
        ('"card"', "not the fields"),
    ],
)
def test_what_is_no_card_is_refused(tmp_path, text, message):
    with pytest.raises(ModelError, match=message):
        ModelCard.load(write(tmp_path, text))


def test_a_directory_without_a_card_is_named(tmp_path):
    with pytest.raises(ModelError, match="card.json is missing: give a directory"):
        ModelCard.load(tmp_path)


def test_the_fingerprint_follows_network_tags_and_preparation_and_not_thresholds():
    found = {
        fingerprint(network, taxonomy, preparation)
        for network in (b"one", b"two")
        for taxonomy in (TAXONOMY, TAXONOMY.subset(["ring"]))
        for preparation in (Preparation(), Preparation(side=32))
    }
    assert len(found) == 8
