"""Samples in other forms: off by default, and labels follow from the photons."""

import numpy as np
import pytest

from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate.dataset import make_scene, prepare_scene, raw, sample

NAMES = tuple(Preparation().shapes)


@pytest.mark.parametrize("index", range(6))
def test_without_forms_samples_are_those_of_before_to_the_last_bit(index):
    inputs, labels = prepare_scene(make_scene(7, index), np.random.default_rng([7, index, 0, 2]))
    for forms in ({}, {"forms": 0.0}, {"forms": 1e-12}):
        found, told = sample(7, index, **forms)
        assert all(np.array_equal(getattr(found, name), getattr(inputs, name)) for name in NAMES)
        np.testing.assert_array_equal(told, labels)


@pytest.mark.parametrize("index", range(8))
def test_labels_follow_from_the_photons(index):
    _, labels, _ = raw(make_scene(7, index), np.random.default_rng(5))
    inputs, told = sample(7, index, forms=1.0)
    assert all(np.isfinite(getattr(inputs, name)).all() for name in NAMES)
    assert (told == labels).mean() > 0.9  # another exposure of the same scene
    again, _ = sample(7, index, forms=1.0)
    assert all(np.array_equal(getattr(inputs, name), getattr(again, name)) for name in NAMES)
