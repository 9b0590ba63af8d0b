"""Frames to look at, and the picture that is made of them."""

import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate import NUISANCES, TAGS, gallery
from bluesky_xtag.simulate.examples import nuisance_pairs, tag_examples


@pytest.fixture(scope="module")
def examples():
    return tag_examples(seed=3, draws=60)


def test_each_tag_has_a_frame_in_which_it_holds(examples):
    assert [example.tag for example in examples] == list(TAGS.tags)
    for example in examples:
        assert example.tag.name in example.tags
        assert max(example.frame.shape) <= Preparation().grid
        assert np.isfinite(example.frame).any()


def test_no_frame_is_shown_twice(examples):
    assert len({example.frame.tobytes() for example in examples}) == len(examples)


def test_gaps_take_their_share_of_the_same_scene():
    (pair,) = nuisance_pairs(seed=0, nuisances=["gaps"])
    assert pair.nuisance.name == "gaps" and np.isfinite(pair.clean).all()
    gaps = np.isnan(pair.spoiled)
    assert np.mean(gaps) == pytest.approx(pair.nuisance.levels[-1], abs=0.03)
    clean, spoiled = pair.clean[~gaps], pair.spoiled[~gaps]
    assert np.corrcoef(np.log1p(clean), np.log1p(spoiled))[0, 1] > 0.95


def test_the_centre_that_is_told_moves_and_goes():
    wrong, untold = nuisance_pairs(seed=0, nuisances=["centre_unknown", "centre_error"])
    assert np.array_equal(wrong.clean, wrong.spoiled)
    (x, y), (moved_x, moved_y) = wrong.centres
    assert 5 < np.hypot(moved_x - x, moved_y - y) < 16
    assert untold.centres[0] and untold.centres[1] is None


def test_a_nuisance_that_is_not_known_is_named():
    with pytest.raises(XTagValueError, match="no nuisance fog; known: exposure"):
        nuisance_pairs(nuisances=["fog"])


def test_the_picture_names_every_tag_and_the_nuisances(tmp_path, examples, monkeypatch):
    monkeypatch.setattr(gallery, "tag_examples", lambda seed, draws: examples)  # which take half a minute
    shown = ["exposure", "mask_wrong", "centre_unknown"]
    text = gallery.draw_gallery(tmp_path / "gallery.svg", seed=0, nuisances=shown).read_text("utf-8")
    for words in (*TAGS.names, *(NUISANCES[name].title for name in shown), "no → yes", "3 nuisances"):
        assert f"<!-- {words}" in text, words
    assert text.count("<image ") == len(TAGS) + 2 * len(shown)


@pytest.mark.parametrize(
    ("name", "nuisances", "remedy"),
    [
        ("gallery.foo", None, "choose one of .*png"),
        ("nowhere/gallery.png", None, "make it first"),
        ("gallery.png", ["fog"], "no nuisance fog; known: exposure"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_simulated(tmp_path, name, nuisances, remedy):
    with pytest.raises(XTagValueError, match=remedy):
        gallery.draw_gallery(tmp_path / name, nuisances=nuisances)
    assert not list(tmp_path.iterdir())
