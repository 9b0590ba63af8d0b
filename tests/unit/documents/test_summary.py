import inspect
import json
import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import CountsModel

from bluesky_xtag import DEFAULT_TAXONOMY, Tagging, XTagValueError
from bluesky_xtag.documents import FrameId, SummaryCounter, summarise
from bluesky_xtag.documents import columns as documents

MODEL = CountsModel()
CONFIGURATION = documents.configuration("cam", MODEL)


def table(*taggings):
    rows = [documents.row("cam", MODEL.taxonomy, tagging) for tagging in taggings]
    return pd.DataFrame(rows, columns=list(documents.data_keys("cam", MODEL.taxonomy)))


def frame(seq_num):
    return FrameId("run", "primary", "det", seq_num, 0, "uid")


def ok(seq_num, empty, ring):
    accepted = MODEL.taxonomy.accepted((empty, ring), MODEL.thresholds)
    return Tagging(frame(seq_num), "ok", (empty, ring), accepted)


def test_it_tells_the_largest_scores_and_how_many_frames_have_each_tag():
    late = Tagging(frame(4), "late")
    found = summarise(table(ok(1, 0.1, 0.6), ok(2, 0.7, 0.2), ok(3, 0.2, 0.9), late), CONFIGURATION)
    assert found == {
        "max_p": {"empty": 0.7, "ring": 0.9},
        "count": {"empty": 1, "ring": 2},
        "fraction": {"empty": 0.25, "ring": 0.5},
        "frames": 4,
        "failed": 1,
        "model": "counts",
        "model_version": "1",
        "model_sha256": "0" * 64,
        "name": "cam",
        "source": "live",
        "derived": False,
    }


@pytest.mark.parametrize("taggings", [(), (Tagging(FrameId("run", "primary", "det", 1, 0, "uid"), "unreadable"),)])
def test_without_scores_there_is_no_largest(taggings):
    found = summarise(table(*taggings), CONFIGURATION, source="replay", derived=True)
    assert found["max_p"] == {}
    assert found["count"] == {"empty": 0, "ring": 0}
    assert found["fraction"] == {"empty": 0.0, "ring": 0.0}
    assert found["frames"] == found["failed"] == len(taggings)
    assert (found["source"], found["derived"]) == ("replay", True)


def test_it_is_plain_json_with_floats_for_scores_and_without_nan():
    found = summarise(table(ok(1, 0.0, 1.0), Tagging(frame(2), "failed")), CONFIGURATION)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {type(score) for score in found["max_p"].values()} == {float}


def test_configuration_may_come_back_from_a_store_as_arrays():
    stored = CONFIGURATION | {"cam_taxonomy": np.array(["empty", "ring"])}
    assert summarise(table(ok(1, 0.1, 0.6)), stored)["max_p"] == {"empty": 0.1, "ring": 0.6}


def test_a_table_of_something_else_is_refused():
    with pytest.raises(XTagValueError, match="not rows of a tagger"):
        summarise(pd.DataFrame({"x": [1.0, math.nan]}), CONFIGURATION)


def test_tag_names_cannot_break_the_dotted_search_key():
    assert not any("." in name for name in DEFAULT_TAXONOMY.names)


# Counted as rows come

scores = st.floats(0, 1) | st.just(math.nan)
rows = st.lists(st.tuples(st.sampled_from(["ok", "ok", "late", "failed"]), scores, scores), max_size=30)


@given(rows)
def test_rows_counted_as_they_come_give_the_same_summary(rows):
    taggings = [
        ok(number, *found) if status == "ok" else Tagging(frame(number), status)
        for number, (status, *found) in enumerate(rows, 1)
    ]
    counter = SummaryCounter("cam")
    for number, tagging in enumerate(taggings, 1):
        counter.add(number, documents.row("cam", MODEL.taxonomy, tagging))
    assert counter.exact
    found, wanted = counter.summary(CONFIGURATION), summarise(table(*taggings), CONFIGURATION)
    assert found == wanted
    assert json.dumps(found) == json.dumps(wanted)


@pytest.mark.parametrize(
    ("numbers", "exact"), [([1, 2, 3], True), ([2, 5], True), ([1, 2, 2], False), ([1, 3, 2], False)]
)
def test_it_says_when_a_row_came_again(numbers, exact):
    counter = SummaryCounter("cam")
    for number in numbers:
        counter.add(number, documents.row("cam", MODEL.taxonomy, ok(number, 0.1, 0.2)))
    assert counter.exact is exact


def held_by_summaries():
    """Bytes that the module of summaries has allocated; threads of other tests allocate, too."""
    source = tracemalloc.Filter(True, inspect.getfile(SummaryCounter))
    traces = tracemalloc.take_snapshot().filter_traces([source])
    return sum(trace.size for trace in traces.traces)


def test_a_hundred_thousand_rows_cost_two_kilobytes():
    counter = SummaryCounter("cam")
    rows = [documents.row("cam", MODEL.taxonomy, ok(1, number / 100, 0.2)) for number in range(100)]
    tracemalloc.start()
    try:
        for number in range(1, 100_001):
            counter.add(number, rows[number % 100])
            if number == 1000:
                begun = held_by_summaries()
        ended = held_by_summaries()
    finally:
        tracemalloc.stop()
    assert 0 < begun and ended - begun < 2000
    assert counter.summary(CONFIGURATION)["frames"] == 100_000


def test_tags_that_the_model_does_not_have_are_left_out():
    counter = SummaryCounter("cam")
    counter.add(
        1, documents.row("cam", MODEL.taxonomy, ok(1, 0.1, 0.9)) | {"cam_tags": "ring foreign", "cam_p_foreign": 1}
    )
    assert counter.summary(CONFIGURATION)["count"] == {"empty": 0, "ring": 1}
    assert set(counter.summary(CONFIGURATION)["max_p"]) == {"empty", "ring"}
