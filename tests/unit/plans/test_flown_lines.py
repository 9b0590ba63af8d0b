"""Lines that are flown and judged as a whole: a strategy chooses where the next one lies."""

import math

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider, init_devices
from ophyd_async.sim import SimBlobDetector, SimMotor
from support.cameras import Camera, flat
from support.detectors import ArrayDetector, numbered
from support.models import RaisingModel
from support.steered import pause_after

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import make, skip_empty, tag_adaptive_fly

FRAMES = 20


@pytest.fixture
def disk(axis, other):
    """A camera that sees a "ring" within 2.5 of axis = 6, other = 3."""
    return Camera(lambda seconds: flat(900 if math.hypot(axis.position - 6, other.position - 3) < 2.5 else 50))


def stepping(*detectors, readings=(), frames=None):
    """A plan that takes the frames of a line one after the other, as an event each."""

    def fly(flight):
        first, last = flight.start[flight.motor], flight.stop[flight.motor]
        for number in range(flight.frames if frames is None else frames(flight)):
            yield from bps.mv(flight.motor, first + (number + 0.5) / flight.frames * (last - first))
            yield from bps.trigger_and_read([*detectors, *readings])

    return fly


def scan(det, tagger, other, axis, strategy="boundary", fly=None, **options):
    options = {"tag": "ring", "frames": FRAMES, "frame_seconds": 0.1, "max_lines": 10} | options
    fly = fly or stepping(det, readings=[axis, other])
    return tag_adaptive_fly([det], tagger, strategy, other, 0, 10, axis, 0, 10, fly=fly, **options)


def lines(rows):
    """(other, start, stop) of each line that was chosen."""
    chosen = [row for row in rows if row["action"] in ("move", "skip")]
    return np.array([(row["to_other"], row["to_axis"], row["to_axis_stop"]) for row in chosen])


def test_lines_are_chosen_where_they_tell_most(RE, seen, graded, decisions, computed_again, axis, other, disk):
    RE(scan(disk, graded(), other, axis))
    rows = decisions()
    assert [row["action"] for row in rows] == ["move"] * 10 + ["stop"]
    assert rows[-1]["reason"].endswith("10 lines are done, as many as asked for")
    assert len(seen.events("primary")) == 10 * FRAMES
    assert {tuple(sorted(ends)) for ends in lines(rows)[:, 1:]} == {(0, 10)}
    chosen = lines(rows)[4:, 0]
    assert (abs(chosen - 3) < 3.2).sum() >= 5  # the first four are spread evenly
    assert [row["line_frames"] for row in rows] == [0] + [FRAMES] * 10
    assert {row["line_lost"] for row in rows} == {0}
    seen.assert_every_frame_has_its_row()
    assert computed_again() == ""


def test_a_row_says_what_was_seen_on_the_line(RE, seen, graded, decisions, axis, other, disk):
    RE(scan(disk, graded(), other, axis))
    events = seen.events("primary")
    for number, row in enumerate(decisions()[1:]):
        taken = events[number * FRAMES : (number + 1) * FRAMES]
        on = sum(math.hypot(event["data"]["axis"] - 6, event["data"]["other"] - 3) < 2.5 for event in taken)
        assert row["line_accepted"] == on
        assert row["reason"].startswith(f"ring on {on} of {FRAMES} frames")
        assert row["row"] == (number + 1) * FRAMES


def test_each_line_begins_where_the_motor_is(RE, graded, decisions, axis, other, disk):
    RE(scan(disk, graded(), other, axis, motion={"axis": {"velocity": 1}, "other": {"velocity": 1}}))
    ends = lines(decisions())[:, 1:]
    assert (ends[1:, 0] == ends[:-1, 1]).all()


