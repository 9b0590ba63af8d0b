"""Several frames at each place: their median is what the strategy is told."""

import pytest
from support.cameras import Camera, flat
from support.detectors import ArrayDetector, numbered
from support.models import RaisingModel

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import make, tag_adaptive_scan


def line(det, tagger, axis, tag="ring", **options):
    strategy = make("grid", {"axis": (1, 3)}, tags=tagger.model.taxonomy.names, tag=tag, shape=3)
    return tag_adaptive_scan([det], tagger, strategy, axis, 1, 3, **options), strategy


def test_one_wrong_frame_of_three_does_not_count(RE, seen, graded, decisions, computed_again, axis):
    counts = iter([0, 900, 200, 900, 100, 100, 950, 500, 400, 600])  # ophyd takes the first before the scan
    plan, strategy = line(Camera(lambda seconds: flat(next(counts))), graded(), axis, exposures=3)
    RE(plan)
    assert [event["data"]["axis"] for event in seen.events("primary")] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert strategy.get_best_points()[0][1:] == ({"axis": 1.0}, pytest.approx({
        "saturated": 0.0, "weak_scattering": 0.0, "ring": 0.9}))  # fmt: skip
    assert [(row["point"], row["action"], row["reason"]) for row in decisions()[:5]] == [
        (0, "move", "the first place"),
        (1, "repeat", "ring 0.90, 1 of 3 frames"),
        (1, "repeat", "ring 0.20, 2 of 3 frames"),
        (1, "move", "ring 0.90; median of 3: ring 0.90"),
        (2, "repeat", "ring 0.10, 1 of 3 frames"),
    ]
    assert seen.stop()["num_events"] == {"primary": 9, "tags": 9, "decisions": 10}
    assert computed_again() == ""


@pytest.mark.parametrize(
    ("rule", "acted"),
    [
        ("repeat", ["move", "repeat", "repeat", "repeat", "move"]),  # 1; 2 has no tags; 3; the next place
        ("skip", ["move", "repeat", "move"]),  # 1; 2 has no tags: what there is counts
        ("stop", ["move", "repeat", "stop"]),
    ],
)
def test_frames_without_tags(RE, seen, tag, decisions, computed_again, axis, rule, acted):
    plan, _ = line(
        ArrayDetector(numbered()), tag(model=RaisingModel(on={2})), axis, exposures=3, on_missing=rule, max_points=2
    )
    RE(plan)
    assert [row["action"] for row in decisions()][: len(acted)] == acted
    if rule == "skip":
        assert decisions()[2]["reason"] == "no tags (failed): left out; median of 1: ring 1.00"
    assert computed_again() == ""


@pytest.mark.parametrize("exposures", [0, True, 1.5, "3"])
def test_it_is_a_number_of_frames(RE, seen, graded, axis, peak, exposures):
    plan, _ = line(peak, graded(), axis, exposures=exposures)
    with pytest.raises(XTagValueError, match="exposures="):
        RE(plan)
    assert not seen.documents
