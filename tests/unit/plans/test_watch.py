"""watch: when the next frame follows, what the dose is, and when the series ends."""

import time

import pytest
from bluesky.utils import RunEngineInterrupted
from support.cameras import Camera, flat
from support.detectors import ArrayDetector, numbered
from support.models import RaisingModel
from support.steered import pause_after

from bluesky_xtag import XTagValueError
from bluesky_xtag.documents import TagRow
from bluesky_xtag.plans import watch
from bluesky_xtag.plans.conditions import ConditionError, parse
from bluesky_xtag.plans.decisions import ByChange, WatchRules

TAGS = ("ring", "halo")


def rules(**options):
    return WatchRules(**{"shortest": 1.0, "longest": 10.0, "change": 0.2, "exposure": 0.5, "max_frames": 100} | options)


def intervals(decider, *rows):
    """The intervals that a decider chooses after frames with these scores of ring and halo; it ends with a reason."""
    chosen = [decider.first().values["interval"]]
    for number, scores in enumerate(rows, 1):
        decision = decider.decide(
            TagRow(number, "ok", (), dict(zip(TAGS, scores, strict=True)), 0.0, f"event {number}")
        )
        chosen.append(decision.reason if decision.action == "stop" else decision.values["interval"])
    return chosen


def test_it_looks_seldom_while_nothing_changes():
    decider = ByChange(TAGS, rules(), None, TAGS)
    assert intervals(decider, *[(0.1, 0.1)] * 8) == [0, 1, 1.5, 2.25, 3.375, 5.0625, 7.59375, 10, 10]


def test_it_looks_often_when_tags_change_and_again_when_they_begin_to():
    decider = ByChange(TAGS, rules(), None, TAGS)
    quiet = [(0.1, 0.1)] * 5
    assert intervals(decider, *quiet)[-1] == 5.0625
    chosen = [decider.decide(TagRow(7, "ok", (), {"ring": ring, "halo": 0.1}, 0.0, "e")) for ring in (0.2, 0.29, 0.31)]
    assert [each.values["interval"] for each in chosen] == [2.53125, 1.265625, 1]
    assert [each.reason.partition(";")[0] for each in chosen] == [
        "ring 0.20 after 0.10: begins to change",
        "ring 0.29 after 0.10: begins to change",
        "ring 0.31 after 0.10: changed",
    ]
    assert decider.changes == 1


def test_slow_changes_add_up():
    decider = ByChange(TAGS, rules(), None, TAGS)
    intervals(decider, *[(0.1 + 0.01 * step, 0.5) for step in range(25)])
    assert decider.changes == 1


def test_tags_that_are_not_watched_do_not_count():
    decider = ByChange(["halo"], rules(), None, TAGS)
    assert intervals(decider, (0.1, 0.5), (0.9, 0.5), (0.1, 0.5)) == [0, 1, 1.5, 2.25]


@pytest.mark.parametrize(
    ("options", "rows", "ends"),
    [
        (
            {"max_frames": 3},
            [(0.1, 0.1)] * 3,
            "as many frames as asked for; frames: 3 in 2.5 s, dose 1.5 s",
        ),
        (
            {"max_seconds": 3.0},
            [(0.1, 0.1)] * 3,
            "would be later than 3 s; frames: 3 in 2.5 s, dose 1.5 s",
        ),
        (
            {"max_dose": 1.5},
            [(0.1, 0.1)] * 3,
            "would take the dose to 2 s; frames: 3 in 2.5 s, dose 1.5 s",
        ),
        (
            {"settled": 2.0},
            [(0.1, 0.1), (0.8, 0.1), (0.8, 0.1), (0.8, 0.1)],
            "has changed for 2.5 s; frames: 4",
        ),
        (
            {"exposure": None, "max_frames": 1},
            [(0.1, 0.1)],
            "as many frames as asked for; frames: 1 in 0 s",
        ),
    ],
)
def test_stop_rules(options, rows, ends):
    *_, reason = intervals(ByChange(TAGS, rules(**options), None, TAGS), *rows)
    assert ends in reason