def test_it_returns_what_the_strategy_found(RE, graded, axis, other):
    found = []
    camera = Camera(
        lambda seconds: flat(round(950 * math.exp(-((axis.position - 7) ** 2 + (other.position - 2) ** 2) / 8)))
    )

    def plan():
        found.extend((yield from scan(camera, tagger, other, axis, "seek", span=4, max_lines=14, frames=15)))

    tagger = graded()
    RE(plan())
    ((_, best, scores),) = found[:1]
    assert math.hypot(best["axis"] - 7, best["other"] - 2) < 0.8
    assert scores["ring"] > 0.85


@pytest.mark.parametrize("strategy", ["novelty", "phases"])
def test_strategies_that_map_all_tags(RE, seen, graded, decisions, computed_again, axis, other, disk, strategy):
    RE(scan(disk, graded(), other, axis, strategy, tag=None, span=5, max_lines=6))
    ends = lines(decisions())[:, 1:]
    assert abs(np.diff(ends)).ravel() == pytest.approx(5)
    assert ends.min() >= 0 and ends.max() <= 10
    assert decisions()[1]["reason"].startswith(f"tags on {FRAMES} of {FRAMES} frames")
    assert computed_again() == ""


def test_lines_lie_in_the_region_with_all_their_frames(RE, seen, graded, decisions, computed_again, axis, other, disk):
    region = {"outline": [[0, 0], [10, 0], [0, 10]], "forbidden": [{"other": [4, 5]}]}
    RE(scan(disk, graded(), other, axis, span=3, region=region))
    taken = np.array([(event["data"]["other"], event["data"]["axis"]) for event in seen.events("primary")])
    assert len(taken) == 10 * FRAMES
    assert (taken.sum(axis=1) <= 10).all() and not ((4 <= taken[:, 0]) & (taken[:, 0] <= 5)).any()
    assert computed_again() == ""


# Frames without tags


@pytest.mark.parametrize("first", [1, 5, FRAMES])
def test_frames_without_tags_tell_nothing(RE, seen, tag, decisions, computed_again, axis, other, first):
    tagger = tag(model=RaisingModel(on=set(range(first, first + 3))))
    RE(scan(ArrayDetector(numbered()), tagger, other, axis, "novelty", tag=None, max_lines=3))
    lost = [sum(first <= number < first + 3 for number in range(at, at + FRAMES)) for at in (1, 1 + FRAMES)]
    assert [row["line_lost"] for row in decisions()[1:3]] == lost
    assert [row["line_frames"] for row in decisions()[1:3]] == [FRAMES - each for each in lost]
    assert f"{lost[0]} without tags" in decisions()[1]["reason"]
    assert computed_again() == ""


@pytest.mark.parametrize(
    ("rule", "acted", "flown"),
    [
        ("repeat", ["move", "move", "repeat", "move", "stop"], 4),
        ("skip", ["move", "move", "skip", "stop"], 3),
        ("stop", ["move", "move", "stop"], 2),
    ],
)
def test_a_line_without_any_tags(RE, seen, tag, decisions, computed_again, axis, other, rule, acted, flown):
    tagger = tag(model=RaisingModel(on=set(range(FRAMES + 1, 2 * FRAMES + 1))))
    RE(scan(ArrayDetector(numbered()), tagger, other, axis, "novelty", tag=None, max_lines=3, on_missing=rule))
    rows = decisions()
    assert [row["action"] for row in rows] == acted
    assert len(seen.events("primary")) == flown * FRAMES
    if rule == "repeat":  # the same line again
        assert [rows[2][f"to_{name}"] for name in ("other", "axis", "axis_stop")] == lines(rows)[1].tolist()
    assert rows[2]["line_lost"] == FRAMES and rows[2]["reason"].startswith("no tags (failed)")
    assert seen.stop()["exit_status"] == "success"
    assert computed_again() == ""


def test_a_line_that_gives_no_tags_pauses_the_scan(RE, seen, tag, decisions, axis, other):
    tagger = tag(model=RaisingModel(on=set(range(1, FRAMES + 1))))
    with pytest.raises(RunEngineInterrupted):
        RE(scan(ArrayDetector(numbered()), tagger, other, axis, "novelty", tag=None, max_lines=2, on_missing="pause"))
    RE.resume()
    assert [row["line_frames"] for row in decisions()] == [0, 0, FRAMES, FRAMES]
    assert len(seen.events("primary")) == 3 * FRAMES


