import json
import math

import numpy as np
import pandas as pd
import pytest
from support.models import CountsModel

from bluesky_xtag import DEFAULT_TAXONOMY, Tagging, XTagValueError
from bluesky_xtag.documents import FrameId, summarise
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
