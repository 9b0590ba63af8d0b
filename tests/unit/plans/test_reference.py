"""A reference place is looked at now and then, and what has changed there is told."""

import itertools
import math

import pytest
from bluesky.utils import RunEngineInterrupted
from support.cameras import Camera, flat
from support.detectors import ArrayDetector, numbered
from support.models import RaisingModel
from support.steered import pause_after

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import make, pin, tag_adaptive_scan

AT_START = [2, 2, 2]


class Sample:
    """A camera that sees most of "ring" at axis = 3 + shift, and a sample that shifts when so many frames are taken."""

    def __init__(self, axis, shifts=(), counts=()):
        self.shift, self.frames = 0.0, -2  # ophyd takes one before the scan
        self._axis, self._shifts, self._counts = axis, dict(shifts), dict(counts)
        self.camera = Camera(self.frame)

    def frame(self, seconds):
        self.frames += 1
        self.shift = self._shifts.get(self.frames, self.shift)
        value = 950 * math.exp(-((self._axis.position - 3 - self.shift) ** 2) / 4)
        return flat(round(self._counts.get(self.frames, value)))


def line(det, tagger, axis, shape=6, **reference):
    strategy = make("grid", {"axis": (1, shape)}, tags=tagger.model.taxonomy.names, tag="ring", shape=shape)
    options = {key: reference.pop(key) for key in ("batch", "on_missing", "max_points") if key in reference}
    reference = {"place": {"axis": 2}, "every": 3} | reference
    return tag_adaptive_scan([det], tagger, strategy, axis, 1, shape, reference=reference, **options)


@pytest.fixture
def visited(seen):
    return lambda: [event["data"]["axis"] for event in seen.events("primary")]


def test_it_is_visited_at_the_start_in_between_and_at_the_end(
    RE, seen, graded, decisions, computed_again, visited, axis, caplog
):
    RE(line(Sample(axis).camera, graded(), axis))
    assert visited() == [*AT_START, 1, 2, 3, 2, 4, 5, 6, 2]
    assert [(row["point"], row["action"], row["reason"]) for row in decisions()[:4]] == [
        (0, "move", "the reference place, frame 1 of 3"),
        (0, "repeat", "the reference place, frame 2 of 3"),
        (0, "repeat", "the reference place, frame 3 of 3"),
        (0, "move", "the reference place is known; the first place"),
    ]
    assert decisions()[6]["reason"] == "ring 0.95; first; the reference place"
    assert decisions()[7]["reason"] == "reference: ring 0.74 after 0.74: as at the start; ring 0.95"
    assert decisions()[-1]["reason"] == (
        "reference: ring 0.74 after 0.74: as at the start; ring 0.10; all 6 places of the grid are done"
    )
    drift = [row["drift"] for row in decisions()]
    assert all(map(math.isnan, drift[:7])) and drift[7:] == [0] * len(drift[7:])
    seen.assert_every_frame_has_its_row()
    assert computed_again() == ""
    assert not caplog.records


def test_the_strategy_is_not_told_of_it(RE, graded, axis):
    tagger = graded()
    strategy = make("random", {"axis": (0, 6)}, tags=tagger.model.taxonomy.names)
    RE(
        tag_adaptive_scan(
            [Sample(axis).camera], tagger, strategy, axis, 0, 6, max_points=4, reference={"place": {"axis": -1}}
        )
    )
    assert len(strategy.seen_positions()) == 4
    assert strategy.seen_positions().min() >= 0


def test_a_shift_is_told_and_the_plan_goes_on(RE, graded, decisions, computed_again, visited, axis, caplog):
    RE(line(Sample(axis, {6: 1.0}).camera, graded(), axis))
    assert visited() == [*AT_START, 1, 2, 3, 2, 2, 4, 5, 6, 2, 2]
    assert decisions()[7]["reason"] == "reference: ring 0.35 after 0.74: once more"
    assert "reference: ring 0.35 after 0.74: the reference place has changed" in decisions()[8]["reason"]
    assert all(row["drift"] > 1.9 for row in decisions()[7:])
    assert caplog.text.count("the reference place has changed") == 2  # in between and at the end
    assert computed_again() == ""


def test_a_shift_ends_the_plan(RE, seen, graded, decisions, computed_again, visited, axis, caplog):
    RE(line(Sample(axis, {6: 1.0}).camera, graded(), axis, on_change="stop"))
    assert visited() == [*AT_START, 1, 2, 3, 2, 2]
    last = decisions()[-1]
    assert (last["action"], seen.stop()["exit_status"]) == ("stop", "success")
    assert last["reason"].endswith("the reference place has changed: the plan ends, as asked for")
    assert math.isnan(last["to_axis"])
    assert "the reference place has changed" in caplog.text
    assert computed_again() == ""


