"""What people say of stored frames is kept beside the model's tags."""

import bluesky.plans as bp
import numpy as np
import pytest
from ophyd.sim import det1 as counter
from support.detectors import ArrayDetector, numbered

from bluesky_xtag import NoTagsError, XTagValueError
from bluesky_xtag.catalog import as_run
from bluesky_xtag.review import Words, correct, correct_all, corrections, export_labels, retract
from bluesky_xtag.search import read_corrections, tags


@pytest.fixture
def scan(RE, tag, catalog):
    """A function that takes a run of frames 1 to `points`, all tagged "ring", and returns it stored."""
    tag()

    def scan(points=3, shape=(32, 32)):
        (uid,) = RE(bp.count([ArrayDetector(numbered(shape), shape=shape)], points))
        return catalog[uid]

    return scan


@pytest.mark.parametrize("catalog", ["databroker.temp", "tiled sqlite"], indirect=True)
def test_corrected_tags_and_who_decided_are_shown_and_scores_stay(scan):
    run = scan()
    before = tags(run)
    assert list(before["xtag_tags"]) == ["ring"] * 3 and list(before["xtag_decided_by"]) == ["model"] * 3
    correct(run, 2, add=["empty"], remove=["ring"], by="ab", note="no beam")
    after = tags(run)
    assert list(after["xtag_tags"]) == ["ring", "empty", "ring"]
    assert list(after["xtag_decided_by"]) == ["model", "ab", "model"]
    assert list(after.columns) == list(before.columns)
    for column in ("xtag_p_ring", "xtag_p_empty", "xtag_latency", "time"):
        np.testing.assert_array_equal(after[column], before[column])
    own = tags(run, "own")
    assert list(own["xtag_tags"]) == ["ring"] * 3 and list(own["xtag_decided_by"]) == ["model"] * 3


def test_the_newest_word_counts_and_who_said_what_stays_readable(scan):
    run = scan()
    uids = [
        correct(run, 1, remove="ring", by="ab", note="I see none"),
        correct(run, 1, add="empty", by="cd"),
        correct(run, 1, add="ring", by="ef", note="faint"),
    ]
    assert tags(run)["xtag_tags"][1] == "empty ring"
    assert tags(run)["xtag_decided_by"][1] == "ef"
    told = corrections(run)
    assert list(told["by"]) == ["ab", "cd", "ef"] and told["time"].is_monotonic_increasing
    assert list(told["removed"]) == ["ring", "", ""] and list(told["added"]) == ["", "empty", "ring"]
    assert list(told["note"]) == ["I see none", "", "faint"] and list(told["correction"]) == uids
    assert set(told["seq_num"]) == {1} and set(told["key"]) == {"det"}


def test_the_stored_documents_tell_all_without_this_package(scan, catalog):
    run = scan()
    correction = catalog[correct(run, 3, remove=["ring"], by="ab", note="dark")]
    start = correction.start if hasattr(type(correction), "table") else correction.metadata["start"]
    assert start["purpose"] == "tags" and start["xtag"]["source"] == "human" and start["xtag"]["derived"] is True
    assert start["xtag"]["frames"] == 1 and start["xtag"]["count"] == {"empty": 0, "ring": 0}
    assert start["xtag"]["model"] == "counts"
    (row,) = tags(correction).to_dict("records")
    assert row["xtag_frame_seq_num"] == 3 and row["xtag_p_ring"] == 1.0
    assert (row["xtag_tags"], row["xtag_added"], row["xtag_removed"]) == ("", "", "ring")
    assert (row["xtag_by"], row["xtag_note"], row["xtag_decided_by"]) == ("ab", "dark", "ab")


def test_frames_are_named_by_row_or_by_point_and_image_one_or_many(scan):
    run = scan(points=2, shape=(2, 16, 16))
    table = tags(run)
    assert list(zip(table["xtag_frame_seq_num"], table["xtag_frame_index"], strict=True)) == [
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
    ]
    correct(run, (2, 0), remove=["ring"], by="ab")
    correct(run, [1, (1, 1), (1, 0)], add=["empty"], by="cd")
    assert list(tags(run)["xtag_tags"]) == ["empty ring", "empty ring", "", "ring"]
    assert len(corrections(run)) == 3