def test_a_detector_that_never_gives_tags_ends_the_plan(RE, seen, tag, decisions, axis, other):
    tagger = tag(model=RaisingModel(on=set(range(1, 1000))))
    RE(scan(ArrayDetector(numbered()), tagger, other, axis, "novelty", tag=None, on_missing="skip"))
    assert [row["action"] for row in decisions()] == ["move", "skip", "skip", "stop"]
    assert decisions()[-1]["reason"].endswith("3 lines in succession gave no tags")


@pytest.mark.parametrize("more", [-7, -1, 1, 30])
def test_other_numbers_of_frames_than_asked_for(RE, seen, graded, decisions, computed_again, axis, other, disk, more):
    """A detector that misses triggers, and one that gives frames on the way back."""
    fly = stepping(disk, readings=[axis, other], frames=lambda flight: flight.frames + more * (flight.number == 2))
    RE(scan(disk, graded(), other, axis, fly=fly, max_lines=5))
    rows = decisions()[1:]
    assert [row["line_frames"] for row in rows] == [FRAMES, FRAMES + min(more, 0), FRAMES, FRAMES, FRAMES]
    assert rows[1]["line_lost"] == max(-more, 0)
    assert (f"{more} more than announced" in rows[1]["reason"]) == (more > 0)
    events = seen.events("primary")[2 * FRAMES + more :][:FRAMES]  # the third line is told where it lies
    on = sum(math.hypot(event["data"]["axis"] - 6, event["data"]["other"] - 3) < 2.5 for event in events)
    assert rows[2]["line_accepted"] == on
    assert computed_again() == ""


def test_a_line_without_any_frame_is_flown_again(RE, seen, graded, decisions, axis, other, disk):
    calls = iter([0])
    fly = stepping(disk, readings=[axis, other], frames=lambda flight: next(calls, flight.frames))
    RE(scan(disk, graded(), other, axis, fly=fly, max_lines=2))
    assert [row["action"] for row in decisions()] == ["move", "repeat", "move", "stop"]
    assert [row["line_frames"] for row in decisions()] == [0, 0, FRAMES, FRAMES]


def test_what_other_cameras_see_meanwhile_does_not_count(
    RE, seen, graded, decisions, computed_again, axis, other, disk
):
    microscope = Camera(lambda seconds: flat(900), name="microscope")

    def fly(flight):
        yield from bps.trigger_and_read([microscope], name="microscope")
        yield from stepping(disk, readings=[axis, other])(flight)

    RE(scan(disk, graded(), other, axis, fly=fly, max_lines=3))
    assert [row["line_frames"] for row in decisions()] == [0, FRAMES, FRAMES, FRAMES]
    on = [math.hypot(event["data"]["axis"] - 6, event["data"]["other"] - 3) < 2.5 for event in seen.events("primary")]
    assert [row["line_accepted"] for row in decisions()[1:]] == np.reshape(on, (3, FRAMES)).sum(axis=1).tolist()
    assert computed_again() == ""


def test_a_pause_flies_the_line_again(RE, seen, graded, decisions, axis, other, disk):
    pause_after(RE, "primary", FRAMES + 5)
    with pytest.raises(RunEngineInterrupted):
        RE(scan(disk, graded(), other, axis, max_lines=3))
    RE.resume()
    assert [row["line_frames"] for row in decisions()] == [0, FRAMES, FRAMES, FRAMES]
    assert [row["action"] for row in decisions()] == ["move", "move", "move", "stop"]


# Devices of ophyd-async


@pytest.fixture
def flying(RE, tmp_path):
    """A motor that stands still on a line, one that flies, and a detector that flies."""
    with init_devices():
        rows = SimMotor(name="rows", instant=True)
        columns = SimMotor(name="columns", instant=True)
        blob = SimBlobDetector(StaticPathProvider(StaticFilenameProvider("blob"), tmp_path), name="blob")
    return rows, columns, blob


