"""When tags do not come: what a plan does is what `on_missing` says, and it always ends."""

import time
from collections import Counter

import pytest
from bluesky.utils import RunEngineInterrupted
from support.cameras import Camera, GradedModel, flat
from support.detectors import ArrayDetector, numbered
from support.models import HangingModel, RaisingModel

from bluesky_xtag.plans import expose_until, make, scan_until, tag_adaptive_scan

WAITS = pytest.mark.parametrize("wait", ["overlap", "point"])
PLACES = 4


def line(det, tagger, axis, **options):
    strategy = make("grid", {"axis": (1, PLACES)}, tags=tagger.model.taxonomy.names, shape=PLACES)
    return tag_adaptive_scan([det], tagger, strategy, axis, 1, PLACES, **options)


def places(seen):
    return [event["data"]["axis"] for event in seen.events("primary")]


def actions(decisions):
    return [row["action"] for row in decisions()]


@WAITS
@pytest.mark.parametrize(
    ("rule", "taken", "acted"),
    [
        ("repeat", [1, 2, 2, 3, 4], ["move", "move", "repeat", "move", "move", "stop"]),
        ("skip", [1, 2, 3, 4], ["move", "move", "skip", "move", "stop"]),
        ("stop", [1, 2], ["move", "move", "stop"]),
    ],
)
def test_model_that_fails_on_the_second_frame(RE, seen, tag, decisions, axis, wait, rule, taken, acted):
    tagger = tag(model=RaisingModel(on={2}), wait=wait)
    RE(line(ArrayDetector(numbered()), tagger, axis, on_missing=rule))
    assert places(seen) == taken
    assert actions(decisions) == acted
    seen.assert_every_frame_has_its_row()
    assert seen.stop()["exit_status"] == "success"


def test_the_reason_names_the_status_and_the_place(RE, seen, tag, decisions, axis):
    RE(line(ArrayDetector(numbered()), tag(model=RaisingModel(on={2, 3})), axis))
    reasons = [(row["point"], row["status"], row["reason"], row["to_axis"]) for row in decisions()[1:5]]
    assert reasons[1:3] == [(2, "failed", "no tags (failed): again", 2.0), (2, "failed", reasons[2][2], 3.0)]
    assert reasons[2][2] == "no tags (failed) again: left out"


@WAITS
@pytest.mark.parametrize(
    ("rule", "taken"), [("repeat", [1, 1, 2, 2, 3, 3, 4, 4]), ("skip", [1, 2, 3, 4]), ("stop", [1])]
)
@pytest.mark.parametrize("queue_size", [64, 1])
def test_model_that_hangs(RE, seen, tag, decisions, axis, wait, rule, taken, queue_size):
    """Every wait ends at its deadline: the frames are late, or dropped once the queue is full."""
    model = HangingModel()
    tagger = tag(model=model, deadline=0.1, wait=wait, queue_size=queue_size, policy="drop_newest")
    begin = time.monotonic()
    RE(line(ArrayDetector(numbered()), tagger, axis, on_missing=rule))
    elapsed = time.monotonic() - begin
    model.released.set()
    assert places(seen) == taken
    assert elapsed < 10
    statuses = Counter(row["status"] for row in decisions()[1:])
    assert statuses.total() == len(taken) == sum(seen.statuses().values())
    assert set(statuses) <= {"late", "dropped"}
    assert not any(row["deadline_met"] for row in decisions() if row["status"] == "late")
    assert seen.stop()["exit_status"] == "success"


def test_several_frames_a_point_that_are_never_scored_and_the_plan_goes_on(RE, seen, tag, decisions, axis):
    model = HangingModel()
    tagger = tag(model=model, deadline=0.2, queue_size=1, policy="drop_newest")
    RE(line(ArrayDetector(numbered((4, 32, 32)), shape=(4, 32, 32)), tagger, axis))
    model.released.set()
    assert {row["status"] for row in decisions()[1:]} <= {"late", "dropped"}
    assert seen.stop()["num_events"] == {"primary": 8, "tags": 32, "decisions": 9}


@WAITS
def test_pause_for_a_person_and_resume(RE, seen, tag, decisions, axis, wait):
    model = HangingModel()
    tagger = tag(model=model, deadline=0.2, wait=wait)
    with pytest.raises(RunEngineInterrupted):
        RE(line(ArrayDetector(numbered()), tagger, axis, on_missing="pause"))
    assert RE.state == "paused"
    assert actions(decisions) == ["move", "repeat"]
    assert decisions()[-1]["reason"] == "no tags (late): pause for a person, then again"
    with pytest.raises(RunEngineInterrupted):
        RE.resume()
    model.released.set()
    RE.resume()
    assert places(seen) == [1, 1, 1, 2, 3, 4]
    assert seen.stop()["exit_status"] == "success"
    seen.assert_every_frame_has_its_row()


@pytest.mark.parametrize("how", ["abort", "stop"])
def test_a_person_may_end_it_instead(RE, seen, tag, axis, how):
    tagger = tag(model=RaisingModel())
    with pytest.raises(RunEngineInterrupted):
        RE(line(ArrayDetector(numbered()), tagger, axis, on_missing="pause"))
    getattr(RE, how)()
    assert seen.stop()["exit_status"] == {"abort": "abort", "stop": "success"}[how]
    assert seen.stop()["num_events"] == {"primary": 1, "tags": 1, "decisions": 2}


def test_scan_until_leaves_out_what_has_no_tags(RE, seen, tag, decisions, axis):
    """The frame neither counts nor breaks the row of three."""
    tagger = tag(model=RaisingModel(on={3, 4}))
    RE(scan_until([ArrayDetector(numbered())], tagger, axis, 0, 9, 1, until="ring for 3"))
    assert places(seen) == [0, 1, 2, 2, 3]
    assert actions(decisions) == ["move", "move", "move", "repeat", "skip", "stop"]
    assert decisions()[-1]["reason"] == "ring for 3 (ring 1.00): holds for 3 of 3 frames"


def test_scan_until_ends_at_the_end_of_the_line_without_any_tags(RE, seen, tag, decisions, axis):
    RE(scan_until([ArrayDetector(numbered())], tag(model=RaisingModel()), axis, 0, 2, 1, until="ring"))
    assert places(seen) == [0, 0, 1, 1, 2, 2]
    assert decisions()[-1]["reason"].endswith("the end of the line")


@pytest.mark.parametrize(("rule", "frames"), [("repeat", 2), ("skip", 1), ("stop", 1)])
def test_expose_until_ends_without_any_tags(RE, seen, tag, decisions, rule, frames):
    class Broken(GradedModel):
        def score(self, image):
            raise RuntimeError("the network is broken")

    det = Camera(lambda seconds: flat(1))
    RE(expose_until([det], tag(model=Broken()), on_missing=rule))
    assert seen.stop()["num_events"] == {"primary": frames, "tags": frames, "decisions": frames + 1}
    assert actions(decisions)[-1] == "stop"
