import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluesky_xtag import Tagging
from bluesky_xtag.documents import Correction, FrameId, in_order, newest, overlay, verdicts
from bluesky_xtag.documents import columns as documents
from bluesky_xtag.model import DEFAULT_TAXONOMY

TAGS = DEFAULT_TAXONOMY.subset(["empty", "halo", "ring"])


def frame(event, key, seq_num, index):
    return FrameId("run", "", key, seq_num, index, event)


def table(*places, tags=("halo",), name="xtag"):
    """Rows of frames at (event, key, seq_num, index), all with the same tags."""
    taggings = [Tagging(frame(*place), status="ok", scores=(0.1, 0.8, 0.4), tags=tags) for place in places]
    rows = [documents.row(name, TAGS, tagging) for tagging in taggings]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="seq_num"))


def said(time, seq_num=1, *, event="e1", added=(), removed=(), by="ab", note=""):
    return Correction(frame(event, "det", seq_num, 0), tuple(added), tuple(removed), by, note, time, f"c{time}")


FRAMES = ("e1", "det", 1, 0), ("e2", "det", 2, 0)


def test_what_nobody_spoke_of_stays_the_models():
    shown = overlay(table(*FRAMES), [])
    assert list(shown["xtag_tags"]) == ["halo", "halo"]
    assert list(shown["xtag_decided_by"]) == ["model", "model"]


def test_a_correction_changes_tags_and_leaves_scores():
    before = table(*FRAMES)
    shown = overlay(before, [said(1, added=["ring"], removed=["halo"])])
    assert list(shown["xtag_tags"]) == ["ring", "halo"]
    assert list(shown["xtag_decided_by"]) == ["ab", "model"]
    np.testing.assert_array_equal(shown["xtag_p_halo"], [0.8, 0.8])
    assert list(before["xtag_tags"]) == ["halo", "halo"]


def test_of_each_tag_the_newest_word_counts_whatever_the_order_of_reading():
    words = [
        said(3, removed=["ring"], by="cd"),
        said(1, added=["ring", "empty"], by="ab", note="clear"),
        said(2, removed=["halo"], by="ef"),
    ]
    (verdict,) = verdicts([frame(*place) for place in FRAMES], words).values()
    assert verdict.truth == {"ring": False, "empty": True, "halo": False}
    assert verdict.by == "cd"
    shown = overlay(table(*FRAMES), words)
    assert shown["xtag_tags"][1] == "empty" and shown["xtag_decided_by"][1] == "cd"


def test_tags_stand_in_the_order_of_the_taxonomy_and_foreign_ones_last():
    shown = overlay(table(*FRAMES), [said(1, added=["ice", "empty", "ring"])])
    assert shown["xtag_tags"][1] == "empty halo ring ice"


def test_another_tagging_of_the_same_frames_shows_what_was_said_although_its_events_are_called_otherwise():
    replayed = table(("r1", "det", 1, 0), ("r2", "det", 2, 0), name="again")
    assert list(overlay(replayed, [said(1, 2, event="e2", added=["ring"])])["again_tags"]) == ["halo", "halo ring"]


def test_frames_of_two_streams_with_one_number_are_told_apart_by_their_event():
    both = table(("e1", "det", 1, 0), ("x1", "det", 1, 0))
    assert list(overlay(both, [said(1, event="x1", removed=["halo"])])["xtag_tags"]) == ["halo", ""]


def test_where_the_event_does_not_tell_nothing_is_guessed(caplog):
    both = table(("r1", "det", 1, 0), ("r2", "det", 1, 0))
    assert list(overlay(both, [said(1, removed=["halo"])])["xtag_tags"]) == ["halo", "halo"]
    assert "det, point 1, image 0" in caplog.text


# The order in which corrections count


def word(uid, time, *follows, **more):
    return replace(said(time, **more), correction=uid, follows=follows)


def uids(words):
    return [each.correction for each in words]


HISTORIES = {
    "a clock that is ahead": ([word("a", 3600), word("b", 10, "a")], "ab"),
    "a clock that is far behind, in the middle": ([word("a", 100), word("b", -1e9, "a"), word("c", 101, "b")], "abc"),
    "two at once, then one who saw both": (
        [word("a", 1), word("b", 900, "a"), word("c", 3, "a"), word("d", 4, "b", "c")],
        "acbd",
    ),
    "two at once at one time": ([word("a", 1), word("c", 2, "a"), word("b", 2, "a")], "abc"),
    "of earlier versions, by their times": ([word("b", 2), word("a", 1), word("c", 3)], "abc"),
    "a later one after those of earlier versions": ([word("a", 1), word("b", 9999), word("c", 5, "a", "b")], "abc"),
    "one that follows what is not there": ([word("a", 1, "gone"), word("b", 2, "a")], "ab"),
    "one that follows itself": ([word("a", 5, "a"), word("b", 2)], "ba"),
    "a circle": ([word("a", 2, "b"), word("b", 1, "a")], "ba"),
}


@pytest.mark.parametrize(("words", "order"), HISTORIES.values(), ids=HISTORIES)
def test_corrections_count_in_the_order_of_what_they_follow(words, order):
    for read in itertools.permutations(words):
        assert uids(in_order(read)) == list(order)


def test_a_later_word_counts_whatever_the_clocks_say():
    words = [word("a", 3600, added=["empty"]), word("b", 10, "a", removed=["empty"], by="cd")]
    shown = overlay(table(*FRAMES), words)
    assert list(shown["xtag_tags"]) == ["halo", "halo"] and shown["xtag_decided_by"][1] == "cd"


def test_frames_of_one_correction_stay_together():
    words = [
        word("b", 2, "a", seq_num=1),
        word("a", 9, seq_num=2),
        word("a", 9, seq_num=1),
        word("b", 2, "a", seq_num=2),
    ]
    assert uids(in_order(words)) == ["a", "a", "b", "b"]


def test_the_newest_are_those_that_nobody_follows():
    words = [word("a", 1), word("b", 2, "a"), word("c", 9, "a")]
    assert newest(words) == ("b", "c") and newest([]) == () and newest(words[:1]) == ("a",)


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.booleans()), min_size=1, max_size=12), st.randoms())
def test_whoever_saw_a_correction_comes_after_it(made, random):
    """Each is made after reading all, or all but the last, with any clock."""
    history = []
    for number, (time, blind) in enumerate(made):
        seen = history[:-1] if blind else history
        history.append(word(f"{number:02}", time, *newest(seen)))
    read = list(history)
    random.shuffle(read)
    order = uids(in_order(read))
    assert sorted(order) == uids(history)
    for number, (_, blind) in enumerate(made):
        seen = number - 1 if blind else number
        assert all(order.index(f"{earlier:02}") < order.index(f"{number:02}") for earlier in range(max(seen, 0)))


@pytest.mark.parametrize("follows", [None, "abc", 3, {"a": 1}])
def test_what_is_no_list_follows_nothing(follows):
    start = {"uid": "c", "time": 1, "original_run_uid": "r", "xtag": {"said": [said(1).to_dict()], "follows": follows}}
    (read,) = Correction.read(start)
    assert read.follows == ()
