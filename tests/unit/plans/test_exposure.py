"""expose_until: which exposures are tried, and where it ends."""

import pytest
from support.cameras import Camera, flat
from support.detectors import ArrayDetector, numbered

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import expose_until
from bluesky_xtag.plans.conditions import ConditionError


def tried(seen):
    return [event["data"]["det_cam_acquire_time"] for event in seen.events("primary")]


def camera(rate, seconds):
    """Counts `rate` a second; 100 to 2000 counts are good."""
    return Camera(lambda seconds: flat(int(rate * seconds)), exposure=seconds)


@pytest.mark.parametrize(
    ("rate", "first", "limits", "expected", "good"),
    [
        (1000, 1.0, (0.01, 10), [1.0], 1.0),
        (1000, 0.01, (0.01, 10), [0.01, 0.04, 0.16], 0.16),
        (1000, 8.0, (0.01, 10), [8.0, 2.0], 2.0),
        (1000, 100, (0.01, 10), [10, 2.5, 0.625], 0.625),
        (1, 1.0, (0.01, 10), [1.0, 4.0, 10.0], None),
        (1e6, 1.0, (0.01, 10), [1.0, 0.25, 0.0625, 0.015625, 0.01], None),
    ],
)
def test_exposures_until_one_is_good(RE, seen, graded, decisions, rate, first, limits, expected, good):
    det, found = camera(rate, first), []

    def plan():
        found.append((yield from expose_until([det], graded(), limits=limits)))

    RE(plan())
    assert tried(seen) == expected
    assert found == [good]
    assert decisions()[-1]["action"] == "stop"
    assert {row["action"] for row in decisions()[:-1]} == {"expose"}
    assert det.cam.acquire_time.get() == expected[-1]
    seen.assert_every_frame_has_its_row()


def test_between_too_long_and_too_short(RE, seen, graded, decisions):
    det = camera(1000, 0.16)
    RE(expose_until([det], graded(), good="ring>0.9 and not saturated", limits=(0.01, 10)))
    assert tried(seen) == [0.16, 0.64, 2.56, pytest.approx(1.28)]
    assert [row["reason"].rpartition(": ")[2] for row in decisions()[1:3]] == [
        "0.16 s is too short",
        "0.64 s is too short",
    ]
    assert decisions()[3]["reason"].endswith("2.56 s is too long")


def test_nothing_between_ends_it(RE, seen, graded, decisions):
    det = camera(1000, 1.0)
    RE(expose_until([det], graded(), good="saturated and weak_scattering", limits=(0.01, 10)))
    assert decisions()[-1]["reason"].endswith("is good")
    assert len(tried(seen)) < 10


def test_a_signal_may_be_named(RE, seen, graded):
    det = camera(1000, 0.01)
    plain = ArrayDetector(lambda: det._expose(), shape=(32, 32))
    RE(expose_until([plain], graded(), exposure=det.cam.acquire_time, limits=(0.01, 10)))
    assert tried(seen) == [0.01, 0.04, 0.16]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"limits": (1, 0.1)}, XTagValueError),
        ({"limits": (0, 1)}, XTagValueError),
        ({"limits": (1,)}, XTagValueError),
        ({"good": "god"}, ConditionError),
        ({"good": "ring for 2"}, ConditionError),
        ({"on_missing": "wait"}, XTagValueError),
    ],
)
def test_wrong_arguments_are_refused_before_the_run(RE, seen, graded, arguments, error):
    with pytest.raises(error):
        RE(expose_until([camera(1000, 1)], graded(), **arguments))
    assert not seen.documents


def test_detector_without_an_exposure_is_named(RE, seen, graded):
    with pytest.raises(XTagValueError, match="none of det has a signal cam.acquire_time"):
        RE(expose_until([ArrayDetector(numbered())], graded()))
    assert not seen.documents
