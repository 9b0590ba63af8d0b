"""The stream "tags" reads back equal, with its types, from every store; other callbacks run beside it unharmed."""

import bluesky.plans as bp
import numpy as np
import pandas as pd
import pytest
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.utils import RunEngineInterrupted
from ophyd.sim import det1 as counter
from ophyd.sim import motor
from support.detectors import ArrayDetector, numbered
from support.models import RaisingModel
from support.pausing import pausing

from bluesky_xtag import NoTagsError
from bluesky_xtag.search import tags


@pytest.fixture
def store(catalog):
    """A function that returns a stored run."""
    return catalog.__getitem__


def emitted(seen):
    return pd.DataFrame([event["data"] for event in seen.events("tags")], index=range(1, 1 + len(seen.events("tags"))))


def assert_equal(stored, expected):
    """Same columns in the same order, same values, same types."""
    assert list(stored.columns) == ["time", *expected.columns, "xtag_decided_by"]
    assert list(stored.index) == list(expected.index)
    for column in expected:
        assert stored[column].dtype == expected[column].dtype, column
        if expected[column].dtype.kind == "f":
            np.testing.assert_array_equal(stored[column], expected[column])
        else:
            assert list(stored[column]) == list(expected[column])


@pytest.mark.filterwarnings("ignore:.*actually has dtype:UserWarning")  # databroker, of NaN
@pytest.mark.parametrize("catalog", ["databroker.temp", "tiled sqlite", "tiled duckdb"], indirect=True)
def test_reads_back_equal_with_types(RE, seen, tag, store):
    tag(model=RaisingModel(on={2}))
    (uid,) = RE(bp.scan([ArrayDetector(numbered())], motor, 0, 1, 4))
    stored = tags(store(uid))
    assert_equal(stored, emitted(seen))
    assert np.isnan(stored["xtag_p_ring"][2]) and stored["xtag_tags"][2] == ""


def test_many_images_an_event(RE, seen, tag, store):
    tag()
    (uid,) = RE(bp.count([ArrayDetector(numbered((3, 16, 16)), shape=(3, 16, 16))], 2))
    assert_equal(tags(store(uid)), emitted(seen))


@pytest.mark.parametrize("catalog", ["databroker.temp", "tiled sqlite"], indirect=True)
def test_rewound_points_count_once(RE, seen, tag, store):
    tag(wait="point")
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(ArrayDetector(numbered()), 5, "after the frame"))
    (uid,) = RE.resume()
    assert_equal(tags(store(uid)), emitted(seen))


def test_run_without_images_says_so(RE, tag, store):
    tag()
    (uid,) = RE(bp.count([counter], 1))
    with pytest.raises(NoTagsError, match=rf"run {uid} has no stream 'tags'"):
        tags(store(uid))


def test_best_effort_callback_beside_it(RE, seen, tag, capsys):
    tag()
    callback = BestEffortCallback()
    callback.disable_plots()
    RE.subscribe(callback)
    RE(bp.scan([ArrayDetector(numbered()), counter], motor, 0, 1, 3))
    seen.assert_every_frame_has_its_row()
    table = capsys.readouterr().out
    assert "New stream: 'tags'" in table
    assert "motor" in table
