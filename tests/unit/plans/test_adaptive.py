"""tag_adaptive_scan: where frames are taken, and what is written of it."""

import math

import bluesky.plans as bp
import numpy as np
import pytest
from ophyd.sim import SynAxis
from support.cameras import GradedModel
from support.detectors import ArrayDetector, numbered

from bluesky_xtag import Tagger, XTagError, XTagValueError
from bluesky_xtag.plans import make, tag_adaptive_scan

WAITS = pytest.mark.parametrize("wait", ["overlap", "point"])


@WAITS
def test_one_run_with_a_row_for_each_frame_and_each_decision(RE, seen, graded, decisions, axis, other, peak, wait):
    tagger = graded(wait=wait)
    (uid,) = RE(tag_adaptive_scan([peak], tagger, "random", axis, 0, 6, other, -3, 3, tag="ring", max_points=8))
    assert seen.stop()["num_events"] == {"primary": 8, "tags": 8, "decisions": 9}
    assert seen.stop()["exit_status"] == "success"
    seen.assert_every_frame_has_its_row()
    taken = [(event["data"]["axis"], event["data"]["other"]) for event in seen.events("primary")]
    chosen = [(row["to_axis"], row["to_other"]) for row in decisions()[:-1]]
    np.testing.assert_allclose(chosen, taken, rtol=1e-9)  # ophyd's motors come close
    assert seen.start()["plan_name"] == "tag_adaptive_scan"
    assert seen.start()["motors"] == ["axis", "other"]


def test_a_decision_tells_what_was_seen_and_why(RE, seen, graded, decisions, axis, peak):
    RE(
        tag_adaptive_scan(
            [peak], graded(), make("grid", {"axis": (1, 3)}, tags=["ring"], shape=2), axis, 1, 3, tag="ring"
        )
    )
    first, second, last = decisions()
    assert (first["point"], first["row"], first["status"], first["action"]) == (0, 0, "", "move")
    assert math.isnan(first["p"]) and first["reason"] == "the first place"
    assert (second["point"], second["row"], second["strategy"]) == (1, 1, "grid")
    assert (second["tag"], second["p"], second["tags"], second["status"]) == ("ring", pytest.approx(0.349), "", "ok")
    assert (second["action"], second["to_axis"], second["reason"]) == ("move", 3.0, "ring 0.35")
    assert (last["p"], last["tags"], last["action"]) == (pytest.approx(0.95), "ring", "stop")
    assert last["reason"] == "ring 0.95; all 2 places of the grid are done"
    assert math.isnan(last["to_axis"])
    assert [row["deadline_met"] for row in (first, second, last)] == [True] * 3


def test_it_returns_what_the_strategy_found(RE, graded, axis, peak):
    found = []

    def plan():
        strategy = make("grid", {"axis": (0, 6)}, tags=tagger.model.taxonomy.names, tag="ring", shape=7)
        found.extend((yield from tag_adaptive_scan([peak], tagger, strategy, axis, 0, 6)))

    tagger = graded()
    RE(plan())
    ((number, place, scores),) = found
    assert (number, place, scores["ring"]) == (3, {"axis": 3.0}, pytest.approx(0.95))


def test_with_a_tagger_that_is_just_subscribed(RE, seen, decisions, axis, peak):
    tagger = Tagger(GradedModel())
    RE.subscribe(tagger)
    RE(tag_adaptive_scan([peak], tagger, "random", axis, 0, 6, max_points=4))
    tagger.uninstall()
    assert seen.stop()["num_events"] == {"primary": 4, "tags": 4, "decisions": 5}
    seen.assert_every_frame_has_its_row()


@pytest.mark.parametrize("how", ["overlap", "point", "subscribed"])
def test_with_several_images_an_event_the_last_decides(RE, seen, graded, decisions, axis, how):
    if how == "subscribed":
        tagger = Tagger(GradedModel())
        RE.subscribe(tagger)
    else:
        tagger = graded(wait=how)
    det = ArrayDetector(numbered((3, 32, 32)), shape=(3, 32, 32))
    RE(tag_adaptive_scan([det], tagger, "random", axis, 0, 6, max_points=2))
    tagger.uninstall()
    assert seen.stop()["num_events"] == {"primary": 2, "tags": 6, "decisions": 3}
    assert [row["row"] for row in decisions()] == [0, 3, 6]


