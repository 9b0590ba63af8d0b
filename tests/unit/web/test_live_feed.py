"""What the live page knows of scans that a real RunEngine takes: pauses, snakes, repeats, several runs, trouble."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngineInterrupted
from ophyd.sim import SynAxis, motor, motor1, motor2
from support.cameras import Camera, GradedModel, flat
from support.detectors import ArrayDetector, numbered
from support.live_pages import LivePage
from support.models import RaisingModel
from support.pausing import pausing

from bluesky_xtag.plans import tag_adaptive_scan
from bluesky_xtag.web import live_feed, live_run
from bluesky_xtag.web.live_feed import LiveFeed


@pytest.fixture
def follow(tag):
    """Install a tagger, and let a feed follow it; returns a page."""
    feeds = []

    def follow(**arguments):
        feeds.append(LiveFeed(tag(**{"deadline": 60.0} | arguments)))
        page = LivePage(feeds[-1].log)
        page.feed = feeds[-1]
        return page.read()

    yield follow
    for feed in feeds:
        feed.close()


@pytest.fixture
def det():
    return ArrayDetector(numbered())


def told(page):
    """The page, after it has heard everything."""
    assert page.feed.flush()
    return page.read()


def test_each_place_of_a_snake_lies_where_its_frame_was_taken(RE, follow, det):
    page = follow()
    RE(bp.grid_scan([det], motor1, 0, 1, 2, motor2, 0, 2, 3, snake_axes=True))
    told(page)
    assert page.where() == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0)]
    assert page.states() == ["ok"] * 6 and page.tags() == [["ring"]] * 6
    about = page.run()["about"]
    assert page.run()["fields"] == ["motor1", "motor2"]
    assert (about["shape"], about["extents"], about["points"]) == ([2, 3], [[0, 1], [0, 2]], 6)
    assert about["ended"] == {"status": "success", "reason": ""} and page.run()["latest"] == 5


def test_a_line_tells_from_where_to_where_it_goes_and_a_count_has_no_motors(RE, follow, det):
    page = follow()
    RE(bp.scan([det], motor, 5, -1, 3))
    told(page)
    assert page.where() == [(5,), (2,), (-1,)] and page.run()["about"]["extents"] == [[-1, 5]]
    RE(bp.count([det], 2))
    told(page)
    assert page.run()["fields"] == [] and page.states() == ["ok", "ok"]


@pytest.mark.parametrize(
    ("where", "times"), [("after the move", [1] * 5), ("after the frame", [1, 1, 2, 1, 1])], ids=["move", "frame"]
)
@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_a_pause_makes_no_place_twice(RE, follow, det, where, times, wait):
    page = follow(wait=wait)
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(det, 5, where))
    RE.resume()
    told(page)
    assert page.states() == ["ok"] * 5 and page.times() == times
    assert page.run()["counts"]["ok"] == 5 and page.run()["counts"]["waiting"] == 0


def test_a_plan_that_names_no_motors_shows_those_that_it_reads(RE, follow, det):
    page = follow()

    @bpp.run_decorator()
    def plan():
        for place in (3, 1):
            yield from bps.mov(motor, place)
            yield from bps.trigger_and_read([det, motor])

    RE(plan())
    told(page)
    assert page.run()["fields"] == ["motor"] and page.where() == [(3,), (1,)]


def test_points_that_are_repeated_have_a_place_each(RE, follow, det):
    page = follow()
    RE(bp.list_scan([det], motor, [1, 2, 2, 1]))
    told(page)
    assert page.where() == [(1,), (2,), (2,), (1,)] and page.times() == [1] * 4


def test_one_run_after_the_other_and_one_within_the_other(RE, follow, det):
    page = follow()
    first, second = RE(bp.scan([det], motor, 1, 2, 2)) + RE(bp.scan([det], motor, 3, 4, 2))

    @bpp.set_run_key_decorator("outer")
    @bpp.run_decorator(md={"plan_name": "outer"})
    def outer():
        yield from bps.mov(motor, 10)
        yield from bps.trigger_and_read([det, motor])
        yield from bpp.set_run_key_wrapper(bp.scan([det], motor, 20, 21, 2), "inner")
        yield from bps.mov(motor, 11)
        yield from bps.trigger_and_read([det, motor])

    uids = RE(outer())
    told(page)
    assert list(page.runs) == [first, second, *uids]
    assert [page.where(uid) for uid in (first, second, *uids)] == [
        [(1,), (2,)],
        [(3,), (4,)],
        [(10,), (11,)],
        [(20,), (21,)],
    ]
    assert all(page.states(uid) == ["ok", "ok"] for uid in page.runs)
    RE(bp.count([det], 1))
    told(page)
    assert first not in page.runs and len(page.runs) == 4  # the oldest one went


def test_a_page_that_comes_late_knows_what_the_others_know(RE, follow, det):
    page = follow()
    RE(bp.scan([det], motor, 1, 5, 5))
    late = LivePage(page.feed.log)
    told(page)
    late.read()
    assert late.wholes == 1 and page.wholes == 1 and len(page.messages) > 1
    assert late.runs == page.runs and late.around == page.around
    late.read()
    assert late.wholes == 1 and late.number == page.number


def test_outcomes_without_tags_are_seen_as_such(RE, follow, det):
    page = follow(model=RaisingModel(on=[2]))
    RE(bp.count([det], 3))
    told(page)
    assert page.states() == ["ok", "failed", "ok"] and page.scores()[1] == []
    assert page.run()["counts"]["failed"] == 1
    assert "the network is broken" in page.run()["places"][1][live_run.REASON]


def test_what_a_plan_decided_and_where_the_next_frame_comes(RE, follow):
    axis = SynAxis(name="axis")
    camera = Camera(lambda seconds: flat(900 if axis.position < 4 else 200))
    page = follow(model=GradedModel(), wait="point")
    RE(tag_adaptive_scan([camera], page.feed._tagger, "boundary", axis, 0, 10, tag="ring", max_points=8))
    told(page)
    run = page.run()
    decisions = list(run["decisions"].values())
    assert decisions[0]["action"] == "move" and decisions[-1]["action"] == "stop"
    assert all(each["reason"] for each in decisions)
    assert [each["to"]["axis"] for each in decisions[:-1]] == pytest.approx([where for (where,) in page.where()])
    assert run["next"] is None and run["about"]["extents"] == [[0, 10]]


def test_where_the_next_frame_comes_is_told_until_it_comes():
    note = {"uid": "u", "scan_id": 1, "plan": "p", "sample": "", "time": 0.0, "points": None, "motors": ("m",)}
    run = live_run.LiveRun(note | {"fields": ("m_readback",), "extents": None, "shape": None}, ["ring"], [0.5])
    run.add_decision(1, {"decision_action": "move", "decision_reason": "first", "decision_to_m": 2.5})
    assert run.take_changes()["next"] == [2.5]
    run.add_point("primary", 1, {"m_readback": 2.5})
    assert run.take_changes()["next"] is None
    run.add_decision(2, {"decision_action": "stop", "decision_reason": "done", "decision_to_m": float("nan")})
    assert run.take_changes()["next"] is None and run.whole()["decisions"][-1]["to"] == {"m": None}


def test_only_the_newest_places_of_a_long_run_are_kept(RE, follow, det, monkeypatch):
    monkeypatch.setattr(live_run, "MOST_PLACES", 4)
    page = follow()
    RE(bp.scan([det], motor, 1, 7, 7))
    told(page)
    late = LivePage(page.feed.log).read()
    for each in (page, late):
        assert each.where() == [(4,), (5,), (6,), (7,)] and each.run()["total"] == 7
        assert each.run()["counts"]["ok"] == 7


def test_a_feed_that_does_not_keep_up_costs_the_scan_nothing_and_says_what_it_left_out(
    RE, seen, follow, det, monkeypatch
):
    monkeypatch.setattr(live_feed, "_WAITING", 5)
    page = follow()
    with page.feed._state_lock:  # the feed's thread stands still
        RE(bp.count([det], 30))
    seen.assert_scan_went_well(30)
    told(page)
    assert page.around["left_out"] > 0 and page.run()["about"]["ended"]["status"] == "success"


def test_trouble_of_the_page_does_not_reach_the_scan(RE, seen, follow, det, monkeypatch, caplog):
    page = follow(on_error="raise")

    def broken(*arguments):
        raise RuntimeError("the page is broken")

    monkeypatch.setattr(page.feed, "_notes", broken)
    monkeypatch.setattr(page.feed, "take_frames", broken)
    monkeypatch.setattr(page.feed, "take_taggings", broken)
    RE(bp.count([det], 2))
    seen.assert_scan_went_well(2)
    assert "could not follow the scan" in caplog.text and "the live page could not use" in caplog.text


def test_a_feed_that_is_closed_hears_nothing_more(RE, follow, det):
    page = follow()
    page.feed.close()
    RE(bp.count([det], 1))
    told(page)
    assert page.runs == {}
