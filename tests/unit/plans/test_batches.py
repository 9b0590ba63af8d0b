"""Batches: a strategy chooses several places at once, and the plan takes their frames before it waits for tags."""

import math

import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from support.cameras import GradedModel
from support.detectors import ArrayDetector, numbered
from support.models import RaisingModel
from support.steered import pause_after

from bluesky_xtag import Tagger, XTagValueError
from bluesky_xtag.plans import make, tag_adaptive_scan


def line(det, tagger, axis, shape=6, tag="ring", **options):
    strategy = make("grid", {"axis": (1, shape)}, tags=tagger.model.taxonomy.names, tag=tag, shape=shape)
    return tag_adaptive_scan([det], tagger, strategy, axis, 1, shape, **options)


def told(rows):
    return [(row["point"], row["row"], row["action"], row["reason"]) for row in rows]


def test_a_batch_is_chosen_flown_and_decided_on(RE, seen, graded, decisions, computed_again, axis, peak):
    RE(line(peak, graded(), axis, batch=3))
    assert [event["data"]["axis"] for event in seen.events("primary")] == [1, 2, 3, 4, 5, 6]
    assert told(decisions()) == [
        (0, 0, "move", "the first place; batch 1, place 1 of 3"),
        (0, 0, "move", "batch 1, place 2 of 3"),
        (0, 0, "move", "batch 1, place 3 of 3"),
        (1, 1, "note", "ring 0.35"),
        (2, 2, "note", "ring 0.74"),
        (3, 3, "move", "ring 0.95; batch 2, place 1 of 3"),
        (3, 3, "move", "batch 2, place 2 of 3"),
        (3, 3, "move", "batch 2, place 3 of 3"),
        (4, 4, "note", "ring 0.74"),
        (5, 5, "note", "ring 0.35"),
        (6, 6, "stop", "ring 0.10; all 6 places of the grid are done"),
    ]
    to = [row["to_axis"] for row in decisions() if row["action"] == "move"]
    assert to == [1, 2, 3, 4, 5, 6]
    assert all(math.isnan(row["to_axis"]) for row in decisions() if row["action"] != "move")
    seen.assert_every_frame_has_its_row()
    assert computed_again() == ""


def test_the_plan_waits_for_tags_after_the_batch_only(RE, seen, axis, peak):
    tagger = Tagger(GradedModel())
    RE.subscribe(tagger)  # its rows are written when the plan reads it
    RE(line(peak, tagger, axis, batch=3))
    tagger.uninstall()
    names = {doc["uid"]: doc["name"] for doc in seen.of("descriptor")}
    order = [names[doc["descriptor"]] for doc in seen.of("event") if names[doc["descriptor"]] != "decisions"]
    assert order == (["primary"] * 3 + ["tags"] * 3) * 2


@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_the_last_batch_ends_with_the_points(RE, seen, graded, decisions, computed_again, axis, peak, wait):
    RE(line(peak, graded(wait=wait), axis, batch=4, max_points=5))
    assert seen.stop()["num_events"]["primary"] == 5
    assert decisions()[-2]["reason"] == "ring 0.74; batch 2, place 1 of 1"
    assert decisions()[-1]["reason"].endswith("5 places are done, as many as asked for")
    assert computed_again() == ""


@pytest.mark.parametrize(
    ("rule", "visited", "acted"),
    [
        ("repeat", [1, 2, 3, 2, 4, 5, 6], ["note", "repeat", "note", "move", "move", "move", "note", "note", "stop"]),
        ("skip", [1, 2, 3, 4, 5, 6], ["note", "skip", "move", "move", "move", "note", "note", "stop"]),
        ("stop", [1, 2, 3], ["note", "stop"]),
    ],
)
def test_frames_without_tags(RE, seen, tag, decisions, computed_again, axis, rule, visited, acted):
    tagger = tag(model=RaisingModel(on={2}))
    det = ArrayDetector(numbered())
    RE(line(det, tagger, axis, batch=3, on_missing=rule))
    assert [event["data"]["axis"] for event in seen.events("primary")] == visited
    assert [row["action"] for row in decisions()[3:]] == acted
    assert computed_again() == ""


def test_several_exposures_of_a_batch(RE, seen, graded, decisions, computed_again, axis, peak):
    RE(line(peak, graded(), axis, shape=2, batch=2, exposures=2))
    assert [event["data"]["axis"] for event in seen.events("primary")] == [1, 2, 1, 2]
    assert [row["action"] for row in decisions()] == ["move", "move", "repeat", "repeat", "note", "stop"]
    assert computed_again() == ""


def test_with_several_images_an_event_the_last_decides(RE, graded, decisions, computed_again, axis):
    det = ArrayDetector(numbered((3, 32, 32)), shape=(3, 32, 32))
    RE(line(det, graded(), axis, shape=4, batch=2))
    assert [row["row"] for row in decisions()] == [0, 0, 3, 6, 6, 9, 12]
    assert computed_again() == ""


@pytest.mark.parametrize("stream", ["primary", "tags", "decisions"])
@pytest.mark.parametrize("wait", ["overlap", "point"])
@pytest.mark.parametrize("number", [2, 4])
def test_pause_and_resume(RE, seen, graded, computed_again, axis, peak, stream, wait, number):
    pause_after(RE, stream, number)
    with pytest.raises(RunEngineInterrupted):
        RE(line(peak, graded(wait=wait), axis, batch=3))
    (uid,) = RE.resume()
    assert [event["data"]["axis"] for event in seen.events("primary")] == [1, 2, 3, 4, 5, 6]
    assert seen.stop(uid)["num_events"] == {"primary": 6, "tags": 6, "decisions": 11}
    seen.assert_every_frame_has_its_row(run=uid)
    assert computed_again(uid) == ""


@pytest.mark.parametrize("name", ["boundary", "seek"])
def test_strategies_that_learn(RE, seen, graded, decisions, computed_again, axis, other, peak, name):
    RE(
        tag_adaptive_scan(
            [peak], graded(), name, axis, 0, 6, other, -3, 3, tag="ring", initial_points=6, max_points=26, batch=5
        )
    )
    assert computed_again() == ""
    chosen = [(row["to_axis"], row["to_other"]) for row in decisions() if row["action"] == "move"]
    for batch in (np.array(chosen[begin : begin + 5]) for begin in range(0, len(chosen), 5)):
        distances = np.linalg.norm(batch[:, None] - batch, axis=2)[np.triu_indices(len(batch), 1)]
        assert distances.min(initial=6) > 0.06  # a hundredth of the ranges


@pytest.mark.parametrize("batch", [0, True, 257, 2.5, "4"])
def test_it_is_a_number_of_places(RE, seen, graded, axis, peak, batch):
    with pytest.raises(XTagValueError, match="batch="):
        RE(line(peak, graded(), axis, batch=batch))
    assert not seen.documents
