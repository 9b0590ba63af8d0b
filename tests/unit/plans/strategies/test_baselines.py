"""The bookkeeping of all strategies, and the two that need no thought."""

import json
import math

import numpy as np
import pytest
from bluesky_adaptive.protocols import Optimizer, SupportsStoppingCriteria, TrialFaultAware

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import make
from bluesky_xtag.plans.strategies import NAMES, Axis, Strategy

TAGS = ("ring", "halo")
XY = {"x": (0, 10), "y": (-1, 1)}


def told(point, ring=0.5, halo=0.5):
    return point | {"ring": ring, "halo": halo}


def places(points):
    return [(point["x"], point["y"]) for point in points]


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_is_one(name):
    tag = "ring" if name in ("seek", "boundary") else None
    strategy = make(name, XY, tags=TAGS, tag=tag)
    for protocol in (Strategy, Optimizer, SupportsStoppingCriteria, TrialFaultAware):
        assert isinstance(strategy, protocol)


def test_a_grid_goes_back_and_forth_and_ends():
    grid = make("grid", XY, tags=TAGS, shape=(2, 3))
    points = grid.suggest(100)
    assert places(points) == [(0, -1), (0, 0), (0, 1), (10, 1), (10, 0), (10, -1)]
    assert [point["_id"] for point in points] == list(range(6))
    assert grid.suggest() == []
    grid.ingest([told(point) for point in points[:-1]])
    assert not grid.should_stop()
    grid.skip(points[-1:])
    assert grid.should_stop()
    stop, reason = grid.should_stop()
    assert stop and reason == "all 6 places of the grid are done"


def test_a_grid_of_one_place_is_in_the_middle():
    assert places(make("grid", XY, tags=TAGS, shape=1).suggest(2)) == [(5, 0)]


def test_random_places_lie_within_the_limits_and_follow_the_seed():
    points = make("random", XY, tags=TAGS, seed=3).suggest(50)
    assert all(0 <= x <= 10 and -1 <= y <= 1 for x, y in places(points))
    assert len(set(places(points))) == 50
    again, other = (make("random", XY, tags=TAGS, seed=seed) for seed in (3, 4))
    assert [again.suggest()[0] for _ in range(50)] == points
    assert other.suggest(50) != points


def test_random_ends_at_the_wanted_number():
    random = make("random", XY, tags=TAGS, points=3)
    points = random.suggest(5)
    assert len(points) == 3 and not random.should_stop()
    random.ingest([told(point) for point in points])
    assert random.should_stop() and random.suggest() == []


def test_points_can_be_stored():
    (point,) = make("random", XY, tags=TAGS).suggest()
    assert json.loads(json.dumps(point)) == point
    assert {type(value) for value in point.values()} == {int, float}


def test_the_best_point_has_the_highest_probability():
    random = make("random", XY, tags=TAGS, tag="halo")
    points = random.suggest(3)
    random.ingest([told(point, halo=halo) for point, halo in zip(points, (0.1, 0.9, 0.4), strict=True)])
    ((number, place, tags),) = best = random.get_best_points()
    assert number == points[1]["_id"] and places([place]) == places(points[1:2])
    assert tags == {"ring": 0.5, "halo": 0.9}
    assert json.dumps(best)


def test_answers_need_no_positions_and_may_come_for_places_that_were_not_suggested():
    random = make("random", XY, tags=TAGS, tag="ring")
    (point,) = random.suggest()
    random.ingest([{"_id": point["_id"], "ring": 0.7}])
    ((number, place, _),) = random.get_best_points()
    assert number == point["_id"] and places([place]) == places([point])
    random.ingest([{"x": 1, "y": 0.5, "ring": 0.8}])
    ((number, place, _),) = random.get_best_points()
    assert number is None and places([place]) == [(1, 0.5)]


@pytest.mark.parametrize("nothing", [math.nan, None])
def test_tags_that_are_not_there_count_as_skipped(nothing):
    random = make("random", XY, tags=TAGS, points=1)
    random.ingest([told(point, nothing, nothing) for point in random.suggest()])
    assert random.get_best_points() == [] and random.should_stop()


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"_id": 7, "ring": 0.5, "halo": 0.5}, "give the _id of a suggestion or x, y"),
        ({"x": math.nan, "y": 0, "ring": 0.5, "halo": 0.5}, "give the _id"),
        ({"x": 1, "y": 0, "ring": 0.5}, "lacks halo"),
        ({"x": 1, "y": 0, "ring": 1.5, "halo": 0.5}, "from 0 to 1"),
        ({"x": 1, "y": 0, "ring": "much", "halo": 0.5}, "give a number"),
    ],
)
def test_a_wrong_answer_is_told_and_nothing_of_its_batch_is_kept(point, said):
    random = make("random", XY, tags=TAGS)
    right = told({"x": 1, "y": 0})
    with pytest.raises(XTagValueError, match=said):
        random.ingest([right, point])
    assert random.get_best_points() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "raster"}, "known strategies: seek, boundary, phases, novelty, grid, random"),
        ({"tag": "rings"}, "known tags: ring, halo"),
        ({"tags": ()}, "model.taxonomy.names"),
        ({"axes": {}}, "needs at least one motor"),
        ({"axes": {"x": (10, 0)}}, "limits of x are 10.0 and 0.0"),
        ({"axes": {"x": (0, math.inf)}}, "finite"),
        ({"axes": {"x": 3}}, r"give \(low, high\)"),
        ({"axes": {"x": (0, 1, -1)}}, "cost of travel of x is -1.0"),
        ({"axes": {"ring": (0, 1)}}, "rename the motor"),
        ({"shape": (2, 2, 2)}, "there are 2 motors"),
        ({"points": 3}, "grid has no option points; its options: shape"),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    arguments = {"name": "grid", "axes": XY, "tags": TAGS} | arguments
    with pytest.raises(XTagValueError, match=said):
        make(arguments.pop("name"), arguments.pop("axes"), **arguments)


def test_axes_may_be_given_as_such():
    axes = [Axis("x", 0, 1, cost=2), Axis("y", 0, 1)]
    assert make("grid", axes, tags=TAGS, shape=2).suggest(4) == make(
        "grid", {"x": (0, 1, 2), "y": (0, 1)}, tags=TAGS, shape=2
    ).suggest(4)
    assert np.isclose(axes[0].cost, 2)