def test_a_condition_ends_it():
    decider = ByChange(TAGS, rules(), parse("ring>0.7 for 2", TAGS), TAGS)
    *_, reason = intervals(decider, (0.1, 0), (0.8, 0), (0.1, 0), (0.8, 0), (0.9, 0))
    assert reason.startswith("ring>0.7 for 2 (ring 0.90): holds for 2 frames")
    assert decider.found


@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_frames_rows_and_decisions_of_a_series(RE, seen, graded, decisions, computed_again, wait):
    counts = iter([0, 100, 100, 100, 400, 900, 900, 900])  # ophyd takes the first before the scan
    det = Camera(lambda seconds: flat(next(counts)), exposure=0.01)
    found = []

    def plan():
        found.append(
            (yield from watch([det], graded(wait=wait), interval=(0.01, 0.05), until="ring>0.8 for 2", max_dose=1))
        )

    RE(plan())
    assert found == [True]
    assert seen.stop()["num_events"] == {"primary": 6, "tags": 6, "decisions": 7}
    assert [row["to_dose"] for row in decisions()[:-1]] == pytest.approx([0.01 * n for n in range(1, 7)])
    assert det.dose == pytest.approx(0.06)
    assert [row["to_interval"] for row in decisions()[:4]] == pytest.approx([0, 0.01, 0.015, 0.0225])
    assert {event["data"]["det_cam_acquire_time"] for event in seen.events("primary")} == {0.01}
    seen.assert_every_frame_has_its_row()
    assert computed_again() == ""


def test_frames_are_as_far_apart_as_was_decided(RE, graded, decisions):
    begin = time.monotonic()
    RE(watch([Camera(lambda seconds: flat(100))], graded(), interval=(0.05, 0.2), max_frames=4))
    assert time.monotonic() - begin >= sum(row["to_interval"] for row in decisions()[:-1]) >= 0.2


@pytest.mark.parametrize(
    ("rule", "acted"),
    [
        ("repeat", ["expose", "expose", "repeat", "expose", "stop"]),
        ("skip", ["expose", "expose", "skip", "expose", "stop"]),
        ("stop", ["expose", "expose", "stop"]),
    ],
)
def test_frames_without_tags(RE, seen, tag, decisions, computed_again, rule, acted):
    tagger = tag(model=RaisingModel(on={2}))
    RE(watch([ArrayDetector(numbered())], tagger, interval=(0.01, 0.1), max_frames=4, on_missing=rule))
    assert [row["action"] for row in decisions()] == acted
    assert seen.stop()["exit_status"] == "success"
    assert computed_again() == ""


@pytest.mark.parametrize("stream", ["primary", "tags", "decisions"])
def test_pauses_with_rewind(RE, seen, graded, computed_again, stream):
    pause_after(RE, stream, 2)
    with pytest.raises(RunEngineInterrupted):
        RE(watch([Camera(lambda seconds: flat(100))], graded(), interval=(0.01, 0.1), max_frames=4))
    (uid,) = RE.resume()
    assert seen.stop(uid)["num_events"] == {"primary": 4, "tags": 4, "decisions": 5}
    assert computed_again(uid) == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"interval": (5, 1)}, "the shortest and the longest interval"),
        ({"interval": 5}, "the shortest and the longest interval"),
        ({"interval": ("a", 1)}, "the shortest interval is 'a'"),
        ({"change": 0}, "above 0 and up to 1"),
        ({"max_frames": 0}, "max_frames=0"),
        ({"max_dose": -1}, "max_dose=-1"),
        ({"settled": 0}, "settled=0"),
        ({"tags": ["rnig"]}, "no tag 'rnig'"),
        ({"tags": "ring"}, r"give \['ring'\]"),
        ({"tags": []}, "no tag to watch"),
        ({"until": "rnig"}, "rnig"),
        ({"on_missing": "never"}, "on_missing='never'"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_run(RE, seen, graded, options, says):
    with pytest.raises((XTagValueError, ConditionError), match=says):
        RE(watch([Camera(lambda seconds: flat(1))], graded(), **options))
    assert not seen.documents


def test_a_dose_needs_an_exposure(RE, seen, graded):
    with pytest.raises(XTagValueError, match="name its signal, exposure="):
        RE(watch([ArrayDetector(numbered())], graded(), max_dose=1))
    assert not seen.documents
