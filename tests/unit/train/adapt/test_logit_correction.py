import numpy as np
import pytest

from bluesky_xtag.train.adapt import logit_correction as correction
from bluesky_xtag.train.adapt.logit_correction import Examples, correct, cross_validate, enough, entropy, learn
from bluesky_xtag.train.evaluate.metrics import average_precision

NOTHING = Examples(np.empty((0, 5)), np.empty((0, 2)), np.empty((0, 2), np.int8), np.empty(0, str))


def examples(number=48, right=True, sources=8, seed=0):
    """Frames with four features and two tags; the second tag, new to the model, is the sign of the first feature.

    The first tag holds as often as the model says, or as often as the model says that it does not.
    """
    rng = np.random.default_rng(seed)
    features = np.column_stack([rng.normal(size=(number, 4)) / 2, np.ones(number)])
    truth = 6 * features[:, 1]
    labels = np.column_stack([rng.random(number) < 1 / (1 + np.exp(-truth)), features[:, 0] > 0]).astype(np.int8)
    logits = np.column_stack([truth if right else -truth, np.zeros(number)])
    return Examples(features, logits, labels, np.array([f"source {n % sources}" for n in range(number)]))


def learned(frames):
    return learn(frames, NOTHING, np.array([True, False]), np.array([0.4, 0.5]))


def test_a_known_tag_that_is_right_is_mostly_left_as_it_is():
    kept = [found for found in (learned(examples(seed=seed)) for seed in range(6)) if found.strengths[0] == np.inf]
    assert len(kept) >= 4
    assert not any(found.delta[:, 0].any() for found in kept)
    assert all(found.thresholds[0] == 0.4 for found in kept)


def test_a_new_tag_is_learned():
    found, unseen = learned(examples()), examples(seed=1)
    assert average_precision(unseen.labels[:, 1], unseen.features @ found.delta[:, 1]) > 0.95


def test_a_known_tag_that_is_wrong_is_corrected():
    frames, unseen = examples(right=False), examples(right=False, seed=1)
    found = learned(frames)
    assert np.isfinite(found.strengths[0])
    corrected = unseen.logits + unseen.features @ found.delta
    assert average_precision(unseen.labels[:, 0], unseen.logits[:, 0]) < 0.5
    assert average_precision(unseen.labels[:, 0], corrected[:, 0]) > 0.8


def test_a_known_tag_with_too_few_frames_of_one_class_is_kept():
    frames = examples(right=False)
    frames.labels[:, 0] = 0
    frames.labels[:2, 0] = 1
    found = learned(frames)
    assert found.strengths[0] == np.inf and found.thresholds[0] == 0.4


def test_ignored_labels_change_nothing():
    frames = examples(right=False)
    frames.labels[:10, 0] = -1
    kept = frames.rows(np.arange(len(frames)) >= 10)
    strengths = np.array([0.3, np.inf])
    np.testing.assert_allclose(
        correct(frames, NOTHING, strengths), correct(kept, NOTHING, strengths), rtol=1e-3, atol=1e-4
    )
    assert np.isnan(entropy(frames.labels, frames.logits)[:10, 0]).all()


def test_the_correction_is_where_its_slope_is_zero():
    frames, strength = examples(right=False), 0.3
    delta = correct(frames, NOTHING, np.full(2, strength))
    scores = 1 / (1 + np.exp(-(frames.logits + frames.features @ delta)))
    slope = frames.features.T @ (scores - frames.labels) + strength * delta
    assert np.abs(slope).max() < 1e-2


def test_simulated_frames_hold_the_model_to_what_it_knew():
    wrong, right = examples(right=False), examples(right=False, seed=2)
    right.labels[:, 0] = right.logits[:, 0] > 0
    free, held = (correct(wrong, replay, np.array([0.1, np.inf])) for replay in (NOTHING, right))
    assert np.abs(held).max() < 0.7 * np.abs(free).max()


def test_frames_of_one_source_are_never_fitted_to_and_scored_together(monkeypatch):
    frames, fitted = examples(number=50, sources=17), []
    monkeypatch.setattr(correction, "learn", lambda rest, *_: fitted.append(set(rest.sources)) or learned(rest))
    cross_validate(frames, NOTHING, np.array([True, False]), np.array([0.4, 0.5]))
    left_out = [set(frames.sources) - sources for sources in fitted]
    assert len(fitted) == correction.OUTER_FOLDS
    assert sorted(name for sources in left_out for name in sources) == sorted(set(frames.sources))


def test_held_out_scores_are_those_of_a_model_without_the_source():
    frames = examples(sources=4)
    # A source that says the opposite of all others can be got right only by looking at it.
    odd = frames.sources == "source 0"
    frames.labels[odd, 1] ^= 1
    logits, _ = cross_validate(frames, NOTHING, np.array([True, False]), np.array([0.4, 0.5]))
    assert average_precision(frames.labels[odd, 1], logits[odd, 1]) < 0.6
    assert average_precision(frames.labels[~odd, 1], logits[~odd, 1]) > 0.8


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
