"""Stubs in plans of one's own: what they return, what they write, and when tags do not come."""

import asyncio
import threading

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import Msg, RunEngineInterrupted
from support.cameras import Camera, GradedModel, flat
from support.detectors import ArrayDetector, numbered
from support.models import HangingModel, RaisingModel
from support.steered import pause_after

from bluesky_xtag import Tagger, XTagError, XTagValueError
from bluesky_xtag.plans.conditions import ConditionError
from bluesky_xtag.plans.stubs import if_tags, read_tags, tagged_shot, tagged_step, wait_for_tags
from bluesky_xtag.tagger import tag_wrapper

HOW = pytest.mark.parametrize("how", ["overlap", "point", "subscribed", "wrapped"])


@pytest.fixture
def ready(RE, request):
    """A function: a tagger, and what it makes of a plan, for each way in which a tagger gets into a RunEngine."""
    taggers = []

    def ready(how, model=None, **options):
        model = GradedModel() if model is None else model
        if how in ("overlap", "point"):
            return request.getfixturevalue("tag")(model=model, wait=how, **options), lambda plan: plan
        tagger = Tagger(model, **options)
        taggers.append(tagger)
        if how == "subscribed":
            RE.subscribe(tagger)
            return tagger, lambda plan: plan
        return tagger, lambda plan: tag_wrapper(plan, tagger)

    yield ready
    for tagger in taggers:
        tagger.uninstall()


def line(det, axis, places, each):
    """A plan of somebody's own: go along places, and do something at each after the detector was read."""

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        for place in places:
            yield from bps.checkpoint()
            yield from bps.mv(axis, place)
            yield from bps.trigger_and_read([det, axis])
            yield from each()

    return plan()


def another(det, axis):
    return lambda: bps.trigger_and_read([det, axis])


@HOW
def test_read_tags_returns_what_the_row_says(RE, seen, ready, axis, peak, how):
    tagger, wrap = ready(how)
    found = []

    def each():
        found.append((yield from read_tags(tagger)))

    RE(wrap(line(peak, axis, [0, 2, 3], each)))
    rows = seen.events("tags")
    assert [row.frame for row in found] == [event["uid"] for event in seen.events("primary")]
    assert [row.scores["ring"] for row in found] == [row["data"]["xtag_p_ring"] for row in rows]
    assert [row.tags for row in found] == [(), ("ring",), ("ring",)]
    assert seen.stop()["num_events"] == {"primary": 3, "tags": 3}


@HOW
def test_if_tags_runs_one_plan_or_the_other_and_says_why(RE, seen, ready, decisions, computed_again, axis, peak, how):
    tagger, wrap = ready(how)
    gone = []

    def nothing_here():
        gone.append(axis.position)
        yield from bps.null()

    RE(wrap(line(peak, axis, [0, 3, 6], lambda: if_tags(tagger, "ring>0.9", another(peak, axis), nothing_here))))
    assert [event["data"]["axis"] for event in seen.events("primary")] == [0, 3, 3, 6]
    assert gone == [0, 6]
    assert [(row["action"], row["reason"], row["condition"]) for row in decisions()] == [
        ("otherwise", "not ring>0.9 (ring 0.10)", "ring>0.9"),
        ("then", "ring>0.9 (ring 0.95)", "ring>0.9"),
        ("otherwise", "not ring>0.9 (ring 0.10)", "ring>0.9"),
    ]
    seen.assert_every_frame_has_its_row()
    assert computed_again() == ""


@HOW
def test_several_questions_about_one_frame_are_answered_from_its_one_row(
    RE, seen, ready, decisions, computed_again, axis, peak, how
):
    tagger, wrap = ready(how)

    def each():
        first = yield from read_tags(tagger)
        again = yield from read_tags(tagger)
        assert first == again
        yield from if_tags(tagger, "ring>0.5")
        yield from if_tags(tagger, "weak_scattering or ring<0.3")

    RE(wrap(line(peak, axis, [0, 3], each)))
    assert seen.stop()["num_events"] == {"primary": 2, "tags": 2, "decisions": 4}
    assert [row["action"] for row in decisions()] == ["otherwise", "then", "then", "otherwise"]
    assert [row["row"] for row in decisions()] == [1, 1, 2, 2]
    assert computed_again() == ""


