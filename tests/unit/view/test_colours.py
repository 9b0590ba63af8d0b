import re

from bluesky_xtag import DEFAULT_TAXONOMY
from bluesky_xtag.view import colour, most_specific
from bluesky_xtag.view.colours import group, order_tags


def test_every_tag_has_a_colour():
    assert all(re.fullmatch("#[0-9a-f]{6}", colour(tag)) for tag in (*DEFAULT_TAXONOMY.names, "of_my_own"))


def test_tags_of_the_sample_have_colours_of_their_own():
    of_sample = [tag.name for tag in DEFAULT_TAXONOMY.tags if tag.group != "instrument"]
    assert len({colour(tag) for tag in of_sample}) == len(of_sample)


def test_the_most_specific_tag_is_the_same_in_any_order():
    assert most_specific(["beamstop", "halo", "spots"]) == most_specific(["spots", "halo", "beamstop"]) == "spots"
    assert most_specific(["detector_gaps", "ring", "higher_orders"]) == "ring"


def test_the_instrument_says_nothing_about_the_sample():
    assert most_specific(["beamstop", "detector_gaps"]) is None
    assert group("beamstop") == "instrument"
    assert group("of_my_own") == ""


def test_tags_on_structure_are_shown_before_those_on_intensity_and_instrument():
    scores = {"beamstop": 0.9, "strong_scattering": 1.0, "halo": 0.2, "ring": 0.8}
    assert order_tags(scores) == ["ring", "halo", "strong_scattering", "beamstop"]
