"""Tags and taxonomies."""

import pytest

from bluesky_xtag import DEFAULT_TAXONOMY, Tag, Taxonomy, XTagValueError


def test_default_taxonomy_has_22_tags_with_definitions():
    assert len(DEFAULT_TAXONOMY) == 22
    assert all(tag.definition for tag in DEFAULT_TAXONOMY.tags)


@pytest.mark.parametrize("name", ["Ring", "a.b", "two words", "", "1st"])
def test_names_that_would_break_columns_or_search_keys_are_refused(name):
    with pytest.raises(XTagValueError, match="not usable"):
        Tag(name, "peaks", "...")


def test_a_tag_can_be_there_only_once():
    ring = Tag("ring", "peaks", "...")
    with pytest.raises(XTagValueError, match="twice: ring"):
        Taxonomy((ring, ring))


def test_unknown_tag_names_the_known_ones():
    with pytest.raises(XTagValueError, match="known tags: .*halo"):
        DEFAULT_TAXONOMY.index("cat")


def test_subset_keeps_the_order_of_the_taxonomy():
    assert DEFAULT_TAXONOMY.subset(["ring", "empty"]).names == ("empty", "ring")


def test_accepted_tags_reach_their_thresholds():
    taxonomy = DEFAULT_TAXONOMY.subset(["empty", "halo", "ring"])
    assert taxonomy.accepted([0.5, 0.9, float("nan")], [0.5, 0.95, 0.1]) == ("empty",)
