import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluesky_xtag.train.metrics import average_precision, best_threshold, calibrate, mean_average_precision


def test_average_precision_by_hand():
    # Ranked 1, 0, 1: precision 1 at recall 1/2, 2/3 at recall 1.
    assert average_precision(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7])) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_ignored_labels_do_not_count():
    labels, scores = np.array([1, 0, 1, -1, -1]), np.array([0.9, 0.8, 0.7, 1.0, 0.0])
    assert average_precision(labels, scores) == average_precision(labels[:3], scores[:3])


def test_equal_scores_are_worth_the_prevalence():
    assert average_precision(np.array([1, 0, 0, 0]), np.full(4, 0.5)) == 0.25


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], [-1, 1]])
def test_one_class_alone_has_no_average_precision(labels):
    assert np.isnan(average_precision(np.array(labels), np.array([0.1, 0.2])))


def test_tags_with_one_class_are_left_out_of_the_mean():
    labels = np.array([[1, 1], [0, 1], [0, 1], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.1, 0.2], [0.2, 0.3], [0.3, 0.4]])
    assert mean_average_precision(labels, scores) == (1.0, 0.25)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=60))
def test_average_precision_depends_on_the_order_only(pairs):
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    plain = average_precision(labels, np.round(scores, 3))
    cubed = average_precision(labels, np.round(scores, 3) ** 3)
    assert plain == pytest.approx(cubed, nan_ok=True)


def test_the_best_threshold_separates_what_can_be_separated():
    labels, scores = np.array([0, 0, 1, 1, -1]), np.array([0.1, 0.3, 0.6, 0.8, 0.4])
    assert 0.3 < best_threshold(labels, scores) <= 0.6


def test_calibration_undoes_a_known_distortion():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, 20_000)
    labels = (rng.random(z.size) < 1 / (1 + np.exp(-z))).astype(int)
    slope, offset = calibrate(labels, 3 * z + 1)
    assert slope == pytest.approx(1 / 3, rel=0.08)
    assert offset == pytest.approx(-1 / 3, abs=0.08)
