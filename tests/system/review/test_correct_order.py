"""Corrections count in the order of what their authors saw; an author is told at once of one that does not count."""

import time

import pytest
from support.archives import opened, record

from bluesky_xtag.review import correct, corrections, run_state
from bluesky_xtag.search import tags

pytestmark = pytest.mark.filterwarnings("ignore:.*actually has dtype:UserWarning")  # databroker, of NaN


@pytest.fixture(params=["tiled sqlite", "databroker.temp"])
def run(request):
    """A stored run of two frames: no ring, and a ring."""
    store = opened(request, request.param)
    (uid,) = record(store.insert, [10, 95])
    return store.runs[uid]


@pytest.fixture
def clock(monkeypatch):
    """A function that sets the clock of whoever corrects next, seconds ahead."""
    true = time.time
    yield lambda ahead: monkeypatch.setattr("time.time", lambda: true() + ahead)


def shown(run):
    table = tags(run)
    return list(table["xtag_tags"]), list(table["xtag_decided_by"])


@pytest.mark.parametrize("clocks", [(3600, 0, -3600), (0, -86400, 0), (-10, 1e8, -1e8)])
def test_whatever_the_clocks_say(run, clock, clocks, caplog):
    clock(clocks[0])
    correct(run, 1, add="ring", by="ab")
    clock(clocks[1])
    correct(run, 1, remove="ring", by="cd")
    clock(clocks[2])
    last = correct(run, [1, 2], add="empty", by="ef")
    clock(0)
    assert shown(run) == (["empty", "ring empty"], ["ef", "ef"]) or shown(run) == (
        ["empty", "empty ring"],
        ["ef", "ef"],
    )
    assert list(corrections(run)["by"]) == ["ab", "cd", "ef", "ef"]
    assert correct(run, [1, 2], add="empty", by="ef") == last
    assert "does not count" not in caplog.text


def test_an_author_is_told_that_another_counts_who_corrected_at_the_same_time(run, clock, monkeypatch, caplog):
    """Both saw the same history; the clock of the other is ahead."""
    seen = run_state.read_corrections

    def meanwhile(*where):
        found = seen(*where)
        monkeypatch.setattr(run_state, "read_corrections", seen)
        clock(60)
        correct(run, 1, remove="ring", by="cd")
        clock(0)
        return found

    monkeypatch.setattr(run_state, "read_corrections", meanwhile)
    correct(run, [1, 2], add="ring", by="ab")
    assert shown(run) == (["", "ring"], ["cd", "ab"])
    assert caplog.text.count("does not count (ring): cd corrected it at the same time") == 1
    assert "point 1, image 0" in caplog.text
    caplog.clear()
    correct(run, 1, add="ring", by="ab")
    assert shown(run)[0] == ["ring", "ring"] and not caplog.text


def test_an_author_is_told_that_a_correction_is_not_found(run, monkeypatch, caplog):
    monkeypatch.setattr(run_state, "read_corrections", lambda *where: [])
    correct(run, 1, add="ring", by="ab")
    assert "does not count (ring): it is not found" in caplog.text