def test_devices_of_ophyd_async_fly(RE, seen, graded, decisions, computed_again, flying):
    rows, columns, blob = flying
    tagger = graded()
    RE(
        tag_adaptive_fly(
            [blob], tagger, "novelty", rows, -1, 1, columns, -2, 2, frames=5, frame_seconds=0.02, max_lines=3
        )
    )
    assert [row["line_frames"] for row in decisions()] == [0, 5, 5, 5]
    assert [row["action"] for row in decisions()] == ["move", "move", "move", "stop"]
    assert [event["data"]["xtag_frame_seq_num"] for event in seen.events("tags")] == list(range(1, 16))
    assert {doc["plan_name"] for doc in seen.of("start")} == {"tag_adaptive_fly"}
    assert abs(lines_of(decisions(), "columns")) == pytest.approx(4)
    assert computed_again() == ""


def lines_of(rows, motor):
    return np.array([row[f"to_{motor}_stop"] - row[f"to_{motor}"] for row in rows if row["action"] == "move"])


# Arguments


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frames": 1}, "frames=1 must be a whole number from 2"),
        ({"frames": 2.5}, "frames=2.5 must be a whole number"),
        ({"max_lines": 0}, "max_lines=0 must be a whole number from 1"),
        ({"initial_lines": True}, "initial_lines=True must be a whole number"),
        ({"frame_seconds": 0}, "frame_seconds=0: give seconds above 0"),
        ({"span": 0}, "span=0 must be above 0 and at most 10"),
        ({"span": 11}, "span=11 must be above 0 and at most 10"),
        ({"strategy": "grid"}, "grid does not know the use of a line"),
        ({"strategy": "bondary"}, "bondary"),
        ({"tag": "rnig"}, "rnig"),
        ({"tag": None}, "tag"),
        ({"on_missing": "cry"}, "cry"),
        ({"fly": "line"}, "fly='line' is no plan"),
        ({"region": {"outline": [[0, 0], [5, 0], [0, 5]]}}, "give a smaller span"),
    ],
)
def test_wrong_arguments_are_refused_before_the_run(RE, seen, graded, axis, other, disk, options, words):
    with pytest.raises(XTagValueError, match=words.replace("[", r"\[")):
        RE(scan(disk, graded(), other, axis, **options))
    assert not seen.documents


def test_a_strategy_object_is_refused(RE, seen, graded, axis, other, disk):
    tagger = graded()
    strategy = make("boundary", {"other": (0, 10), "axis": (0, 10)}, tags=tagger.model.taxonomy.names, tag="ring")
    with pytest.raises(XTagValueError, match="by name"):
        RE(scan(disk, tagger, other, axis, strategy))


def test_one_motor_has_no_lines_to_choose_from(RE, seen, graded, axis, disk):
    tagger = graded()
    with pytest.raises(XTagValueError, match="give a second motor, or a smaller span"):
        RE(tag_adaptive_fly([disk], tagger, "novelty", axis, 0, 10, frames=5, frame_seconds=1, fly=stepping(disk)))
    assert not seen.documents


def test_devices_that_do_not_fly_are_refused_by_name(RE, seen, graded, axis, other, disk):
    tagger = graded()
    with pytest.raises(XTagValueError, match="axis is no device of ophyd-async that flies: give fly="):
        RE(tag_adaptive_fly([disk], tagger, "novelty", other, 0, 10, axis, 0, 10, frames=5, frame_seconds=1))
    assert not seen.documents


def test_skip_empty_takes_no_plan_that_decides_on_lines(RE, seen, graded, axis, other, disk):
    tagger = graded()
    with pytest.raises(XTagValueError, match="tag_adaptive_fly already decides by tags"):
        RE(skip_empty(scan(disk, tagger, other, axis), tagger, 0.02, empty="not ring"))
    assert not seen.documents
