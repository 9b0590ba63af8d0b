"""Frames are taken within the outline of a sample, and nowhere that is forbidden."""

import json

import numpy as np
import pytest

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import make
from bluesky_xtag.plans.strategies import recipe

TRIANGLE = {
    "outline": [[0, 0], [10, 0], [0, 10]],
    "forbidden": [{"x": [2, 3], "y": [2, 3]}, [[5, 0], [6, 0], [5.5, 2]]],
}
AXES = {"x": (0, 10), "y": (0, 10)}


def is_allowed(x, y):
    in_triangle = x + y <= 10 + 1e-6
    in_box = 2 <= x <= 3 and 2 <= y <= 3
    in_wedge = y < 2 - 4 * abs(x - 5.5)
    return in_triangle and not in_box and not in_wedge


def ring(x, y):
    return float(x > 4 + 0.2 * y)


def places(strategy, most):
    found = []
    for _ in range(most):
        if strategy.should_stop() or not (points := strategy.suggest()):
            break
        (point,) = points
        found.append((point["x"], point["y"]))
        strategy.ingest([point | {"ring": ring(*found[-1]), "halo": 1 - ring(*found[-1])}])
    return np.array(found)


@pytest.mark.parametrize("name", ["boundary", "seek", "random", "grid", "phases", "novelty"])
@pytest.mark.parametrize("before", [3, 20])
def test_what_is_forbidden_later_is_left_out_from_then_on(name, before):
    strategy = make(name, AXES, tags=["ring", "halo"], tag="ring" if name in ("boundary", "seek") else None)
    places(strategy, before)
    strategy.forbid({"x": [2, 7], "y": [1, 8]})
    later = places(strategy, 40).reshape(-1, 2)
    assert len(later) >= 8 or strategy.should_stop()
    assert not ((later >= [2, 1]) & (later <= [7, 8])).all(axis=1).any()


def test_what_is_forbidden_later_is_in_nobodys_doubt():
    strategy = make("boundary", AXES, tags=["ring"], tag="ring")
    strategy.forbid({"y": [3, 10]})
    assert len(places(strategy, 100)) < 100
    assert strategy.should_stop()


def test_what_cannot_be_forbidden_changes_nothing():
    strategy, untouched = (make("boundary", AXES, tags=["ring"], tag="ring") for _ in range(2))
    for box in ({"x": [0, 10]}, {"z": [0, 1]}, {"x": [3, 2]}, {"x": 3}):
        with pytest.raises(XTagValueError):
            strategy.forbid(box)
    np.testing.assert_array_equal(places(strategy, 30), places(untouched, 30))


@pytest.mark.parametrize("name", ["boundary", "seek", "random", "grid", "phases", "novelty"])
def test_no_place_lies_where_no_frame_may_be_taken(name):
    tag = "ring" if name in ("boundary", "seek") else None
    taken = places(make(name, AXES, tags=["ring", "halo"], tag=tag, region=TRIANGLE), 40)
    assert len(taken) >= 16
    assert all(is_allowed(x, y) for x, y in taken), [place for place in taken if not is_allowed(*place)]


def test_the_first_places_fill_what_is_allowed():
    taken = places(make("boundary", AXES, tags=["ring"], tag="ring", region=TRIANGLE, initial=32), 32)
    for corner in ([0, 0], [10, 0], [0, 10]):
        assert np.linalg.norm(taken - corner, axis=1).min() < 3


def test_what_is_outside_is_in_nobodys_doubt():
    """The strategy stops when it knows the border within the outline; outside nothing can be known."""
    strategy = make("boundary", AXES, tags=["ring"], tag="ring", region={"outline": [[0, 0], [10, 0], [10, 3], [0, 3]]})
    taken = places(strategy, 100)
    assert strategy.should_stop()
    assert len(taken) < 100
    assert taken[:, 1].max() <= 3
    inside = np.random.default_rng(0).uniform([0, 0], [10, 3], (500, 2))
    right = strategy.region(inside) == [ring(x, y) > 0.5 for x, y in inside]
    assert right.mean() > 0.95


def test_boxes_hold_for_any_number_of_motors():
    axes = {"x": (0, 1), "y": (0, 1), "z": (0, 1)}
    strategy = make("random", axes, tags=["ring"], region={"forbidden": [{"x": [0.2, 0.9], "z": [0, 0.9]}]})
    taken = [strategy.suggest()[0] for _ in range(50)]
    assert not any(0.2 <= point["x"] <= 0.9 and point["z"] <= 0.9 for point in taken)
    assert any(0.2 <= point["x"] <= 0.9 for point in taken)


def test_a_recipe_keeps_the_region():
    strategy = make("boundary", AXES, tags=["ring"], tag="ring", region=TRIANGLE)
    kept = json.loads(json.dumps(recipe(strategy)))
    again = make(kept["name"], {name: tuple(each) for name, each in kept["axes"].items()}, tags=kept["tags"],
                 tag=kept["tag"], **kept["options"])  # fmt: skip
    np.testing.assert_array_equal(places(again, 20), places(strategy, 20))


@pytest.mark.parametrize(
    ("region", "says"),
    [
        ({}, "give an outline"),
        ({"inside": []}, "give an outline"),
        ([[0, 0]], "give an outline"),
        ({"outline": [[0, 0], [1, 1]]}, "the outline is .* three corners or more"),
        ({"outline": [["a", 0], [1, 1], [2, 2]]}, "three corners or more"),
        ({"outline": [[0, 0], [0.5, 0], [0, 0.5]]}, r"leaves 0.\d% of the motors' ranges"),
        ({"forbidden": [{"x": [0, 10]}]}, r"leaves 0.0%"),
        ({"forbidden": [{"z": [0, 1]}]}, "the forbidden region 1 names z; the motors are x, y"),
        ({"forbidden": [{}]}, "names no motor"),
        ({"forbidden": [{"x": [3, 2]}]}, "along x: give"),
        ({"forbidden": [{"x": 3}]}, "along x: give"),
    ],
)
def test_what_does_not_fit_is_refused(region, says):
    with pytest.raises(XTagValueError, match=says):
        make("random", AXES, tags=["ring"], region=region)


def test_a_polygon_needs_two_motors():
    with pytest.raises(XTagValueError, match="needs two motors, not 1: give boxes"):
        make("random", {"x": (0, 1)}, tags=["ring"], region={"outline": [[0, 0], [1, 0], [0, 1]]})
