import bluesky.plans as bp
import numpy as np
import pytest
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel
from support.retagged import tag_again

from bluesky_xtag import NoTagsError, XTagValueError
from bluesky_xtag.review import correct, draw_review, review, review_table
from bluesky_xtag.review.propose import doubts, farthest_first


def test_doubt_is_the_expected_number_of_wrong_tags():
    scores = np.array([[0.9, 0.1, np.nan], [0.4, 0.6, 0.0]])
    accepted = np.array([[True, False, False], [True, False, False]])
    np.testing.assert_allclose(doubts(scores, accepted), [[0.1, 0.1, 0], [0.6, 0.6, 0]])


def test_the_most_novel_is_farthest_from_what_is_known_and_from_those_before():
    vectors = np.array([[0.0, 0], [0, 0.1], [1, 1], [1, 1.01], [1, 0]])
    order, distances = farthest_first(vectors, np.array([[0.0, 0]]), 3)
    assert list(order) == [3, 4, 0] or list(order) == [3, 4, 1]
    assert list(order)[2] == 1 and distances[2] == pytest.approx(0.1)
    assert (np.diff(distances) <= 0).all()


def test_all_frames_alike_are_proposed_once_each():
    order, distances = farthest_first(np.zeros((3, 2)), np.empty((0, 2)), 10)
    assert sorted(order) == [0, 1, 2] and not distances[0]


@pytest.fixture
def run(RE, tag, catalog):
    """A run of five frames whose scores of "ring" are 0.85, 0.6, 0.45, 0.1 and 0.1, by another model."""
    tag()
    (uid,) = RE(bp.count([ArrayDetector(numbered())], 5))
    scores = [0.85, 0.6, 0.45, 0.1, 0.1]
    tag_again(catalog, catalog[uid], CountsModel(), lambda row: (0.0, scores[row["xtag_frame_seq_num"] - 1]))
    return catalog[uid]


def test_the_least_certain_frames_come_first_and_decided_ones_never(run, catalog, tmp_path):
    proposed = review(catalog, 3, last=1)
    assert list(proposed["row"]) == [3, 2, 1]
    assert list(proposed["doubt"]) == pytest.approx([0.45, 0.4, 0.15])
    assert list(proposed["doubtful"]) == ["ring 0.45", "ring 0.60", "ring 0.85"]
    assert list(proposed["tags"]) == ["", "ring", "ring"]
    first = proposed.iloc[0]
    correct(catalog[first["run"]], int(first["row"]), add="ring", by="ab")
    after = review(catalog, 10, last=1)
    assert list(after["row"]) == [2, 1, 4, 5]
    draw_review(catalog, after, tmp_path / "review.png")
    assert (tmp_path / "review.png").stat().st_size > 10_000
    assert review_table(after).row_count == 4


@pytest.mark.parametrize("catalog", ["databroker.temp"], indirect=True)  # one of its own, since it looks at all
def test_novel_frames_are_unlike_what_was_decided_and_the_newest_were_tagged_last(run, catalog):
    with pytest.raises(NoTagsError, match="by the model 'cuonts': did you mean 'counts'"):
        review(catalog, model="cuonts")
    correct(run, 1, by="ab", confirm=True)
    novel = review(catalog, 2, "novel")
    assert list(novel["row"]) == [4, 3] and list(novel["novelty"]) == pytest.approx([0.75, 0.35])
    tag_again(catalog, run, CountsModel(), lambda row: (0.0, 1.0))
    assert list(review(catalog, 2, "newest", last=1)["doubt"]) == [0, 0]


@pytest.mark.parametrize("catalog", ["databroker.temp"], indirect=True)  # one of its own, since it looks at all
def test_what_cannot_be_reviewed_is_named(catalog):
    with pytest.raises(NoTagsError, match="none of the newest 100 runs has tags by the model 'latest'"):
        review(catalog)
    with pytest.raises(XTagValueError, match="order='chance' is not known: choose one of uncertain, novel, newest"):
        review(catalog, order="chance")
