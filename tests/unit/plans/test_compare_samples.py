"""compare_samples: which sample gets the next frame, and when the tray is done."""

import time

import pytest
from bluesky.utils import RunEngineInterrupted
from support.cameras import Camera, flat
from support.detectors import ArrayDetector, numbered
from support.models import RaisingModel
from support.steered import pause_after

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import compare_samples
from bluesky_xtag.plans.conditions import ConditionError

TRAY = {"A": [0], "B": [1], "C": [2]}


@pytest.fixture
def tray(axis):
    """A camera over samples that reach their ring after 1, 2 and 4 frames; sample D never does."""
    frames = dict.fromkeys(range(4), -1)
    frames[0] -= 1  # ophyd takes the first before the scan
    needed = {0: 0, 1: 1, 2: 3, 3: 1000}

    def image(seconds):
        place = round(axis.position)
        frames[place] += 1
        return flat(950 if frames[place] >= needed[place] else 200)

    return Camera(image)


def names(seen):
    return "".join("ABCD"[round(event["data"]["axis"])] for event in seen.events("primary"))


@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_frames_go_to_samples_that_still_differ(RE, seen, graded, decisions, computed_again, axis, tray, wait):
    found = []

    def plan():
        found.append((yield from compare_samples([tray], graded(wait=wait), [axis], TRAY, target="ring>0.9")))

    RE(plan())
    assert names(seen) == "ABCBCCC"
    assert found == [{"A": 1, "B": 2, "C": 4}]
    assert [row["reason"] for row in decisions()] == [
        "3 samples; next A, round 1, 3 left",
        "A: ring>0.9 (ring 0.95), done with frame 1; next B, round 1, 2 left",
        "B: not ring>0.9 (ring 0.20), differs; next C, round 1, 2 left",
        "C: not ring>0.9 (ring 0.20), differs; next B, round 2, 2 left",
        "B: ring>0.9 (ring 0.95), done with frame 2; next C, round 2, 1 left",
        "C: not ring>0.9 (ring 0.20), differs; next C, round 3, 1 left",
        "C: not ring>0.9 (ring 0.20), differs; next C, round 4, 1 left",
        "C: ring>0.9 (ring 0.95), done with frame 4; all samples meet the target",
    ]
    assert [row["point"] for row in decisions()] == [0, 1, 2, 3, 2, 3, 3, 3]
    seen.assert_every_frame_has_its_row()
    assert computed_again() == ""


def test_several_frames_in_a_row_must_meet_it(RE, seen, graded, axis, tray):
    RE(compare_samples([tray], graded(), [axis], {"A": [0], "B": [1]}, target="ring>0.9 for 2"))
    assert names(seen) == "ABABB"


def test_it_ends_after_its_frames_and_names_those_that_differ(RE, seen, graded, decisions, axis, tray):
    found = []

    def plan():
        tray_ = TRAY | {"D": [3]}
        found.append((yield from compare_samples([tray], graded(), [axis], tray_, target="ring>0.9", max_frames=7)))

    RE(plan())
    assert names(seen) == "ABCDBCD"
    assert found == [{"A": 1, "B": 2, "C": None, "D": None}]
    assert decisions()[-1]["reason"].endswith("7 frames, as many as asked for; 2 still differ: C, D")


def test_rounds_are_as_far_apart_as_was_asked(RE, seen, graded, axis, tray):
    begin = time.monotonic()
    RE(compare_samples([tray], graded(), [axis], TRAY, target="ring>0.9", interval=0.1))
    assert time.monotonic() - begin >= 3 * 0.1


@pytest.mark.parametrize(
    ("rule", "taken", "acted"),
    [
        ("repeat", "ABBC", ["move", "move", "repeat", "move", "stop"]),
        ("skip", "ABCB", ["move", "move", "skip", "move", "stop"]),
        ("stop", "AB", ["move", "move", "stop"]),
    ],
)
def test_frames_without_tags(RE, seen, tag, decisions, computed_again, axis, rule, taken, acted):
    tagger = tag(model=RaisingModel(on={2}))
    RE(compare_samples([ArrayDetector(numbered())], tagger, [axis], TRAY, target="ring", on_missing=rule))
    assert names(seen) == taken
    assert [row["action"] for row in decisions()] == acted
    assert seen.stop()["exit_status"] == "success"
    assert computed_again() == ""


@pytest.mark.parametrize("stream", ["primary", "tags", "decisions"])
def test_pauses_with_rewind(RE, seen, graded, computed_again, axis, stream):
    det = Camera(lambda seconds: flat(950 if axis.position < 2 else 200))
    pause_after(RE, stream, 2)
    with pytest.raises(RunEngineInterrupted):
        RE(compare_samples([det], graded(), [axis], TRAY, target="ring>0.9", max_frames=5))
    (uid,) = RE.resume()
    assert seen.stop(uid)["num_events"] == {"primary": 5, "tags": 5, "decisions": 6}
    assert names(seen) == "ABCCC"
    assert computed_again(uid) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"motors": []}, "not a list of motors"),
        ({"samples": {}}, "give the place of each sample"),
        ({"samples": [0, 1]}, "give the place of each sample"),
        ({"samples": {"A": 1}}, "place of sample 'A' is 1"),
        ({"samples": {"A": [1, 2]}}, "a position for each of axis"),
        ({"samples": {"A": ["here"]}}, "a position of sample 'A' is 'here'"),
        ({"target": "rnig"}, "rnig"),
        ({"interval": -1}, "interval=-1"),
        ({"max_frames": 0}, "max_frames=0"),
        ({"on_missing": "never"}, "on_missing='never'"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_run(RE, seen, graded, axis, tray, change, says):
    arguments = {"motors": [axis], "samples": TRAY, "target": "ring"} | change
    with pytest.raises((XTagValueError, ConditionError), match=says):
        RE(compare_samples([tray], graded(), **arguments))
    assert not seen.documents


def test_a_motor_given_twice_or_alone_is_refused(graded, axis, tray):
    for motors in ([axis, axis], axis):
        with pytest.raises(XTagValueError, match="given twice|not a list of motors"):
            list(compare_samples([tray], graded(), motors, {"A": [0, 0]}, target="ring"))
