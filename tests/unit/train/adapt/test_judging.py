import numpy as np
import pytest

from bluesky_xtag.train.adapt.judging import choose, divide, entropy, errors, in_order, standard_error

SOURCES = np.array(list("aabbccdd"))
LABELS = np.array([1, 0] * 4, np.int8)[:, None]


def margins(*values):
    return np.array(values, float)[:, None]


def test_false_and_missed_tags_are_errors_and_uncertain_labels_are_not():
    wrong = errors(np.array([[2.0, -1.0, 0.0, -3.0, 5.0]]), np.array([[1, 1, 0, 0, -1]]))
    np.testing.assert_array_equal(wrong, [[False, True, True, False, False]])
    assert np.isnan(entropy(np.array([5.0]), np.array([-1])))[0]
    assert entropy(np.array([0.0]), np.array([1]))[0] == pytest.approx(np.log(2))


def test_the_standard_error_is_that_of_sources():
    values = np.array([1.0, 1, 0, 0, 1, 1, 0, 0])
    assert standard_error(values, SOURCES) == pytest.approx(np.sqrt(1 / 3) / 2)
    apart = standard_error(values, np.arange(8).astype(str))
    assert apart == pytest.approx(values.std(ddof=1) / np.sqrt(8)) and apart < standard_error(values, SOURCES)
    assert standard_error(values, np.repeat("a", 8)) == np.inf


def test_a_choice_that_makes_fewer_errors_is_taken():
    before, after = margins(1, 1, 1, 1, 1, 1, 1, 1), margins(1, -1, 1, -1, 1, -1, 1, -1)
    assert choose(np.array([before, after]), LABELS, SOURCES) == 1
    assert choose(np.array([after, before]), LABELS, SOURCES) == 0


def test_a_choice_with_as_many_errors_or_a_gain_of_one_source_only_is_not_taken():
    before = margins(1, -1, 1, -1, 1, -1, 1, 1)
    surer = 3 * margins(1, -1, 1, -1, 1, -1, 1, 1)
    assert choose(np.array([before, surer]), LABELS, SOURCES) == 0
    one = margins(0.9, -0.9, 0.9, -0.9, 0.9, -0.9, 1, -1)  # fewer errors, but worse on all other sources
    assert choose(np.array([before, one]), LABELS, SOURCES) == 0


def test_of_choices_with_as_few_errors_the_one_of_least_entropy_is_taken():
    before = margins(1, 1, 1, 1, 1, 1, 1, 1)
    right = margins(1, -1, 1, -1, 1, -1, 1, -1)
    assert choose(np.array([before, right, 2 * right, right / 2]), LABELS, SOURCES) == 2


def test_only_frames_of_one_fold_are_compared():
    truth = np.array([1, 0, 1, 0, -1])
    parts = [np.array([1, 1, 0, 0, 0], bool), np.array([0, 0, 1, 1, 1], bool)]
    # Each fold is in order, but the second has another offset.
    assert in_order(np.array([1.0, 0, -8, -9, 0]), truth, parts) == 1
    assert in_order(np.array([0.0, 1, -8, -8, 0]), truth, parts) == 0.25
    assert np.isnan(in_order(np.zeros(5), np.ones(5), parts))


def test_no_source_is_divided():
    sources = np.array([f"source {n % 17}" for n in range(50)])
    parts = divide(sources, 10)
    assert len(parts) == 10
    np.testing.assert_array_equal(sum(part.astype(int) for part in parts), 1)
    assert all(set(sources[part]).isdisjoint(sources[~part]) for part in parts)
    assert len(divide(np.array(list("aabb")), 10)) == 2
