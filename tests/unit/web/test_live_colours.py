"""Colours that lie next to each other on the live map can be told apart, whatever colours a person sees."""

import itertools

import cv2
import numpy as np
import pytest

from bluesky_xtag import DEFAULT_TAXONOMY
from bluesky_xtag.review import assign_keys
from bluesky_xtag.web.live_colours import live_colour

# What is left of linear red, green and blue: Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009) 1291, severity 1.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
}
MAIN = [tag.name for tag in DEFAULT_TAXONOMY.tags if tag.rank]  # what a place can be coloured by


def lab(colour, sight):
    rgb = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = (SIGHT[sight] @ linear).clip(0, 1)
    shown = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    return cv2.cvtColor(shown.astype(np.float32)[None, None], cv2.COLOR_RGB2LAB)[0, 0]


@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_colours_differ(sight):
    for one, other in itertools.combinations(MAIN, 2):
        apart = np.linalg.norm(lab(live_colour(one), sight) - lab(live_colour(other), sight))
        assert apart >= 15, (one, other)


def test_each_tag_also_has_a_sign_of_its_own():
    signs = [assign_keys(DEFAULT_TAXONOMY.names)[name] for name in MAIN]
    assert len(set(signs)) == len(MAIN) and all(len(sign) == 1 for sign in signs)


def test_a_tag_of_somebody_else_is_grey():
    assert live_colour("of_somebody_else") == "#7a828e"