def test_confirming_says_that_all_the_rest_is_right(scan):
    run = scan()
    correct(run, 1, by="ab", confirm=True)
    correct(run, 2, add=["empty"], by="ab", confirm=True)
    told = corrections(run)
    assert list(told["added"]) == ["ring", "empty ring"] and list(told["removed"]) == ["empty", ""]
    assert list(tags(run)["xtag_decided_by"]) == ["ab", "ab", "model"]


def test_the_same_words_again_are_one_correction(scan):
    run = scan()
    first = correct(run, 1, remove=["ring"], by="ab")
    assert correct(run, 1, remove=["ring"], by="ab") == first
    assert correct(run, 1, add=["ring"], by="ab") != first
    assert correct(run, 1, remove=["ring"], by="ab") != first
    assert len(corrections(run)) == 3 and tags(run)["xtag_tags"][1] == ""


def test_a_correction_of_a_derived_run_is_one_of_its_original(scan, catalog):
    run = scan()
    derived = catalog[correct(run, 1, remove=["ring"], by="ab")]
    correct(derived, 2, remove=["ring"], by="ab")
    assert list(tags(run)["xtag_tags"]) == ["", "", "ring"]


@pytest.mark.parametrize(
    ("frame", "words", "message"),
    [
        (1, {"add": ["rign"]}, "no tag 'rign' in this run's tagging: did you mean ring"),
        (1, {"remove": ["spots"]}, "no tag 'spots' in this run's tagging: it has empty, ring"),
        (1, {"add": "ring", "remove": "empty, ring"}, "ring cannot be added and removed at once"),
        (1, {}, "nothing is said about the frame"),
        (1, {"add": "ring", "by": " "}, "does not say who corrects"),
        (1, {"add": "ring", "by": "model"}, "does not say who corrects"),
        (9, {"add": "ring"}, "has no row 9: its rows go from 1 to 3"),
        ((4, 0), {"add": "ring"}, "no frame of point 4, image 0: its points go from 1 to 3, its images from 0 to 0"),
        ("first", {"add": "ring"}, "'first' is not a frame"),
    ],
)
def test_what_does_not_fit_is_named(scan, frame, words, message):
    run = scan()
    with pytest.raises(XTagValueError, match=message):
        correct(run, frame, **({"by": "ab"} | words))
    assert corrections(run).empty


def test_frames_of_two_cameras_are_told_apart(RE, tag, catalog):
    tag()
    (uid,) = RE(bp.count([ArrayDetector(numbered(), name="a"), ArrayDetector(numbered(), name="b")], 1))
    with pytest.raises(XTagValueError, match=r"is several frames: name one, row 1 \(a\), row 2 \(b\)"):
        correct(catalog[uid], (1, 0), remove="ring", by="ab")
    correct(catalog[uid], 2, remove="ring", by="ab")
    assert list(tags(catalog[uid])["xtag_tags"]) == ["ring", ""]


def test_runs_without_tags_say_so(RE, catalog):
    (uid,) = RE(bp.count([counter], 1))
    with pytest.raises(NoTagsError, match=f"run {uid} has no stream 'tags'"):
        correct(catalog[uid], 1, add="ring", by="ab")


@pytest.mark.parametrize("catalog", ["databroker.temp", "tiled sqlite"], indirect=True)
def test_a_correction_that_is_taken_back_counts_no_more(scan, catalog, tmp_path):
    run = scan()
    first = correct(run, [1, 2], add="empty", by="ab")
    second = correct(run, 1, remove="ring", by="cd")
    back = retract(run, second, by="cd", note="the wrong key")
    assert retract(run, second, by="cd") == back  # once is enough
    assert list(tags(run)["xtag_tags"]) == ["empty ring", "empty ring", "ring"]
    assert list(tags(run)["xtag_decided_by"]) == ["ab", "ab", "model"]
    assert retract(run, first, by="ab")
    assert list(tags(run)["xtag_tags"]) == ["ring"] * 3 and set(tags(run)["xtag_decided_by"]) == {"model"}
    # The same words again are a new correction, not the one that was taken back.
    assert correct(run, 1, remove="ring", by="cd") != second
    assert list(tags(run)["xtag_tags"]) == ["", "ring", "ring"]
    assert len(corrections(run)) == 7  # nothing is removed
    done = export_labels(catalog, tmp_path / "labels.h5", run)
    assert (done.frames, done.labels, dict(done.unreadable)) == (1, 1, {})