@HOW
@pytest.mark.parametrize(
    ("fallback", "action", "says", "frames"),
    [
        ("then", "then", "no tags (failed): then, the fallback", 3),
        ("otherwise", "otherwise", "no tags (failed): otherwise, the fallback", 2),
        ("continue", "continue", "no tags (failed): the plan goes on without them, the fallback", 2),
        (..., "fallback", "no tags (failed): look_twice, the fallback", 4),
    ],
)
def test_without_tags_the_fallback_is_done_and_said(
    RE, seen, ready, decisions, computed_again, axis, how, fallback, action, says, frames
):
    det = ArrayDetector(numbered())
    tagger, wrap = ready(how, RaisingModel(on={1}))

    def look_twice():
        for _ in range(2):
            yield from bps.trigger_and_read([det, axis])

    rule = look_twice if fallback is ... else fallback
    RE(wrap(line(det, axis, [1, 2], lambda: if_tags(tagger, "not ring", another(det, axis), fallback=rule))))
    assert len(seen.events("primary")) == frames
    assert decisions()[0] == decisions()[0] | {"action": action, "reason": says, "status": "failed"}
    assert decisions()[1]["action"] == "otherwise"
    seen.assert_every_frame_has_its_row()
    assert computed_again() == ""


@HOW
def test_waiting_ends_at_the_deadline_and_the_fallback_is_the_only_decision(RE, seen, ready, decisions, axis, how):
    model = HangingModel()
    tagger, wrap = ready(how, model, deadline=0.3)
    found = []

    def each():
        found.append((yield from wait_for_tags(tagger, 0.1)))
        model.released.set()
        yield from bps.sleep(0.2)  # the model has to get over the first frame

    RE(wrap(line(ArrayDetector(numbered()), axis, [1, 2], each)))
    assert [row.status for row in found] == ["late", "ok"]
    assert [(row["action"], row["status"], row["fallback"]) for row in decisions()] == [
        ("continue", "late", "continue")
    ]
    assert not decisions()[0]["deadline_met"]
    assert seen.stop()["num_events"] == {"primary": 2, "tags": 2, "decisions": 1}


def test_a_deadline_of_its_own_is_earlier_than_that_of_the_tagger(RE, seen, tag, decisions, axis):
    """The tagger would wait for an hour; nobody releases the model."""
    model = HangingModel()
    tagger = tag(model=model, deadline=3600)
    RE(line(ArrayDetector(numbered()), axis, [1], lambda: wait_for_tags(tagger, 0.05)))
    model.released.set()
    assert decisions()[0]["reason"] == "no tags (late): the plan goes on without them, the fallback"
    assert seen.stop()["exit_status"] == "success"


def test_a_plan_that_stops_without_tags_is_a_success(RE, seen, tag, decisions, axis):
    tagger = tag(model=RaisingModel(on={2}))
    RE(line(ArrayDetector(numbered()), axis, [1, 2, 3], lambda: wait_for_tags(tagger, fallback="stop")))
    assert seen.stop()["exit_status"] == "success"
    assert seen.stop()["num_events"] == {"primary": 2, "tags": 2, "decisions": 1}
    assert decisions()[0]["reason"] == "no tags (failed): the plan ends, the fallback"
    RE(bp.count([ArrayDetector(numbered())], 1))  # the RunEngine goes on


def test_a_person_may_be_asked(RE, seen, tag, decisions, axis):
    tagger = tag(model=RaisingModel(on={1}))
    with pytest.raises(RunEngineInterrupted):
        RE(line(ArrayDetector(numbered()), axis, [1, 2], lambda: wait_for_tags(tagger, fallback=bps.pause)))
    assert decisions()[-1]["reason"] == "no tags (failed): pause, the fallback"
    RE.resume()
    assert seen.stop()["num_events"] == {"primary": 2, "tags": 2, "decisions": 1}


