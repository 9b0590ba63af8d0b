"""Forms of simulated frames: whatever their numbers, photons and gaps are those of the frame."""

import numpy as np
import pytest

from bluesky_xtag.model import Preparation
from bluesky_xtag.simulate.forms import FORMS, draw_form

prepare = Preparation()


def frame():
    """A ring, gaps, and saturated pixels whose light spreads."""
    y, x = np.indices((256, 256))
    light = 40 * np.exp(-0.5 * ((np.hypot(x - 128, y - 128) - 80) / 3) ** 2) + 3
    light += 20_000 * np.exp(-0.5 * (np.hypot(x - 60, y - 60) / 6) ** 2)
    image = np.minimum(np.random.default_rng(1).poisson(light), 4095).astype(np.int32)
    image[120:126] = -1
    return image


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("form", FORMS)
def test_forms_hold_the_same_photons_and_gaps(form, seed):
    image = frame()
    plain = prepare.bin(image)
    drawn = draw_form(image, 4095, np.random.default_rng(seed), form)
    assert drawn.shape == image.shape and drawn.dtype != np.int32
    binned = prepare.bin(drawn)
    np.testing.assert_allclose(binned.valid, plain.valid, atol=0.3)
    usable = (plain.valid > 0.9) & (binned.valid > 0.9)
    found, wanted = binned.counts[usable], plain.counts[usable]
    found = found - (np.median(found) - np.median(wanted))  # the pedestal of noise about zero
    assert np.corrcoef(found, wanted)[0, 1] > 0.9
    assert binned.at_limit > 0.8 * plain.at_limit > 20 or form in (
        "without dark",
        "divided",
        "normalised",
        "integrated",
    )


def test_every_form_is_drawn():
    rng, image = np.random.default_rng(3), frame()
    kinds = {draw_form(image, 4095, rng).dtype.name for _ in range(200)}
    assert kinds == {"uint32", "int64", "float32", "float64"}
