"""The words of the search field, on columns whose answers can be counted by hand."""

import numpy as np
import pytest

from bluesky_xtag import XTagValueError
from bluesky_xtag.web.frame_columns import FrameColumns
from bluesky_xtag.web.frame_query import select_frames
from bluesky_xtag.web.run_frames import RunFrames

NAN = np.nan


def run(number, tags, scores, *, deciders=None, statuses=None, given=None, moved=None, **about):
    """A run with a row for each row of scores."""
    frames = len(scores)
    scores = np.array(scores, np.float32)
    accepted = given or [tuple(tag for tag, score in zip(tags, row, strict=True) if score >= 0.5) for row in scores]
    about = {"scan_id": number + 1, "time": 1000.0 - number, "plan": "scan", "sample": "", "model": "m 1"} | about
    return RunFrames(
        uid=f"{number}a{number}b",
        number=number,
        about={"sha256": "0", "complete": True, "motors": [], **about},
        tags=tags,
        thresholds=dict.fromkeys(tags, 0.5),
        preparation="",
        keys=("det",) * frames,
        places=np.array([[row + 1, row + 1, 0] for row in range(frames)]),
        times=about["time"] + np.arange(frames),
        statuses=np.array(statuses or [0] * frames, np.int8),
        scores=scores,
        given=tuple(accepted),
        accepted=tuple(accepted),
        deciders=tuple(deciders or ["model"] * frames),
        moved={name: np.array(values, float) for name, values in (moved or {}).items()},
    )


COLUMNS = FrameColumns(
    (
        run(
            0,
            ("ring", "halo"),
            [[0.9, 0.1], [0.6, 0.7], [NAN, NAN], [0.2, 0.3]],
            statuses=[0, 0, 1, 0],
            deciders=["model", "ab", "model", "model"],
            moved={"x": [0, 1, 2, 3]},
            plan="grid_scan",
            sample="Gold <b>",
        ),
        run(1, ("halo", "ice"), [[0.95, 0.5], [0.4, 0.2]], model="other 2", sha256="1"),
    ),
    1,
)


def found(text, order="newest"):
    rows, _ = select_frames(COLUMNS, text, order)
    return rows.tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("ring", [0, 1]),
        ("-ring", [2, 3, 4, 5]),
        ("ring halo", [1]),
        ("ring>0.6", [0]),
        ("ring>=0.6", [0, 1]),
        ("-ring>=0.6", [2, 3, 4, 5]),
        ("halo<0.4", [0, 3]),
        ("x>=1 x<3", [1, 2]),
        ("x=2", [2]),
        ("status:late", [2]),
        ("status:ok,late halo<0.35", [0, 3]),
        ("scan:1", [0, 1, 2, 3]),
        ("scan:2-9", [4, 5]),
        ("scan:1,2 ice", [4]),
        ("run:1a", [4, 5]),
        ("plan:grid", [0, 1, 2, 3]),
        ("sample:gold", [0, 1, 2, 3]),
        ("model:other", [4, 5]),
        ("corrected", [1]),
        ("by:ab", [1]),
        ("-by:model", [1]),
        ("since:2100-01-01", []),
        ("until:2100-01-01 ice", [4]),
    ],
)
def test_the_words_of_a_search(text, rows):
    assert sorted(found(text)) == rows


@pytest.mark.parametrize(
    ("order", "rows"),
    [
        ("newest", [0, 1, 2, 3, 4, 5]),
        ("oldest", [4, 5, 0, 1, 2, 3]),
        ("ring", [0, 1, 3, 2, 4, 5]),
        ("-ring", [3, 1, 0, 2, 4, 5]),
        ("halo", [4, 1, 5, 3, 0, 2]),
        ("like:0a0b:3", [3, 1, 0]),
    ],
)
def test_orders(order, rows):
    assert found("", order) == rows


def test_doubt_is_the_expected_number_of_wrong_tags_and_none_where_somebody_decided():
    rows, values = select_frames(COLUMNS, "scan:1", "doubt")
    assert rows.tolist() == [3, 0, 1, 2]
    np.testing.assert_allclose(values, [0.5, 0.2, 0, 0], atol=1e-6)


def test_novelty_is_the_distance_to_the_nearest_corrected_frame():
    rows, values = select_frames(COLUMNS, "scan:1 status:ok", "novelty")
    assert rows.tolist() == [0, 3, 1]
    np.testing.assert_allclose(values, [np.hypot(0.3, 0.6), np.hypot(0.4, 0.4), 0], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rign", "'rign' is not understood: did you mean ring"),
        ("rnig>0.5", "neither a tag nor a motor: did you mean ring"),
        ("ring>high", "'high' is not a number"),
        ("status:lost", "choose from ok, late"),
        ("scan:x", "give the number of a scan"),
        ("since:yesterday", "give a date such as"),
        ("qqqqq", "give a tag"),
        ("a" * 2000, "1000 at most"),
    ],
)
def test_words_that_are_not_understood(text, message):
    with pytest.raises(XTagValueError, match=message):
        found(text)


@pytest.mark.parametrize("order", ["best", "like:0a0b:9", "like:0a0b:2", "like:nobody:0"])
def test_orders_that_there_are_not(order):
    with pytest.raises(XTagValueError):
        found("", order)


def test_a_catalogue_without_frames():
    rows, values = select_frames(FrameColumns((), 0))
    assert rows.tolist() == values.tolist() == []
    with pytest.raises(XTagValueError, match="not understood"):
        select_frames(FrameColumns((), 0), "ring")