def test_the_loop_of_the_run_engine_goes_on_while_a_stub_waits(RE, tag, axis):
    """What releases the model runs in the RunEngine's own loop: if the stub held it, the frame would be late."""
    model = HangingModel()
    tagger = tag(model=model, deadline=8)
    found = []

    def each():
        found.append((yield from wait_for_tags(tagger)))

    async def release():
        while not model.started.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        model.released.set()

    asyncio.run_coroutine_threadsafe(release(), RE.loop)
    RE(line(ArrayDetector(numbered()), axis, [1], each))
    assert [row.status for row in found] == ["ok"]


@HOW
def test_steps_of_stock_plans_ask(RE, seen, ready, decisions, computed_again, axis, other, peak, how):
    tagger, wrap = ready(how)
    per_step = tagged_step(tagger, "ring>0.9", bps.one_nd_step)
    plans = {
        bp.scan([peak], axis, 0, 6, 3, per_step=per_step): [0, 3, 3, 6],
        bp.list_scan([peak], axis, [3, 1], per_step=per_step): [3, 3, 1],
        bp.grid_scan([peak], other, 0, 5, 2, axis, 0, 3, 2, per_step=per_step): [0, 3, 3, 0, 3],
    }
    for plan, places in plans.items():
        (run,) = RE(wrap(plan))
        assert [event["data"]["axis"] for event in seen.events("primary", run)] == places
        seen.assert_every_frame_has_its_row(run=run)
        assert computed_again(run) == ""


def test_a_step_without_tags_may_be_taken_again(RE, seen, tag, decisions, axis):
    det = ArrayDetector(numbered())
    per_step = tagged_step(tag(model=RaisingModel(on={2})), fallback=bps.one_nd_step)
    RE(bp.scan([det], axis, 1, 3, 3, per_step=per_step))
    assert [event["data"]["axis"] for event in seen.events("primary")] == [1, 2, 2, 3]
    assert [row["reason"] for row in decisions()] == ["no tags (failed): one_nd_step, the fallback"]


@HOW
def test_shots_of_count_ask(RE, seen, ready, axis, peak, how):
    tagger, wrap = ready(how)
    axis.set(3)
    RE(wrap(bp.count([peak], 2, per_shot=tagged_shot(tagger, "ring>0.9", bps.one_shot))))
    RE(wrap(bp.count([peak], 2, per_shot=tagged_shot(tagger))))
    assert [stop["num_events"] for stop in seen.of("stop")] == [
        {"primary": 4, "tags": 4, "decisions": 2},
        {"primary": 2, "tags": 2},
    ]


