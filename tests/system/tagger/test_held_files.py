"""Frames in files that their writer holds open without SWMR: known at once, and tagged when the file is closed."""

import time

import bluesky.plans as bp
import numpy as np
import pytest
from ophyd.sim import motor
from support.archives import opened
from support.held import HeldDetector

from bluesky_xtag.catalog import as_run
from bluesky_xtag.search import runs_with_tag, tags

WAITS = pytest.mark.parametrize("wait", ["overlap", "point"])


@pytest.fixture
def store(request, RE):
    opened_store = opened(request, getattr(request, "param", "tiled sqlite"))
    RE.subscribe(opened_store.insert)
    return opened_store


def wait_until(happened, seconds=30):
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.02)
    return happened()


@WAITS
def test_no_run_waits_for_deadlines_and_the_log_says_once_what_to_stage(RE, seen, tag, tmp_path, wait, caplog):
    tagger = tag(wait=wait, deadline=30.0)
    begin = time.monotonic()
    RE(bp.count([HeldDetector(tmp_path)], 5))
    elapsed = time.monotonic() - begin
    seen.assert_scan_went_well(5)
    assert seen.statuses() == {"unreadable": 5}
    assert elapsed < 30  # not one deadline
    assert "stage `swmr_mode` before `capture`" in tagger.latest.reason
    said = [record.getMessage() for record in caplog.records if "without SWMR" in record.getMessage()]
    assert len(said) == 1
    assert f"`xtag replay CATALOG --runs {seen.start()['uid']}`" in said[0]
    assert "h5clear" not in caplog.text + tagger.latest.reason
    RE(bp.count([HeldDetector(tmp_path)], 2))
    assert caplog.text.count("without SWMR") == 2


def test_files_with_swmr_are_read_as_ever(RE, seen, tag, tmp_path):
    tag(deadline=30.0)
    RE(bp.count([HeldDetector(tmp_path, libver="latest", swmr=True)], 5))
    assert seen.statuses() == {"ok": 5}


@pytest.mark.parametrize("store", ["tiled sqlite", "databroker.temp"], indirect=True)
@WAITS
def test_the_frames_are_tagged_by_themselves_when_their_file_is_closed(RE, seen, tag, store, tmp_path, wait, capsys):
    tagger = tag(catalog=store.catalog, backup=tmp_path, wait=wait, deadline=30.0)
    (uid,) = RE(bp.scan([HeldDetector(tmp_path)], motor, 1, 6, 6))
    assert seen.statuses() == {"unreadable": 6}
    assert wait_until(lambda: tagger.statistics.tagged_later == 6)
    run = store.runs[uid]
    table = tags(run)
    assert list(table["xtag_status"]) == ["ok"] * 6
    assert list(table["xtag_tags"]) == ["ring"] * 6
    assert list(table["xtag_frame_event"]) == [row["frame_event"] for row in seen.rows()]
    assert list(tags(run, "own")["xtag_status"]) == ["unreadable"] * 6, "the live rows stay as they were"
    summary = as_run(run).start["xtag"]
    assert (summary["frames"], summary["failed"], summary["count"]["ring"], summary["derived"]) == (6, 0, 6, False)
    assert uid in list(runs_with_tag(store.catalog, "ring"))
    tagger.report()
    assert "6 of 6 frames that could not be read in time" in capsys.readouterr().out


def test_only_the_frames_that_could_not_be_read_get_new_rows(RE, seen, tag, store, tmp_path):
    """A second detector, with SWMR, is tagged live."""
    tagger = tag(catalog=store.catalog, backup=tmp_path, deadline=30.0)
    live = HeldDetector(tmp_path, "live", libver="latest", swmr=True)
    (uid,) = RE(bp.count([HeldDetector(tmp_path, "held"), live], 3))
    assert seen.statuses() == {"unreadable": 3, "ok": 3}
    assert wait_until(lambda: tagger.statistics.tagged_later == 3)
    own, now = tags(store.runs[uid], "own"), tags(store.runs[uid])
    assert set(now["xtag_status"]) == {"ok"}
    ok = own["xtag_status"] == "ok"
    columns = ["xtag_p_ring", "xtag_latency", "xtag_frame_event", "xtag_frame_key"]
    np.testing.assert_array_equal(own[ok][columns], now[ok][columns])


def test_after_a_reset_they_are_tagged_and_found_all_the_same(RE, tag, store, tmp_path):
    """What looks again and what writes summaries is subscribed again with the tagger."""
    tagger = tag(catalog=store.catalog, backup=tmp_path, deadline=30.0)
    RE.reset()
    RE.subscribe(store.insert)
    (uid,) = RE(bp.count([HeldDetector(tmp_path)], 3))
    assert wait_until(lambda: tagger.statistics.tagged_later == 3)
    assert list(tags(store.runs[uid])["xtag_status"]) == ["ok"] * 3
    assert as_run(store.runs[uid]).start["xtag"]["failed"] == 0
    (uid,) = RE(bp.count([HeldDetector(tmp_path, libver="latest", swmr=True)], 2))
    tagger.uninstall()
    assert as_run(store.runs[uid]).start["xtag"]["frames"] == 2


def test_uninstalling_right_after_the_run_loses_nothing(RE, tag, store, tmp_path):
    tagger = tag(catalog=store.catalog, backup=tmp_path, deadline=30.0)
    (uid,) = RE(bp.count([HeldDetector(tmp_path)], 4))
    tagger.uninstall()
    assert list(tags(store.runs[uid])["xtag_status"]) == ["ok"] * 4


def test_a_file_that_stays_held_is_waited_for_while_other_runs_are_tagged(RE, tag, store, tmp_path):
    class Kept(HeldDetector):
        def unstage(self):
            return [self]

    tagger = tag(catalog=store.catalog, backup=tmp_path, deadline=30.0)
    kept = Kept(tmp_path)
    (first,) = RE(bp.count([kept], 2))
    (second,) = RE(bp.count([HeldDetector(tmp_path)], 3))
    assert wait_until(lambda: tagger.statistics.tagged_later == 3)
    assert list(tags(store.runs[first])["xtag_status"]) == ["unreadable"] * 2
    kept.file.close()
    assert wait_until(lambda: tagger.statistics.tagged_later == 5)
    assert list(tags(store.runs[first])["xtag_status"]) == ["ok"] * 2


def test_what_cannot_be_read_by_the_end_of_the_session_is_said(RE, tag, store, tmp_path, caplog):
    class Kept(HeldDetector):
        def unstage(self):
            return [self]

    tagger = tag(catalog=store.catalog, backup=tmp_path, deadline=30.0)
    kept = Kept(tmp_path)
    (uid,) = RE(bp.count([kept], 2))
    tagger.uninstall()
    assert f"`xtag replay CATALOG --runs {uid}` tags them" in caplog.text
    assert "h5clear" not in caplog.text
    kept.file.close()