def test_a_correction_that_is_not_there_cannot_be_taken_back(scan):
    run = scan()
    with pytest.raises(XTagValueError, match="has no correction 'abc'"):
        retract(run, "abc", by="ab")
    back = retract(run, correct(run, 1, remove="ring", by="ab"), by="ab")
    with pytest.raises(XTagValueError, match="has no correction"):
        retract(run, back, by="ab")


@pytest.mark.parametrize("catalog", ["databroker.temp", "tiled sqlite"], indirect=True)
def test_a_request_that_is_made_again_is_stored_once_whatever_was_said_meanwhile(scan):
    run = scan()
    first = correct(run, 1, remove="ring", by="ab", request="a1")
    correct(run, 1, add="ring", by="cd")
    assert correct(run, 1, remove="ring", by="ab", request="a1") == first
    assert tags(run)["xtag_tags"][1] == "ring" and len(corrections(run)) == 2
    assert correct(run, 1, remove="ring", by="ab", request="a2") != first
    other = scan()
    assert correct(other, 1, remove="ring", by="ab", request="a1") != first


def test_many_corrections_are_stored_together_each_once_and_each_can_be_taken_back(scan):
    run = scan(points=5)
    words = [
        Words([1], remove="ring", by="ab", request="a"),
        Words([2, 3], add="empty", by="cd", note="dark", request="b"),
        Words([4], confirm=True, by="ab", request="c"),
        Words([9], add="empty", by="ab", request="d"),
    ]
    problems, state = correct_all(run, words)
    history = list(state.history)
    assert [bool(each) for each in problems] == [False, False, False, True] and "no row 9" in problems[3]
    assert len(history) == 4 and len({each.correction for each in history}) == 1
    assert history == read_corrections(as_run(run))  # as somebody else finds it
    assert correct_all(run, words)[1].history == history  # asked again
    assert correct_all(state, words)[1].history == history
    assert list(tags(run)["xtag_tags"]) == ["", "empty ring", "empty ring", "ring", "ring"]
    assert list(tags(run)["xtag_decided_by"]) == ["ab", "cd", "cd", "ab", "model"]
    _, state = correct_all(state, [Words(by="cd", retracts="b", request="e")])
    assert state.history == read_corrections(as_run(run))
    assert list(tags(run)["xtag_tags"]) == ["", "ring", "ring", "ring", "ring"]
    assert list(tags(run)["xtag_decided_by"]) == ["ab", "model", "model", "ab", "model"]


def test_what_is_said_twice_of_a_frame_in_one_call_counts_in_its_order(scan):
    run = scan()
    words = [
        Words([1], remove="ring", by="ab", request="a"),
        Words([1], add="empty ring", by="ab", request="b"),
        Words(by="ab", retracts="b", request="c"),
        Words([2], remove="ring", by="ab", request="d"),
        Words([2], add="empty", by="ab", request="e"),
    ]
    assert correct_all(run, words)[0] == [""] * 5
    assert list(tags(run)["xtag_tags"]) == ["", "empty", "ring"]


def test_what_somebody_else_said_meanwhile_is_seen_by_who_goes_on(scan):
    run = scan()
    _, state = correct_all(run, [Words([1], remove="ring", by="ab", request="a")])
    correct(run, 1, add="ring empty", by="cd")
    _, state = correct_all(state, [Words([1], remove="empty", by="ab", request="b")])
    assert [each.by for each in state.history] == ["ab", "cd", "ab"]
    assert state.history == read_corrections(as_run(run)) and tags(run)["xtag_tags"][1] == "ring"
