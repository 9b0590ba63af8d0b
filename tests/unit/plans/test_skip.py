"""skip_empty: which places get their full exposure, and that the plan stays what it was."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import RunEngineInterrupted
from ophyd.sim import SynAxis
from support.cameras import Camera, flat
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel, HangingModel, RaisingModel

from bluesky_xtag import Tagger, XTagError, XTagValueError
from bluesky_xtag.plans import skip_empty
from bluesky_xtag.plans.conditions import ConditionError
from bluesky_xtag.plans.stubs import tagged_step

WAITS = pytest.mark.parametrize("wait", ["overlap", "point"])
FILLED = (2, 5)  # of the places 0 to 6


@pytest.fixture
def axis():
    return SynAxis(name="axis")


@pytest.fixture
def det(axis):
    return Camera(lambda seconds: flat(axis.position in FILLED))


def actions(seen):
    return [event["data"]["decision_action"] for event in seen.events("decisions")]


def exposures(seen):
    return [(event["data"]["axis"], event["data"]["det_cam_acquire_time"]) for event in seen.events("primary")]


def expected():
    return [(place, seconds) for place in range(7) for seconds in ((0.1, 1.0) if place in FILLED else (0.1,))]


@WAITS
def test_only_places_that_are_not_empty_get_the_full_exposure(RE, seen, tag, axis, det, wait):
    tagger = tag(wait=wait)
    RE(skip_empty(bp.scan([det], axis, 0, 6, 7), tagger, 0.1))
    assert exposures(seen) == expected()
    assert actions(seen) == ["expose" if place in FILLED else "skip" for place in range(7)]
    assert det.dose == pytest.approx(7 * 0.1 + 2 * 1.0)
    assert det.cam.acquire_time.get() == 1.0
    seen.assert_every_frame_has_its_row()
    assert seen.stop()["num_events"] == {"primary": 9, "tags": 9, "decisions": 7}
    assert seen.stop()["exit_status"] == "success"


def test_with_a_tagger_that_is_just_subscribed(RE, seen, axis, det):
    tagger = Tagger(CountsModel())
    RE.subscribe(tagger)
    RE(skip_empty(bp.scan([det], axis, 0, 6, 7), tagger, 0.1))
    tagger.uninstall()
    assert exposures(seen) == expected()
    seen.assert_every_frame_has_its_row()


def test_what_it_decided_stands_in_the_stream(RE, seen, tag, axis, det):
    RE(skip_empty(bp.scan([det], axis, 0, 2, 3), tag(), 0.1))
    first, _, last = (event["data"] for event in seen.events("decisions"))
    assert first["decision_strategy"] == "skip_empty"
    assert (first["decision_tag"], first["decision_p"], first["decision_status"]) == ("empty", 1.0, "ok")
    assert first["decision_deadline_met"] is True
    assert (first["decision_point"], first["decision_row"]) == (1, 1)
    assert first["decision_reason"] == "empty (empty 1.00): no full exposure"
    assert last["decision_reason"] == "not empty (empty 0.00): exposed in full"


@pytest.mark.parametrize("model", [RaisingModel, HangingModel])
def test_places_without_tags_are_exposed_in_full(RE, seen, tag, axis, det, model):
    broken = model()
    tagger = tag(model=broken, deadline=0.05)
    RE(skip_empty(bp.scan([det], axis, 0, 2, 3), tagger, 0.1))
    getattr(broken, "released", None) and broken.released.set()
    assert actions(seen) == ["expose"] * 3
    status = "late" if model is HangingModel else "failed"
    assert [event["data"]["decision_status"] for event in seen.events("decisions")] == [status] * 3
    assert [event["data"]["decision_deadline_met"] for event in seen.events("decisions")] == [status != "late"] * 3


def test_any_plan_and_any_condition(RE, seen, tag, axis, det):
    other = SynAxis(name="other")
    plan = bp.grid_scan([det], other, 0, 1, 2, axis, 0, 6, 7, snake_axes=True)
    RE(skip_empty(plan, tag(), 0.1, empty="empty>0.9 and not ring"))
    assert actions(seen).count("expose") == 2 * len(FILLED)


def test_a_signal_of_the_exposure_may_be_named(RE, seen, tag, axis):
    camera = Camera(lambda seconds: flat(axis.position in FILLED))
    plain = ArrayDetector(lambda: camera._expose(), shape=(32, 32))
    RE(skip_empty(bp.scan([plain], axis, 0, 6, 7), tag(), 0.1, exposure=camera.cam.acquire_time))
    assert exposures(seen) == expected()


def test_interleaved_and_several_runs(RE, seen, tag, axis, det):
    tagger = tag()

    def plan():
        yield from bpp.set_run_key_wrapper(bp.scan([det], axis, 0, 6, 7), "first")
        yield from bp.scan([det], axis, 0, 6, 7)

    RE(skip_empty(plan(), tagger, 0.1))
    for run in (doc["uid"] for doc in seen.of("start")):
        assert seen.stop(run)["num_events"] == {"primary": 9, "tags": 9, "decisions": 7}
        seen.assert_every_frame_has_its_row(run=run)


def test_two_probes_must_both_be_empty(RE, seen, tag, axis):
    looks = []  # the first look at place 1 shows nothing, though something is there

    def frame(seconds):
        looks.append(axis.position)
        return flat(axis.position == 1 and looks.count(1) > 1)

    RE(skip_empty(bp.scan([Camera(frame)], axis, 0, 2, 3), tag(), 0.1, probes=2))
    assert exposures(seen) == [(0, 0.1), (0, 0.1), (1, 0.1), (1, 0.1), (1, 1.0), (2, 0.1), (2, 0.1)]
    assert actions(seen) == ["repeat", "skip", "repeat", "expose", "repeat", "skip"]
    assert [event["data"]["decision_point"] for event in seen.events("decisions")] == [1, 1, 2, 2, 3, 3]
    seen.assert_every_frame_has_its_row()


def test_of_four_probes_one_may_be_wrong_either_way(RE, seen, tag, axis):
    at_0, at_1 = [True, False, False, False, False], [False, True, True, True]
    shown = iter([False, *at_0, *at_1])  # ophyd asks once when the detector is made
    RE(skip_empty(bp.scan([Camera(lambda seconds: flat(next(shown)))], axis, 0, 1, 2), tag(), 0.1, probes=4))
    assert actions(seen) == [*["repeat"] * 4, "skip", "repeat", "repeat", "expose"]
    reasons = [event["data"]["decision_reason"] for event in seen.events("decisions")]
    assert reasons[0] == "not empty (empty 0.00): 1 of 2 probes"
    assert reasons[1] == "empty (empty 1.00): 1 of 4 probes"


def test_detector_without_an_exposure_is_named(RE, seen, tag, axis):
    with pytest.raises(XTagValueError, match=r"none of det, axis has .* cam.acquire_time .*exposure=signal"):
        RE(skip_empty(bp.scan([ArrayDetector(numbered())], axis, 0, 1, 2), tag(), 0.1))
    assert seen.stop()["exit_status"] == "fail"


def test_tagger_that_sees_no_frame_is_told_at_once(RE, seen, axis, det):
    tagger = Tagger(CountsModel())
    with pytest.raises(XTagError, match=r"call install\(RE\) or RE.subscribe"):
        RE(skip_empty(bp.scan([det], axis, 0, 6, 7), tagger, 0.1))
    tagger.uninstall()
    assert seen.stop()["exit_status"] == "fail"
    assert det.cam.acquire_time.get() == 1.0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"probe_exposure": 0}, XTagValueError),
        ({"probes": 0}, XTagValueError),
        ({"empty": "emty"}, ConditionError),
        ({"empty": "empty for 2"}, ConditionError),
    ],
)
def test_wrong_arguments_are_refused_before_the_run(RE, seen, tag, axis, det, arguments, error):
    with pytest.raises(error):
        RE(skip_empty(bp.scan([det], axis, 0, 6, 7), tag(), **{"probe_exposure": 0.1} | arguments))
    assert not seen.documents


@WAITS
@pytest.mark.parametrize("end", ["resume", "abort", "stop"])
def test_pause_with_rewind_and_ends(RE, seen, tag, axis, wait, end):
    """The pause comes after the probe of place 2 was exposed; resumed, that probe is taken again."""
    tagger = tag(wait=wait)
    pauses = iter([True])

    def image(seconds):
        if axis.position == 2 and next(pauses, False):
            RE.loop.call_soon_threadsafe(RE.loop.create_task, RE._request_pause_coro(False))
        return flat(axis.position in FILLED)

    det = Camera(image)
    with pytest.raises(RunEngineInterrupted):
        RE(skip_empty(bp.scan([det], axis, 0, 6, 7), tagger, 0.1))
    getattr(RE, end)()
    assert seen.stop()["exit_status"] == {"resume": "success", "abort": "abort", "stop": "success"}[end]
    assert det.cam.acquire_time.get() == 1.0
    seen.assert_every_frame_has_its_row()
    if end == "resume":
        assert exposures(seen) == expected()
        assert len(seen.of("event")) >= 9 + 9 + 7


def test_plan_that_fails_leaves_the_exposure_as_it_was(RE, seen, tag, axis, det):
    def plan():
        yield from bp.scan([det], axis, 0, 2, 3)
        raise RuntimeError("the plan is broken")

    @bpp.run_decorator()
    def inside():
        yield from bps.trigger_and_read([det, axis])
        raise RuntimeError("the plan is broken")

    tagger = tag()
    for broken in (plan(), inside()):
        with pytest.raises(RuntimeError, match="broken"):
            RE(skip_empty(broken, tagger, 0.1))
        assert det.cam.acquire_time.get() == 1.0
    assert [stop["exit_status"] for stop in seen.of("stop")] == ["success", "fail"]


def test_a_plan_whose_points_wait_for_tags_is_fine_and_one_whose_points_decide_says_so(RE, seen, tag, axis, det):
    tagger = tag()
    RE(skip_empty(bp.scan([det], axis, 0, 6, 7, per_step=tagged_step(tagger)), tagger, 0.1))
    assert exposures(seen) == expected()
    seen.assert_every_frame_has_its_row()
    with pytest.raises(XTagValueError, match="the plan writes the stream 'decisions' itself, as plan stubs do"):
        RE(skip_empty(bp.scan([det], axis, 0, 6, 7, per_step=tagged_step(tagger, "empty")), tagger, 0.1))
    assert det.cam.acquire_time.get() == 1.0