def test_interleaved_runs_are_asked_each_for_itself(RE, seen, tag, peak, axis):
    tagger, found = tag(model=GradedModel()), []

    def plan():
        for key in "ab":
            yield from bpp.set_run_key_wrapper(bps.open_run({"key": key}), key)
        for key, place in (("a", 3), ("b", 0)):
            yield from bps.mv(axis, place)
            yield from bpp.set_run_key_wrapper(bps.trigger_and_read([peak, axis]), key)
        for key in "ab":
            found.append((yield from bpp.set_run_key_wrapper(read_tags(tagger), key)))
        for key in "ab":  # the rows are written
            found.append((yield from bpp.set_run_key_wrapper(read_tags(tagger), key)))
            yield from bpp.set_run_key_wrapper(bps.close_run(), key)

    RE(plan())
    assert [round(row.scores["ring"], 2) for row in found] == [0.95, 0.1, 0.95, 0.1]
    assert [stop["num_events"] for stop in seen.of("stop")] == [{"primary": 1, "tags": 1}] * 2


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda tagger: if_tags(tagger, "rnig"), "did you mean ring"),
        (lambda tagger: if_tags(tagger, "ring for 2"), "leave out 'for 2'"),
        (lambda tagger: if_tags(tagger, lambda seen: True), "is a function: give the condition as text"),
        (lambda tagger: if_tags(tagger, "ring", then=3), "then=3 is not a function"),
        (lambda tagger: if_tags(tagger, "ring", fallback="repeat"), "fallback='repeat' is not known"),
        (lambda tagger: wait_for_tags(tagger, fallback="then"), "choose one of continue, stop"),
        (lambda tagger: wait_for_tags(tagger, fallback=3), "neither a word nor a function"),
        (lambda tagger: wait_for_tags(tagger, 5), r"up to 2, after which xtag itself .* install\(RE, deadline"),
        (lambda tagger: wait_for_tags(tagger, 0), "seconds above 0"),
        (lambda tagger: wait_for_tags("xtag"), "'xtag' is not a tagger"),
        (
            lambda tagger: tagged_step(tagger, "ring", then=[Msg("null")]),
            "is not a function: give one that returns a plan",
        ),
        (lambda tagger: tagged_shot(tagger, then=bps.null), "then belongs to a condition"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_waited_for(tag, ask, says):
    with pytest.raises((XTagValueError, ConditionError), match=says):
        for _ in ask(tag(model=GradedModel())):
            pytest.fail("a message went out")


@pytest.mark.parametrize("how", ["overlap", "subscribed"])
def test_without_a_frame_it_says_what_to_do(RE, seen, ready, axis, how):
    tagger, _ = ready(how)

    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([axis])
        yield from read_tags(tagger)

    with pytest.raises(XTagError, match="read a detector with images first"):
        RE(plan())
    assert "tags" not in seen.stop()["num_events"]


def test_a_tagger_that_hears_nothing_says_what_to_do(RE, peak, axis):
    tagger = Tagger(GradedModel())
    with pytest.raises(XTagError, match=r"call install\(RE\) or RE.subscribe"):
        RE(line(peak, axis, [0], lambda: read_tags(tagger)))
    tagger.uninstall()


@pytest.mark.parametrize("stream", ["primary", "tags", "decisions"])
@pytest.mark.parametrize("wait", ["overlap", "point"])
@pytest.mark.parametrize("end", ["resume", "abort", "stop"])
def test_pauses_with_rewind(RE, seen, graded, computed_again, axis, peak, stream, wait, end):
    tagger = graded(wait=wait)
    pause_after(RE, stream, 2)
    with pytest.raises(RunEngineInterrupted):
        RE(line(peak, axis, [0, 3, 6], lambda: if_tags(tagger, "ring>0.9", another(peak, axis))))
    getattr(RE, end)()
    assert seen.stop()["exit_status"] == {"resume": "success", "abort": "abort", "stop": "success"}[end]
    seen.assert_every_frame_has_its_row()
    assert computed_again() == ""
    if end == "resume":
        assert seen.stop()["num_events"] == {"primary": 4, "tags": 4, "decisions": 3}


def test_a_frame_taken_again_is_the_one_that_decides(RE, seen, graded, decisions, axis):
    """After a pause the detector sees something else: the plan goes by the row that is stored, not by the first."""
    counts = iter([0, 950, 0, 0])  # ophyd takes the first before the scan
    det = Camera(lambda seconds: flat(next(counts)))
    pause_after(RE, "tags", 1)
    tagger = graded()
    with pytest.raises(RunEngineInterrupted):
        RE(line(det, axis, [0], lambda: if_tags(tagger, "ring")))
    RE.resume()
    assert [row["action"] for row in decisions()] == ["otherwise"]
    assert decisions()[0]["p"] == seen.events("tags")[-1]["data"]["xtag_p_ring"] == 0


def test_an_abort_ends_a_wait(RE, seen, tag, axis):
    model = HangingModel()
    tagger = tag(model=model, deadline=3)

    def abort():
        model.started.wait(5)
        asyncio.run_coroutine_threadsafe(RE._request_pause_coro(False), RE.loop)

    threading.Timer(0, abort).start()
    with pytest.raises(RunEngineInterrupted):
        RE(line(ArrayDetector(numbered()), axis, [1, 2], lambda: wait_for_tags(tagger)))
    model.released.set()
    RE.abort()
    assert seen.stop()["exit_status"] == "abort"
    seen.assert_every_frame_has_its_row()
