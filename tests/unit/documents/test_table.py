import math

import pandas as pd
import pytest

from bluesky_xtag import DEFAULT_TAXONOMY, Tagging, XTagValueError
from bluesky_xtag.documents import FrameId, TagRow, TagTable, row, score_tags

TAGS = DEFAULT_TAXONOMY.subset(["empty", "ring", "symmetry_4"])
FRAMES = [FrameId("run", "", "det", number, 0, f"e{number}") for number in (1, 2)]


def table(name="xtag"):
    taggings = [
        Tagging(FRAMES[0], "ok", (0.1, 0.9, 0.8), ("ring", "symmetry_4"), 0.02),
        Tagging(FRAMES[1], "late", latency=2.0, reason="not scored"),
    ]
    rows = [row(name, TAGS, tagging) for tagging in taggings]
    return TagTable(pd.DataFrame(rows, index=pd.RangeIndex(1, 3, name="seq_num")).assign(time=5.0))


@pytest.mark.parametrize("name", ["xtag", "waxs_2", "p"])
def test_rows_are_read_whatever_the_tagger_was_called(name):
    rows = table(name)
    assert rows.name == name and rows.tags == list(TAGS.names)
    assert rows.frames("run") == FRAMES and [frame.event for frame in rows.frames()] == ["e1", "e2"]
    assert rows.accepted() == [["ring", "symmetry_4"], []]
    assert list(rows["status"]) == ["ok", "late"]
    assert rows.scores(["ring", "halo"]).loc[1, "ring"] == 0.9 and rows.scores(["halo"]).isna().all(axis=None)
    assert "tags" in rows and "by" not in rows


def test_plain_names_leave_the_tagger_out_and_tell_the_run():
    plain = table("waxs").plain("uid", 7)
    assert list(plain)[:3] == ["run", "scan_id", "row"]
    assert {"p_ring", "tags", "status", "event", "key", "seq_num", "index", "latency", "time"} < set(plain)
    assert score_tags(plain) == list(TAGS.names) and list(plain["row"]) == [1, 2]


def test_other_tables_are_refused():
    with pytest.raises(XTagValueError, match="not rows of a tagger"):
        TagTable(pd.DataFrame({"x": [1.0]}))


def test_a_row_says_what_a_plan_needs():
    data = table().rows.loc[1].to_dict()
    seen = TagRow.read(1, data, "xtag", ["ring"])
    assert seen == TagRow(1, "ok", ("ring", "symmetry_4"), {"ring": 0.9}, 0.02, "e1", key="det", seq_num=1)
    assert not seen.missing and TagRow().missing and math.isnan(TagRow().latency)
