import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluesky_xtag.train.evaluate.metrics import (
    average_precision,
    best_threshold,
    calibrate,
    calibration_error,
    decisions,
    mean_average_precision,
    precision_recall,
    reliability,
)


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


def test_decisions_by_hand():
    # Accepted: a hit, a miss, and one that does not count; left: one hit.
    labels, scores = np.array([1, 0, 1, -1, 0]), np.array([0.9, 0.8, 0.2, 0.9, 0.1])
    assert decisions(labels, scores, 0.8) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert decisions(labels, scores, 0.1) == pytest.approx((1 / 2, 1, 2 / 3))


def test_where_nothing_is_accepted_precision_is_unknown_and_f1_is_zero():
    precision, recall, f1 = decisions(np.array([1, 0]), np.array([0.2, 0.1]), 0.5)
    assert np.isnan(precision) and recall == 0 and f1 == 0


def test_calibration_error_by_hand():
    # Bin 0.2..0.3: mean score 0.25, one of two holds. Bin 0.9..1: mean 0.95, both hold. The last does not count.
    labels, scores = np.array([1, 0, 1, 1, -1]), np.array([0.24, 0.26, 0.9, 1.0, 0.5])
    assert calibration_error(labels, scores) == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)


def test_bins_hold_their_lower_edge_and_the_last_its_upper_edge_too():
    mean, share, count = reliability(np.array([0, 1, 1]), np.array([0.0, 0.5, 1.0]))
    np.testing.assert_array_equal(count, [1, 0, 0, 0, 0, 1, 0, 0, 0, 1])
    np.testing.assert_array_equal(mean[count > 0], [0, 0.5, 1])
    np.testing.assert_array_equal(share[count > 0], [0, 1, 1])
    assert np.isnan(mean[count == 0]).all()


def test_scores_that_are_probabilities_are_calibrated_and_overconfident_ones_are_not():
    rng = np.random.default_rng(3)
    probability = rng.random(200_000)
    labels = (rng.random(probability.size) < probability).astype(int)
    assert calibration_error(labels, probability) < 0.005
    # Said 0 or 1 where 0.25 and 0.75 are right on average: wrong by a quarter everywhere.
    assert calibration_error(labels, (probability > 0.5).astype(float)) == pytest.approx(0.25, abs=0.005)


def test_without_certain_labels_there_is_no_calibration_error():
    assert np.isnan(calibration_error(np.array([-1, -1]), np.array([0.1, 0.2])))


def test_figures_equal_those_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 500)
    scores = np.round(0.3 * labels + 0.7 * rng.random(500), 2)  # with ties
    assert average_precision(labels, scores) == pytest.approx(reference.average_precision_score(labels, scores))
    expected = reference.precision_recall_fscore_support(labels, scores >= 0.6, average="binary")[:3]
    assert decisions(labels, scores, 0.6) == pytest.approx(expected)
    precision, recall, _ = reference.precision_recall_curve(labels, scores)
    ours = precision_recall(labels, scores)
    np.testing.assert_allclose(ours[0], precision[-2::-1])
    np.testing.assert_allclose(ours[1], recall[-2::-1])
