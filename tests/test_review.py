import numpy as np
import pytest

from bluesky_xtag.review import doubts, farthest_first


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