def test_other_plans_after_it_are_tagged_as_before(RE, seen, graded, axis, peak):
    tagger = graded()
    RE(tag_adaptive_scan([peak], tagger, "random", axis, 0, 6, max_points=2))
    RE(bp.scan([peak], axis, 0, 1, 3))
    assert seen.of("stop")[-1]["num_events"] == {"primary": 3, "tags": 3}


@pytest.mark.parametrize(
    ("strategy", "arguments", "options", "says"),
    [
        ("rnadom", ("axis", 0, 6), {}, "no strategy 'rnadom'"),
        ("random", ("axis", 0), {}, "give motor, low, high"),
        ("random", (), {}, "give motor, low, high"),
        ("random", (1, 2, 3), {}, "1 is not a motor"),
        ("random", ("axis", 6, 0), {}, "limits"),
        ("random", ("axis", 0, 6), {"tag": "rnig"}, "no tag 'rnig'"),
        ("random", ("axis", 0, 6), {"max_points": 0}, "max_points=0"),
        ("random", ("axis", 0, 6), {"on_missing": "wait"}, "on_missing='wait'"),
        (None, ("axis", 0, 6), {}, "None is not a strategy"),
        (make("random", {"y": (0, 1)}, tags=["ring"]), ("axis", 0, 6), {}, "the strategy moves y, the plan axis"),
    ],
)
def test_wrong_arguments_are_refused_before_the_run(RE, seen, graded, axis, peak, strategy, arguments, options, says):
    args = [axis if each == "axis" else each for each in arguments]
    with pytest.raises(XTagValueError, match=says):
        RE(tag_adaptive_scan([peak], graded(), strategy, *args, **options))
    assert not seen.documents


def test_tagger_that_sees_no_frame_is_told_at_once(RE, seen, axis, peak):
    tagger = Tagger(GradedModel())
    with pytest.raises(XTagError, match=r"call install\(RE\) or RE.subscribe\(tagger\)"):
        RE(tag_adaptive_scan([peak], tagger, "random", axis, 0, 6))
    tagger.uninstall()
    assert seen.stop()["exit_status"] == "fail"
    assert seen.stop()["num_events"]["primary"] == 1


def test_a_strategy_that_fails_ends_the_run_cleanly(RE, seen, graded, axis, peak):
    class Broken:
        def __init__(self):
            self.told = 0

        def suggest(self, num_points=None):
            if self.told == 2:
                raise RuntimeError("the strategy is broken")
            return [{"_id": self.told, "axis": 1.0}]

        def ingest(self, points):
            self.told += 1

        def skip(self, points): ...

        def get_best_points(self):
            return []

        def should_stop(self):
            return False

    with pytest.raises(RuntimeError, match="the strategy is broken"):
        RE(tag_adaptive_scan([peak], graded(), Broken(), axis, 0, 6))
    assert seen.stop()["exit_status"] == "fail"
    assert seen.stop()["num_events"] == {"primary": 2, "tags": 2, "decisions": 2}


def test_a_motor_that_fails_ends_the_run_cleanly(RE, seen, graded, peak):
    class Stuck(SynAxis):
        def set(self, value):
            if value > 2:
                raise RuntimeError("the motor is stuck")
            return super().set(value)

    stuck = Stuck(name="axis")
    strategy = make("grid", {"axis": (0, 4)}, tags=["ring"], shape=5)
    with pytest.raises(RuntimeError, match="stuck"):
        RE(tag_adaptive_scan([peak], graded(), strategy, stuck, 0, 4))
    assert seen.stop()["num_events"] == {"primary": 3, "tags": 3, "decisions": 4}
    seen.assert_every_frame_has_its_row()