@pytest.mark.parametrize("mended", [True, False])
def test_a_person_is_asked(RE, graded, decisions, computed_again, visited, axis, mended):
    sample = Sample(axis, {6: 1.0} | ({8: 0.0} if mended else {}))
    with pytest.raises(RunEngineInterrupted):
        RE(line(sample.camera, graded(), axis, on_change="pause"))
    assert visited() == [*AT_START, 1, 2, 3, 2, 2]
    if mended:
        RE.resume()
        assert visited() == [*AT_START, 1, 2, 3, 2, 2, 2, 4, 5, 6, 2]
        assert "as at the start" in decisions()[9]["reason"]
    else:
        with pytest.raises(RunEngineInterrupted):  # at the end, again
            RE.resume()
        RE.resume()
        assert "the reference place has changed; ring 0.95" in decisions()[9]["reason"]
    assert decisions()[-1]["action"] == "stop"
    assert computed_again() == ""


def test_one_wrong_frame_does_not_count(RE, graded, decisions, computed_again, visited, axis, caplog):
    RE(line(Sample(axis, counts={6: 0}).camera, graded(), axis))
    assert visited() == [*AT_START, 1, 2, 3, 2, 2, 4, 5, 6, 2]
    assert "as at the start" in decisions()[8]["reason"]
    assert not caplog.records
    assert computed_again() == ""


def test_what_varies_from_the_start_must_change_more(RE, graded, decisions, computed_again, axis, caplog):
    counts = {0: 500, 1: 700, 2: 600, 6: 950}  # 0.2 apart: 0.4 from the median counts
    RE(line(Sample(axis, counts=counts).camera, graded(), axis))
    assert decisions()[7]["drift"] == pytest.approx(0.35 / 0.4)
    assert not caplog.records
    assert computed_again() == ""


@pytest.mark.parametrize("rule", ["repeat", "skip", "stop"])
def test_frames_of_it_without_tags(RE, tag, decisions, computed_again, visited, axis, rule):
    tagger = tag(model=RaisingModel(on={2, 7}))
    RE(line(ArrayDetector(numbered()), tagger, axis, on_missing=rule, change=1.0))
    assert visited()[:6] == {"repeat": [2, 2, 2, 2, 1, 2], "skip": [2, 2, 1, 2, 3, 2], "stop": [2, 2]}[rule]
    assert decisions()[-1]["action"] == "stop"
    assert computed_again() == ""


def test_with_batches(RE, graded, decisions, computed_again, visited, axis):
    RE(line(Sample(axis).camera, graded(), axis, batch=2))
    assert visited() == [*AT_START, 1, 2, 3, 4, 2, 5, 6, 2]  # after three places, but a batch is not divided
    assert computed_again() == ""


def test_a_pin_while_it_is_looked_at(RE, decisions, computed_again, visited, graded, axis, tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    frames = itertools.count(1)

    def callback(name, doc):
        if name == "event" and "axis" in doc["data"] and next(frames) == 2:
            pin({"axis": 4.5}, by="anna")

    RE.subscribe(callback)
    RE(line(Sample(axis).camera, graded(), axis))
    assert visited() == [*AT_START, 1, 4.5, 2, 2, 3, 4, 5, 2, 6, 2]
    assert decisions()[4]["wishes"] and decisions()[4]["reason"].endswith("anna pins axis=4.5")
    assert computed_again() == ""


@pytest.mark.parametrize("stream", ["primary", "tags", "decisions"])
@pytest.mark.parametrize("number", [2, 4, 7])
def test_pause_and_resume(RE, seen, graded, computed_again, visited, axis, stream, number):
    pause_after(RE, stream, number)
    with pytest.raises(RunEngineInterrupted):
        RE(line(Sample(axis).camera, graded(), axis))
    (uid,) = RE.resume()
    assert visited() == [*AT_START, 1, 2, 3, 2, 4, 5, 6, 2]
    seen.assert_every_frame_has_its_row(run=uid)
    assert computed_again(uid) == ""


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ({"axis": 2}, "give a place"),
        ([2], "give a place"),
        ({"place": {"x": 2}}, "give a position for each of axis"),
        ({"place": {"axis": "2"}}, "axis of the reference is '2': give a finite number"),
        ({"place": {"axis": 2}, "every": 0}, "every=0"),
        ({"place": {"axis": 2}, "change": 2}, "change=2"),
        ({"place": {"axis": 2}, "on_change": "cry"}, "choose one of warn, pause, stop"),
        ({"place": {"axis": 2}, "often": 3}, "give a place, and if you want every, change, on_change"),
    ],
)
def test_wrong_rules_are_refused_before_the_run(RE, seen, graded, axis, peak, reference, says):
    with pytest.raises(XTagValueError, match=says):
        RE(tag_adaptive_scan([peak], graded(), "random", axis, 0, 6, max_points=3, reference=reference))
    assert not seen.documents
