import numpy as np
import pytest
from scipy.special import expit
from threadpoolctl import threadpool_limits

from bluesky_xtag.train.adapt import stages
from bluesky_xtag.train.adapt.judging import errors
from bluesky_xtag.train.adapt.last_layer import Examples
from bluesky_xtag.train.adapt.stages import labelled_enough, learn, validate

KNOWN = np.array([True] * 6)


@pytest.fixture(autouse=True)
def one_thread():
    """The products are small: threads for them only wait for each other."""
    with threadpool_limits(1):
        yield


def examples(number=48, shift=0.0, turned=False, sources=12, seed=0, tags=6):
    """Frames of random features; a tag holds by the sign of one of them, as the model says.

    With `shift` all its margins are too high; `turned`: another feature decides than the model says.
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(number, 2 * tags))
    margins = 4 * features[:, :tags]
    truth = 4 * features[:, tags:] if turned else margins
    labels = (rng.random(truth.shape) < expit(truth)).astype(np.int8)
    return Examples(features, margins + shift, labels, np.array([f"source {n % sources}" for n in range(number)]))


def wrong(frames, learned):
    return errors(learned(frames), frames.labels).sum(1).mean()


def test_a_model_that_is_right_is_left_as_it_is():
    found = [learn(examples(seed=seed), None, KNOWN) for seed in range(4)]
    untouched = [learned for learned in found if not learned.changed.any()]
    assert len(untouched) >= 3
    assert all(learned.stages(KNOWN) == ("before",) for learned in untouched)


def test_a_shifted_model_is_calibrated_and_its_weights_stay():
    frames, unseen = examples(shift=3.0), examples(shift=3.0, seed=1)
    learned = learn(frames, None, KNOWN)
    assert learned.stages(KNOWN) == ("before", "calibration") and not learned.weighed.any()
    assert wrong(unseen, learned) < 0.7 * errors(unseen.margins, unseen.labels).sum(1).mean()


def test_a_model_that_looks_at_the_wrong_features_gets_other_weights():
    frames, unseen = examples(120, turned=True), examples(turned=True, seed=1)
    learned = learn(frames, None, KNOWN)
    assert "head" in learned.stages(KNOWN) and learned.weighed.all()
    assert wrong(unseen, learned) < 0.6 * errors(unseen.margins, unseen.labels).sum(1).mean()
    assert not learn(frames, None, KNOWN, "calibration").weighed.any()


def test_simulated_frames_serve_in_the_last_stage_only():
    frames, replay = examples(turned=True), examples(200, turned=True, seed=5)
    held = learn(frames, replay, KNOWN)
    assert held.recipe.held and held.stages(KNOWN)[-1] == "network"
    assert not learn(frames, replay, KNOWN, "head").recipe.held
    assert not learn(frames, None, KNOWN).recipe.held


def test_a_new_tag_is_learned_and_others_do_not_depend_on_it():
    frames = examples(shift=3.0)
    frames.margins[:, 5] = 0  # new to the model
    known = np.arange(6) < 5
    learned = learn(frames, None, known)
    unseen = examples(shift=3.0, seed=1)
    unseen.margins[:, 5] = 0
    assert errors(learned(unseen), unseen.labels)[:, 5].mean() < 0.3
    alone = learn(frames.of_tags(known), None, known[known])
    np.testing.assert_allclose(learned(frames)[:, :5], alone(frames.of_tags(known)), atol=1e-3)
    assert learned.stages(known) == alone.stages(known[known])


def test_frames_of_one_source_are_never_fitted_to_and_scored_together(monkeypatch):
    frames, fitted, learned = examples(50, sources=17), [], learn(examples(), None, KNOWN, "before")
    monkeypatch.setattr(stages, "learn", lambda rest, *_: fitted.append(set(rest.sources)) or learned)
    validate(frames, None, KNOWN, "before")
    left_out = [set(frames.sources) - sources for sources in fitted]
    assert len(fitted) == stages.OUTER_FOLDS
    assert sorted(name for sources in left_out for name in sources) == sorted(set(frames.sources))


def test_held_out_margins_are_those_of_a_model_without_the_source():
    frames = examples(shift=4.0, sources=4)
    # A source that says the opposite of all others can be got right only by looking at it.
    odd = frames.sources == "source 0"
    frames.labels[odd] ^= 1
    wrongs = errors(validate(frames, None, KNOWN, "calibration")["calibration"], frames.labels)
    assert wrongs[odd].mean() > 0.6 and wrongs[~odd].mean() < 0.35


def test_a_stage_that_makes_more_errors_on_sources_not_seen_is_not_gone_through(monkeypatch):
    frames, real = examples(), stages.learn

    def spoilt(rest, replay, known, last):
        learned = real(rest, replay, known, "before")
        learned.calibration.offsets[:] = 9.0 * (last == "calibration")
        return learned

    monkeypatch.setattr(stages, "learn", spoilt)
    assert list(validate(frames, None, KNOWN)) == ["before"]


@pytest.mark.parametrize(("truth", "expected"), [([1, 1, -1], True), ([1, -1, -1], False), ([-1, 1, 1], False)])
def test_a_known_tag_needs_labels_of_two_sources(truth, expected):
    assert labelled_enough(np.array(truth)[:, None], np.array(["a", "b", "b"]))[0] == expected
