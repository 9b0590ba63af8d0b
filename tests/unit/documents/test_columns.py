"""The shape of the stream "tags"."""

import math
from dataclasses import replace

import pytest
from support.models import CountsModel

from bluesky_xtag import DEFAULT_TAXONOMY, XTagValueError
from bluesky_xtag.documents import (
    CONFIGURATION,
    CORRECTION,
    ROW,
    STATUSES,
    FrameId,
    Tagging,
    configuration,
    configuration_keys,
    correction_keys,
    data_keys,
    row,
    tagger_name,
)

TAXONOMY = DEFAULT_TAXONOMY.subset(["empty", "ring"])
FRAME = FrameId("run", "primary", "det", 3, 0, "uid")
TAGGING = Tagging(FRAME, "ok", (0.1, 0.9), ("ring",), 0.02)


def test_row_has_a_scalar_for_every_data_key():
    keys = data_keys("xtag", TAXONOMY)
    values = row("xtag", TAXONOMY, TAGGING)
    assert list(values) == list(keys)
    types = {"number": float, "integer": int, "string": str}
    assert all(type(values[key]) is types[keys[key]["dtype"]] for key in keys)


def test_graded_tags_have_a_strength_behind_the_scores():
    graded = TAXONOMY.grade(["ring"])
    keys, values = data_keys("xtag", graded), row("xtag", graded, replace(TAGGING, strengths=(1.5,)))
    assert list(keys)[:4] == ["xtag_p_empty", "xtag_p_ring", "xtag_s_ring", "xtag_tags"] == list(values)[:4]
    assert values["xtag_s_ring"] == 1.5 and keys["xtag_s_ring"]["dtype"] == "number"
    assert math.isnan(row("xtag", graded, Tagging(FRAME, "late"))["xtag_s_ring"])


def test_columns_are_named_after_the_tagger():
    assert row("waxs", TAXONOMY, TAGGING)["waxs_p_ring"] == 0.9


def test_scores_are_nan_unless_ok():
    for status in STATUSES[1:]:
        values = row("xtag", TAXONOMY, Tagging(FRAME, status))
        assert math.isnan(values["xtag_p_empty"]) and math.isnan(values["xtag_p_ring"])
        assert values["xtag_tags"] == ""
        assert values["xtag_status"] == status


def test_stored_columns_are_those_that_catalogues_hold():
    """What runs have been stored with: a change here makes old runs unreadable."""
    assert list(data_keys("xtag", TAXONOMY)) == [
        "xtag_p_empty",
        "xtag_p_ring",
        "xtag_tags",
        "xtag_status",
        "xtag_frame_event",
        "xtag_frame_key",
        "xtag_frame_seq_num",
        "xtag_frame_index",
        "xtag_latency",
        "xtag_device",
    ]
    more = list(correction_keys("xtag", TAXONOMY))[len(data_keys("xtag", TAXONOMY)) :]
    assert more == ["xtag_added", "xtag_removed", "xtag_by", "xtag_note"]
    assert data_keys("xtag", TAXONOMY)["xtag_latency"] == {
        "source": "bluesky_xtag:xtag",
        "dtype": "number",
        "shape": [],
        "dtype_numpy": "<f8",
        "units": "s",
    }
    assert "dtype_numpy" not in data_keys("xtag", TAXONOMY)["xtag_tags"]


def test_configuration_has_a_value_for_every_key():
    model = CountsModel()
    keys, values = configuration_keys("xtag", model.taxonomy), configuration("xtag", model)
    assert list(keys) == list(values) == [f"xtag_{each.suffix}" for each in CONFIGURATION]
    assert keys["xtag_taxonomy"]["shape"] == keys["xtag_thresholds"]["shape"] == [2]
    assert keys["xtag_taxonomy"]["dtype_numpy"] == "<U5" and values["xtag_thresholds"] == [0.5, 0.5]


def test_the_configuration_tells_how_often_the_process_was_replaced():
    model = CountsModel()
    assert configuration("xtag", model)["xtag_restarts"] == 0
    model.restarts = 3
    assert configuration("xtag", model)["xtag_restarts"] == 3


def test_every_column_says_what_it_means():
    assert all(each.meaning for each in (*ROW, *CORRECTION, *CONFIGURATION))


@pytest.mark.parametrize("name", ["xtag", "waxs_2", "a_frame"])
def test_the_tagger_is_known_by_its_columns(name):
    assert tagger_name(["time", *data_keys(name, TAXONOMY)]) == name


def test_columns_of_something_else_are_refused():
    with pytest.raises(XTagValueError, match="not rows of a tagger: .* among time, x"):
        tagger_name(["time", "x"])
