import numpy as np
from scipy.special import expit

from bluesky_xtag.train.adapt.calibration import fit_calibration


def frames(number, offsets, seed=0):
    """Margins that are too high by `offsets`, and labels drawn from the right ones."""
    rng = np.random.default_rng(seed)
    right = rng.normal(0, 3, (number, len(offsets)))
    return right + offsets, (rng.random(right.shape) < expit(right)).astype(np.int8)


def test_slopes_and_offsets_are_those_of_the_frames_if_there_are_many():
    margins, labels = frames(4000, (2.0, 0.0))
    found = fit_calibration(3 * margins, labels, 1.0)
    np.testing.assert_allclose(found.slopes, 1 / 3, atol=0.05)
    np.testing.assert_allclose(found.offsets, (-2.0, 0.0), atol=0.25)


def test_a_stronger_penalty_stays_nearer_to_the_model():
    margins, labels = frames(30, (3.0,))
    away = [-fit_calibration(margins, labels, strength).offsets[0] for strength in (30, 3, 0.3)]
    assert 0 < away[0] < away[1] < away[2]
    none = fit_calibration(margins, labels, np.inf)
    np.testing.assert_array_equal(none(margins), margins)


def test_tags_without_labels_stay_and_rare_ones_follow_what_is_common():
    margins, labels = frames(60, (2.0,) * 12)
    labels[:, 0] = -1
    labels[4:, 1] = -1
    found = fit_calibration(margins, labels, 3.0)
    assert (found.slopes[0], found.offsets[0]) == (1, 0)
    alone = fit_calibration(margins[:, 1:2], labels[:, 1:2], 3.0)
    assert found.offsets[1] < -1 < alone.offsets[0]


def test_ignored_labels_change_nothing():
    margins, labels = frames(40, (1.0, 1.0))
    labels[:10] = -1
    one, other = fit_calibration(margins, labels, 1.0), fit_calibration(margins[10:], labels[10:], 1.0)
    np.testing.assert_allclose(one.slopes, other.slopes, atol=1e-3)
    np.testing.assert_allclose(one.offsets, other.offsets, atol=1e-3)


def test_scores_keep_their_order_even_where_they_are_upside_down():
    margins, labels = frames(200, (0.0,))
    found = fit_calibration(-margins, labels, 0.01)
    assert found.slopes[0] > 0
