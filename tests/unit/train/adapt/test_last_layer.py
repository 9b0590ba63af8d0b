import numpy as np
import pytest
from scipy.special import expit

from bluesky_xtag.train.adapt.last_layer import Examples, Scaling, correct, enough


def examples(number=48, seed=0):
    """Frames with four features and two tags; the first is the opposite of its margin, the second is new."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(number, 4)) * [1, 5, 0.1, 2] + [0, 3, 0, 0]
    truth = features[:, 1] - 3
    labels = np.column_stack([rng.random(number) < expit(truth), features[:, 0] > 0]).astype(np.int8)
    sources = np.array([f"source {n % 8}" for n in range(number)])
    return Examples(features, np.column_stack([-truth, np.zeros(number)]), labels, sources)


def corrected(frames, delta):
    return frames.margins + frames.features @ delta[:-1] + delta[-1]


def wrong(margins, labels):
    return ((margins >= 0) != (labels == 1)).mean(0)


def test_what_is_learned_holds_for_other_frames():
    delta, unseen = correct(examples(), None, np.full(2, 0.1)), examples(seed=1)
    assert wrong(unseen.margins, unseen.labels)[0] > 0.6
    assert (wrong(corrected(unseen, delta), unseen.labels) < [0.3, 0.15]).all()


def test_an_infinite_strength_leaves_a_tag_as_it_is():
    delta = correct(examples(), None, np.array([np.inf, 0.3]))
    assert not delta[:, 0].any() and delta[:, 1].any()
    assert not correct(examples(), None, np.full(2, np.inf)).any()


def test_ignored_labels_change_nothing():
    frames = examples()
    frames.labels[:10, 0] = -1
    other = Examples(frames.features, frames.margins.copy(), frames.labels, frames.sources)
    other.margins[:10, 0] = 99
    strengths = np.array([0.3, np.inf])
    np.testing.assert_allclose(correct(frames, None, strengths), correct(other, None, strengths), atol=1e-6)


@pytest.mark.parametrize("number", [3, 48])  # fewer than features, where the problem is made smaller, and more
def test_the_correction_is_where_its_slope_is_zero(number):
    frames, strength = examples(number), 0.3
    delta = correct(frames, None, np.full(2, strength))
    scaling = Scaling.of(frames.features)
    scaled = scaling(frames.features)
    # The correction of the features as they are, brought back to that of scaled ones.
    kernel = delta[:-1] * scaling.spread[:, None]
    change = np.vstack([kernel, delta[-1] + scaling.centre @ delta[:-1]])
    slope = scaled.T @ (expit(corrected(frames, delta)) - frames.labels) + strength * change
    assert np.abs(change).max() > 0.1 and np.abs(slope).max() < 1e-2


def test_simulated_frames_hold_the_model_to_what_it_knew():
    wrong_ones, right = examples(), examples(seed=2)
    right.labels[:, 0] = right.margins[:, 0] > 0
    free, held = (correct(wrong_ones, replay, np.array([0.1, np.inf])) for replay in (None, right))
    assert np.abs(held).max() < 0.7 * np.abs(free).max()


@pytest.mark.parametrize(
    ("truth", "sources", "expected"),
    [
        ([1, 1, 1, 0, 0, 0], "abcabc", True),
        ([1, 1, 0, 0, 0, 0], "abcabc", False),
        ([1, 1, 1, 0, 0, 0], "aaaabc", False),
        ([1, 1, 1, -1, 0, 0], "abcabc", False),
    ],
)
def test_how_many_frames_are_enough(truth, sources, expected):
    assert enough(np.array(truth)[:, None], np.array(list(sources)))[0] == expected
