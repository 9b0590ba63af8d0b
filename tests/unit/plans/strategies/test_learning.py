"""What the strategies that learn have in common: repeatable, quick, patient with missing tags, thrifty with travel."""

import json
import math
from time import thread_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluesky_xtag import XTagValueError
from bluesky_xtag.plans import make

TAGS = ("ring", "halo", "spots")
XY = {"x": (0, 10), "y": (-1, 1)}
LEARNING = ("seek", "boundary", "phases", "novelty")


def made(name, axes=XY, **options):
    return make(name, axes, tags=TAGS, tag="ring" if name in ("seek", "boundary") else None, **options)


def seen(point):
    """Rings within a disc, surest in its middle; spots in a corner."""
    x, y = point["x"] / 10, (point.get("y", 0) + 1) / 2
    ring = 1 / (1 + math.exp(min(200 * ((x - 0.4) ** 2 + (y - 0.6) ** 2) - 10, 50)))
    spots = 1.0 if x > 0.7 and y < 0.3 else 0.0
    return {"ring": ring, "halo": 1 - ring, "spots": spots}


def scan(strategy, frames, missing=()):
    points = []
    for number in range(frames):
        (point,) = strategy.suggest()
        points.append(point)
        strategy.skip([point]) if number in missing else strategy.ingest([point | seen(point)])
    return points


@pytest.mark.parametrize("name", LEARNING)
def test_the_same_answers_give_the_same_points_however_often_it_is_asked(name):
    first, again = made(name, seed=3), made(name, seed=3)
    points = scan(first, 30, missing={4, 20})
    for number, point in enumerate(points):
        again.should_stop()
        again.get_best_points()
        assert again.suggest() == [point]
        stored = json.loads(json.dumps(point))
        again.skip([stored]) if number in {4, 20} else again.ingest([stored | seen(stored)])
    assert scan(made(name, seed=4), 30) != points


@pytest.mark.parametrize("name", LEARNING)
def test_places_stay_within_the_limits_and_differ(name):
    points = scan(made(name), 40)
    assert all(0 <= point["x"] <= 10 and -1 <= point["y"] <= 1 for point in points)
    assert len({(point["x"], point["y"]) for point in points}) == 40


@pytest.mark.parametrize("name", LEARNING)
def test_several_places_at_once_are_apart(name):
    strategy = made(name)
    scan(strategy, 25)
    places = np.array([[point["x"] / 10, point["y"] / 2] for point in strategy.suggest(6)])
    apart = np.linalg.norm(places[:, None] - places, axis=-1) + np.eye(6)
    assert apart.min() > 0.01


def frames_until_the_end(batch):
    """Return how many frames it takes to map the phases, with batches of a size."""
    strategy, frames = made("phases"), 0
    while not strategy.should_stop() and frames < 200:
        points = strategy.suggest(batch)
        strategy.ingest([point | seen(point) for point in points])
        frames += len(points)
    return frames


def test_batches_cost_few_frames_more():
    assert frames_until_the_end(4) <= 1.25 * frames_until_the_end(1)


@pytest.mark.parametrize("name", LEARNING)
def test_a_suggestion_takes_less_than_100_ms_at_200_points(name):
    strategy, rng = made(name), np.random.default_rng(0)
    points = [{"x": float(x), "y": float(y)} for x, y in rng.uniform((0, -1), (10, 1), (200, 2))]
    strategy.ingest([point | seen(point) for point in points])
    strategy.suggest(20)  # the first places are spread, and the first call imports
    strategy.should_stop()
    seconds = []
    for _ in range(7):
        begin = thread_time()  # a busy machine must not count
        (point,) = strategy.suggest()
        strategy.should_stop()
        seconds.append(thread_time() - begin)
        strategy.skip([point])
    assert min(seconds) < 0.1


@pytest.mark.parametrize("name", LEARNING)
def test_a_place_without_tags_is_not_asked_for_again(name):
    strategy = made(name)
    scan(strategy, 20)
    lost = [strategy.suggest()[0] for _ in range(1)]
    strategy.skip(lost)
    later = scan(strategy, 15)
    apart = [math.hypot((p["x"] - lost[0]["x"]) / 10, (p["y"] - lost[0]["y"]) / 2) for p in later]
    assert min(apart) > 0.003


@pytest.mark.parametrize("name", LEARNING)
def test_a_scan_without_any_tags_ends(name):
    strategy = made(name)
    frames = 0
    while frames < 100 and not strategy.should_stop():
        strategy.skip(strategy.suggest())
        frames += 1
    assert frames == 20 and strategy.should_stop().reason == "the last 20 places gave no tags"
    assert strategy.get_best_points() == []


@pytest.mark.parametrize("name", LEARNING)
def test_travel_that_costs_is_shorter(name):
    def way(cost):
        points = scan(made(name, {"x": (0, 10, cost), "y": (-1, 1)}, initial=8), 40)[8:]
        return np.abs(np.diff([point["x"] for point in points])).sum()

    assert way(5.0) < 0.7 * way(0.0)


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(LEARNING),
    answers=st.lists(st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=3, max_size=14),
    motors=st.integers(1, 4),
)
def test_no_answers_make_it_fail(name, answers, motors):
    strategy = made(name, {f"m{i}": (-1, 1) for i in range(motors)}, initial=3)
    for answer in answers:
        (point,) = strategy.suggest()
        assert all(-1 <= point[f"m{i}"] <= 1 for i in range(motors))
        if answer is None:
            strategy.skip([point])
        else:
            strategy.ingest([point | dict.fromkeys(TAGS, answer)])
        strategy.should_stop()
        json.dumps(strategy.get_best_points())


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("boundary", {"tag": None}, "boundary looks for one tag"),
        ("seek", {"axes": {f"m{i}": (0, 1) for i in range(5)}}, "four motors at most"),
        ("seek", {"tolerance": 0}, "between 0 and 1"),
        ("boundary", {"length": 0}, "length is 0"),
        ("boundary", {"initial": 0}, "initial is 0"),
        ("phases", {"tag": "ring"}, "choose boundary"),
        ("phases", {"ignore": TAGS}, "ignores every tag"),
        ("phases", {"differ": 0}, "differ=0"),
        ("novelty", {"tag": "ring"}, "leave out tag"),
        ("novelty", {"patience": 0}, "patience=0"),
    ],
)
def test_wrong_arguments_are_named(name, arguments, said):
    arguments = {"axes": XY, "tags": TAGS, "tag": "ring" if name in ("seek", "boundary") else None} | arguments
    with pytest.raises(XTagValueError, match=said):
        make(name, arguments.pop("axes"), **arguments)


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [[1.0, 2.0, 3.0]]])
def test_a_map_is_asked_for_with_a_column_for_each_motor(wrong):
    with pytest.raises(XTagValueError, match="columns x, y"):
        made("boundary").region(wrong)
