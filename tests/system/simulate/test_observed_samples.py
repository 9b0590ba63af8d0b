"""Samples with observed effects: off by default, finite, named by their numbers, and together with other forms."""

import numpy as np
import pytest

from bluesky_xtag.errors import XTagValueError
from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate import gallery
from bluesky_xtag.simulate.dataset import make_scene, prepare_scene, sample
from bluesky_xtag.simulate.observed_examples import observed_pairs
from bluesky_xtag.simulate.scene.observed import OBSERVED

NAMES = tuple(Preparation().shapes)
SHOWN = ("crossed_arms", "air_path", "flare")


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in NAMES)


@pytest.mark.parametrize("index", range(6))
def test_without_a_rate_samples_are_those_of_before_to_the_last_bit(index):
    inputs, labels = prepare_scene(make_scene(7, index), np.random.default_rng([7, index, 0, 2]))
    found, told = sample(7, index, observed=0.0)
    assert same(found, inputs)
    np.testing.assert_array_equal(told, labels)


@pytest.mark.parametrize(("forms", "frames"), [(0.0, 12), (1.0, 3)])
def test_samples_are_finite_and_named_by_their_numbers(forms, frames):
    changed = 0
    for index in range(frames):
        inputs, labels = sample(7, index, forms=forms, observed=1.0)
        assert all(np.isfinite(getattr(inputs, name)).all() for name in NAMES)
        again, told = sample(7, index, forms=forms, observed=1.0)
        assert same(inputs, again) and np.array_equal(labels, told)
        changed += not same(inputs, sample(7, index, forms=forms)[0])
    assert changed >= frames / 2


@pytest.fixture(scope="module")
def pairs():
    return observed_pairs(seed=1, effects=SHOWN)


def test_an_effect_that_is_not_known_is_named():
    with pytest.raises(XTagValueError, match="no observed effect fog; known: strip"):
        observed_pairs(effects=["fog"])


def test_each_effect_is_shown_beside_the_same_scene_without_it(pairs):
    assert [pair.effect.name for pair in pairs] == list(SHOWN)
    for pair in pairs:
        one, other = (np.nan_to_num(frame, nan=-1.0) for frame in (pair.plain, pair.changed))
        assert one.shape != other.shape or not np.array_equal(one, other), pair.effect.name
        assert max(pair.changed.shape) <= Preparation().grid


def test_the_picture_names_the_effects_only_when_it_is_asked_to(tmp_path, pairs, monkeypatch):
    monkeypatch.setattr(gallery, "tag_examples", lambda seed, draws: [])
    monkeypatch.setattr(gallery, "observed_pairs", lambda seed: pairs)
    texts = [
        gallery.draw_gallery(tmp_path / f"{observed}.svg", nuisances=(), observed=observed).read_text("utf-8")
        for observed in (False, True)
    ]
    for effect in (OBSERVED[name] for name in SHOWN):
        assert f"<!-- {effect.title}" not in texts[0] and f"<!-- {effect.title}" in texts[1]
    assert texts[1].count("<image ") == 2 * len(SHOWN)
