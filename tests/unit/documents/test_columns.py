"""The shape of the stream "tags"."""

import math

from bluesky_xtag import DEFAULT_TAXONOMY
from bluesky_xtag.documents import STATUSES, FrameId, Tagging, data_keys, row

TAXONOMY = DEFAULT_TAXONOMY.subset(["empty", "ring"])
FRAME = FrameId("run", "primary", "det", 3, 0, "uid")
TAGGING = Tagging(FRAME, "ok", (0.1, 0.9), ("ring",), 0.02)


def test_row_has_a_scalar_for_every_data_key():
    keys = data_keys("xtag", TAXONOMY)
    values = row("xtag", TAXONOMY, TAGGING)
    assert list(values) == list(keys)
    types = {"number": float, "integer": int, "string": str}
    assert all(type(values[key]) is types[keys[key]["dtype"]] for key in keys)


def test_columns_are_named_after_the_tagger():
    assert row("waxs", TAXONOMY, TAGGING)["waxs_p_ring"] == 0.9


def test_scores_are_nan_unless_ok():
    for status in STATUSES[1:]:
        values = row("xtag", TAXONOMY, Tagging(FRAME, status))
        assert math.isnan(values["xtag_p_empty"]) and math.isnan(values["xtag_p_ring"])
        assert values["xtag_tags"] == ""
        assert values["xtag_status"] == status
