"""scan_until: where the line ends."""

import pytest
from support.cameras import Camera, flat

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import scan_until
from bluesky_xtag.plans.conditions import ConditionError


def places(seen):
    return [event["data"]["axis"] for event in seen.events("primary")]


@pytest.mark.parametrize(
    ("line", "until", "expected"),
    [
        ((0, 6, 1), "ring>0.9", [0, 1, 2, 3]),
        ((0, 6, 1), "ring>0.3 for 3", [0, 1, 2, 3]),
        ((0, 6, 1), "ring>0.3 for 4", [0, 1, 2, 3, 4]),
        ((0, 6, 1), "ring", [0, 1, 2]),
        ((6, 0, 1), "ring > 0.9", [6, 5, 4, 3]),
        ((6, 0, -1), "ring > 0.9", [6, 5, 4, 3]),
        ((0, 1, 0.25), "ring>0.9", [0, 0.25, 0.5, 0.75, 1]),
        ((0, 0.3, 0.1), "ring>0.9", [0, 0.1, 0.2, pytest.approx(0.3)]),
        ((2, 2, 1), "ring>0.99", [2]),
        ((0, 6, 1), lambda seen: seen.scores["ring"] > 0.9, [0, 1, 2, 3]),
    ],
)
def test_it_ends_where_the_condition_holds(RE, seen, graded, decisions, axis, peak, line, until, expected):
    RE(scan_until([peak], graded(), axis, *line, until=until))
    assert places(seen) == expected
    assert decisions()[-1]["action"] == "stop"
    seen.assert_every_frame_has_its_row()


def test_it_tells_whether_it_held_and_stays_there(RE, graded, axis, peak):
    found = []

    def plan():
        for until in ("ring>0.9", "ring>0.99"):
            found.append((yield from scan_until([peak], tagger, axis, 0, 6, 1, until=until)))
            found.append(axis.position)

    tagger = graded()
    RE(plan())
    assert found == [True, 3, False, 6]


def test_frames_in_a_row_are_counted_anew_when_one_fails_the_condition(RE, seen, graded, decisions, axis):
    ring = iter([0, 0, 950, 950, 0, 950, 950, 950, 0, 0])  # ophyd takes the first before the scan
    camera = Camera(lambda seconds: flat(next(ring)))
    RE(scan_until([camera], graded(), axis, 0, 20, 1, until="ring for 3"))
    assert places(seen) == list(range(7))
    assert [row["reason"] for row in decisions()[2:6]] == [
        "ring for 3 (ring 0.95): holds for 1 of 3 frames",
        "ring for 3 (ring 0.95): holds for 2 of 3 frames",
        "not ring for 3 (ring 0.00)",
        "ring for 3 (ring 0.95): holds for 1 of 3 frames",
    ]


@pytest.mark.parametrize(
    ("line", "until", "error"),
    [
        ((0, 6, 0), "ring", XTagValueError),
        ((0, float("inf"), 1), "ring", XTagValueError),
        ((0, 6, 1), "rnig", ConditionError),
        ((0, 6, 1), None, ConditionError),
    ],
)
def test_wrong_arguments_are_refused_before_the_run(RE, seen, graded, axis, peak, line, until, error):
    with pytest.raises(error):
        RE(scan_until([peak], graded(), axis, *line, until=until))
    assert not seen.documents
