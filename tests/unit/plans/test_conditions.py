"""Conditions: what holds for which frame, and what a user is told who wrote something else."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluesky_xtag.documents import TagRow
from bluesky_xtag.errors import ConditionError, XTagError
from bluesky_xtag.plans import condition
from bluesky_xtag.plans.conditions import Condition, parse

TAGS = ("empty", "ring", "halo", "spots", "weak_scattering", "saturated")


def seen(status="ok", accepted=(), **scores):
    return TagRow(1, status, tuple(accepted), dict.fromkeys(TAGS, 0.0) | scores)


FRAME = seen(accepted=("ring", "spots"), ring=0.95, halo=0.3, spots=0.6)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("ring", True),
        ("halo", False),
        ("not halo", True),
        ("not not ring", True),
        ("ring>0.9", True),
        ("ring > 0.95", False),
        ("ring >= 0.95", True),
        ("ring<0.95", False),
        ("ring<=0.95", True),
        ("0.9<ring", True),
        ("ring > halo", True),
        ("ring > .9", True),
        ("ring > 9e-1", True),
        ("ring and halo", False),
        ("ring or halo", True),
        ("halo and halo or ring", True),
        ("halo and (halo or ring)", False),
        ("not (halo or empty)", True),
        ("not halo and not saturated", True),
        ("not weak_scattering and not saturated", True),
        ("\n ring\tand spots ", True),
    ],
)
def test_condition_holds(text, holds):
    found = parse(text, TAGS)
    assert found.holds(FRAME) is holds
    assert found.frames == 1


@pytest.mark.parametrize("text", ["ring>0.9 for 3", "ring > 0.9 for 3 frames", "(ring>0.9) for 3"])
def test_frames_in_a_row(text):
    assert parse(text, TAGS).frames == 3
    assert parse("ring for 1 frame", TAGS).frames == 1


def test_a_condition_names_its_tags():
    found = parse("ring>0.9 and not halo or ring", TAGS)
    assert found.tags == ("ring", "halo")
    assert found.in_words(FRAME) == "ring>0.9 and not halo or ring (ring 0.95, halo 0.30)"


@pytest.mark.parametrize("status", ["late", "dropped", "unreadable", "failed", ""])
def test_no_condition_holds_for_a_frame_without_tags(status):
    assert not parse("not ring", TAGS).holds(seen(status, ring=math.nan))


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("", 0, "expected a tag"),
        ("rnig>0.9", 0, "there is no tag 'rnig'; did you mean ring?"),
        ("ring and hallo", 9, "did you mean halo?"),
        ("qqqq", 0, "known tags: empty, ring, halo"),
        ("ring >", 6, "expected a tag, a number"),
        ("ring = 1", 5, "expected 'and', 'or', 'for' or the end"),
        ("ring == 1", 5, "expected 'and', 'or', 'for' or the end"),
        ("(ring or halo", 13, "expected ')'"),
        ("ring halo", 5, "expected 'and', 'or', 'for' or the end"),
        ("0.9", 3, "a number alone is not a condition"),
        ("0.2 < ring < 0.8", 11, "write 0.2 < ring and ring < 0.8"),
        ("ring for", 8, "a whole number of frames"),
        ("ring for 0", 9, "a whole number of frames"),
        ("ring for 1.5", 9, "a whole number of frames"),
        ("ring for 3 and halo", 11, "expected 'and', 'or', 'for' or the end"),
        ("and ring", 0, "expected a tag"),
        ("not", 3, "expected a tag"),
        ("__import__('os')", 0, "there is no tag '__import__'"),
        ("ring.real > 0", 4, "expected 'and'"),
        ("ring; halo", 4, "expected 'and'"),
    ],
)
def test_what_is_not_understood_is_shown(text, at, says):
    with pytest.raises(ConditionError) as caught:
        parse(text, TAGS)
    message, shown, mark = str(caught.value).split("\n")
    assert says in message
    assert shown == f"    {text}"
    assert mark.index("^") == 4 + at
    assert isinstance(caught.value, ValueError)


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from([*TAGS, "and", "not", "for", "3", "0.5", ">", "(", ")"])).map(" ".join)
)
def test_any_text_is_a_condition_or_an_error_of_ours(text):
    try:
        parse(text, TAGS).holds(FRAME)
    except XTagError:
        pass


def test_a_condition_has_an_end():
    with pytest.raises(ConditionError, match="too long"):
        parse("(" * 5000 + "ring" + ")" * 5000, TAGS)


def test_a_callable_is_a_condition():
    def bright(seen):
        return seen.scores["ring"] > 0.5

    found = condition(bright, TAGS)
    assert (found.text, found.parsed, found.frames) == ("bright", False, 1)
    assert found.holds(FRAME)
    assert condition(found, TAGS) is found
    assert isinstance(condition("ring", TAGS), Condition)


def test_anything_else_is_refused():
    with pytest.raises(ConditionError, match="3 is not a condition"):
        condition(3, TAGS)


def test_several_frames_in_a_row_make_no_sense_where_each_is_judged_by_itself():
    with pytest.raises(ConditionError, match="leave out 'for 3'"):
        condition("ring for 3", TAGS, of_one_frame=True)
