"""What strangers wrote into start documents is checked, or it is nothing."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strangers import SUMMARY, WORD, arbitrary, mutated_said, mutated_summaries, start_of

from bluesky_xtag.documents import began, read_said, read_summary


def test_a_summary_is_read_as_it_was_written():
    assert read_summary(start_of(SUMMARY)) == SUMMARY
    assert read_summary(json.loads(json.dumps(start_of(SUMMARY)))) == SUMMARY
    assert read_summary({"uid": "a"}) is None


WRONG = {
    "xtag": ["mine", None, 3, [], {}, True],
    "max_p": ["high", {"ring": "high"}, {"ring": 2.0}, {"ring": math.nan}, {"ring": True}, {"ring": -1}, [0.5], None],
    "count": ["few", {"ring": 1.5}, {"ring": -1}, {"ring": None}, {"ring": False}, 3],
    "fraction": [{"ring": 1.1}, {"ring": "all"}, None],
    "frames": [3.5, -1, "3", None, True, [3]],
    "failed": [-1, "none", math.inf],
    "model": [None, 3, ["counts"]],
    "model_version": [1, 1.0, None],
    "model_sha256": ["", "0" * 63, "g" * 64, 0, None, "0" * 65],
    "name": [None, 3],
    "source": [3, "stranger", None, [], {}],
    "derived": ["yes", 1, None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_entry_makes_it_none_and_is_warned_of_by_uid(name, value, caplog):
    start = {**start_of(SUMMARY), "uid": f"{name} {value!r}"}
    start["xtag"] = value if name == "xtag" else {**SUMMARY, name: value}
    assert read_summary(start) is None
    assert read_summary(start) is None
    (record,) = caplog.records
    assert f"Run {name} {value!r} is passed over" in record.getMessage()
    assert name in record.getMessage()


TOLD_ELSEWHERE = {"fraction", "model", "model_version", "name"}


@pytest.mark.parametrize("name", [name for name in SUMMARY if name not in TOLD_ELSEWHERE])
def test_a_missing_entry_makes_it_none(name):
    assert read_summary(start_of({key: value for key, value in SUMMARY.items() if key != name})) is None


def test_fractions_and_names_may_be_missing():
    found = read_summary(start_of({key: value for key, value in SUMMARY.items() if key not in TOLD_ELSEWHERE}))
    assert found is not None
    assert found == {**SUMMARY, "model": "", "model_version": "", "name": "xtag"}


@given(arbitrary)
def test_whatever_the_key_holds(value):
    found = read_summary({"uid": "x", "xtag": value})
    assert found is None or found["model_sha256"]


@given(mutated_summaries)
def test_whatever_was_changed_in_a_summary(summary):
    found = read_summary(start_of(summary))
    if found is not None:
        assert all(0 <= score <= 1 for score in found["max_p"].values())
        assert all(isinstance(count, int) for count in found["count"].values())
        assert found["source"] in ("live", "replay", "human")
        assert isinstance(found["derived"], bool)


@given(mutated_said)
def test_whatever_was_changed_in_a_correction(said):
    for each in read_said(start_of({**SUMMARY, "source": "human", "said": said})):
        assert all(isinstance(tag, str) and tag for tag in (*each.added, *each.removed))
        assert isinstance(each.frame.seq_num, int) and each.by.strip()


@pytest.mark.parametrize(
    "said",
    [
        "it is a ring",
        [],
        [{}],
        ["ring"],
        [None],
        {"event": "e1"},
        [WORD | {"seq_num": "first"}],
        [WORD | {"seq_num": 1.0}],
        [WORD | {"index": True}],
        [WORD | {"index": -1}],
        [WORD | {"added": [3, None]}],
        [WORD | {"added": "ring"}],
        [WORD | {"added": ["two words"]}],
        [WORD | {"added": [""]}],
        [WORD | {"by": "model"}],
        [WORD | {"by": " "}],
        [WORD | {"by": None}],
        [WORD | {"note": 3}],
        [WORD, WORD | {"key": None}],
    ],
)
def test_a_correction_that_is_none_is_passed_over_as_a_whole(said, caplog):
    start = {**start_of({**SUMMARY, "source": "human", "said": said}), "uid": f"correction {said!r}"}
    assert read_said(start) == []
    assert "what it says to correct cannot be used" in caplog.text


def test_a_correction_without_a_time_is_passed_over():
    good = start_of({**SUMMARY, "source": "human", "said": [WORD]})
    assert len(read_said(good)) == 1
    for time in ("now", None, math.nan, True, 10**400, math.inf):
        assert read_said({**good, "time": time}) == []
    for missing in ("time", "uid", "original_run_uid"):
        assert read_said({key: value for key, value in good.items() if key != missing}) == []


def test_numbers_beyond_all_limits_are_none():
    assert began({"time": 10**400}) == began({"time": math.inf}) == began({}) == 0.0
    assert read_summary(start_of({**SUMMARY, "max_p": {"ring": 10**400}})) is None


@given(st.dictionaries(st.just("time"), arbitrary))
def test_when_a_run_began_is_always_a_number(start):
    assert math.isfinite(began(start))
