"""Strategies among many points: near to the exact process, the same however they are asked, and no slower or larger."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from bluesky_xtag.plans import make
from bluesky_xtag.plans.strategies import model_based, seek, sides, surrogate
from bluesky_xtag.plans.strategies.grouping import Groups
from bluesky_xtag.plans.strategies.surrogate import EXACT, NEIGHBOURS, Process, Watch

TAGS = ("ring", "halo", "spots")
XY = {"x": (0, 10), "y": (0, 10)}
LEARNING = ("seek", "boundary", "phases", "novelty")


@pytest.fixture
def few(monkeypatch):
    """Few points are many: what holds beyond `EXACT` of them holds beyond 60."""
    for module in (surrogate, sides, seek, model_based):
        monkeypatch.setattr(module, "EXACT", 60)
    monkeypatch.setattr(model_based, "_EVERYWHERE", 100)
    monkeypatch.setattr(model_based.ModelBasedStrategy, "_candidates", 100)
    return 60


def made(name, seed=0):
    return make(name, XY, tags=TAGS, tag="ring" if name in ("seek", "boundary") else None, seed=seed)


def seen(point):
    inside = 3 - np.hypot(point["x"] - 5, point["y"] - 5)
    return point | {"ring": float(1 / (1 + np.exp(-3 * inside))), "halo": float(point["x"] > 6), "spots": 0.1}


def anywhere(count, seed=1):
    return [seen({"x": x, "y": y}) for x, y in np.random.default_rng(seed).uniform(0, 10, (count, 2)).tolist()]


def scan(strategy, frames, *, nosy=False):
    """Return the places of so many frames, and ask all that can be asked between them if `nosy`."""
    places = []
    for _ in range(frames):
        (point,) = strategy.suggest()
        places.append((point["x"], point["y"]))
        strategy.ingest([seen(point)])
        if nosy:
            strategy.should_stop()
            strategy.get_best_points()
    return places


def smooth(places):
    return np.sin(4 * places[:, 0]) * np.cos(3 * places[:, 1])


def exact(process, places):
    """What all values together predict, by the book."""

    def covariance(one, other):
        near = np.sqrt(5) * cdist(one, other) / process.length
        return (1 + near + near**2 / 3) * np.exp(-near)

    across = covariance(places, process.places)
    inverse = np.linalg.inv(covariance(process.places, process.places) + np.diag(process.noise))
    return across @ inverse @ process.values, np.sqrt(1 - np.einsum("ij,jk,ik->i", across, inverse, across))


@pytest.mark.parametrize(("count", "allowed"), [(100, 1e-6), (600, 0.02)])
def test_a_process_predicts_what_all_values_together_do(count, allowed):
    rng = np.random.default_rng(0)
    places, asked = rng.random((count, 2)), rng.random((50, 2))
    process = Process(places, smooth(places), np.full(count, 0.004), 0.3)
    assert process.local == (count > EXACT)
    for found, wanted in zip(process.predict(asked), exact(process, asked), strict=True):
        assert np.abs(found - wanted).max() < allowed


@pytest.mark.parametrize("count", [100, 600])
def test_a_value_is_compared_with_all_others_and_a_wrong_one_is_far_from_them(count):
    rng = np.random.default_rng(0)
    places = rng.random((count, 2))
    values = smooth(places)
    values[7] += 1.0
    expected, far = Process(places, values, np.full(count, 0.004), 0.3).others(np.arange(count))
    assert np.argmax(far) == 7 and far[7] > 8
    assert expected[7] == pytest.approx(values[7] - 1.0, abs=0.1)


def test_values_at_one_place_are_each_left_out_of_their_own_comparison():
    places = np.concatenate([np.full((NEIGHBOURS + 20, 2), 0.5), np.random.default_rng(0).random((EXACT, 2))])
    process = Process(places, np.zeros(len(places)), np.full(len(places), 0.01), 0.3)
    expected, far = process.others(np.arange(len(places)))
    assert np.isfinite(expected).all() and far.max() < 1e-6


def test_what_is_watched_is_what_a_fresh_look_sees_after_every_change():
    rng = np.random.default_rng(0)
    places, watch = rng.random((700, 2)), Watch(rng.random((300, 2)))
    values, noise = smooth(places), np.full(700, 0.01)
    for count, changed in ((100, 3), (EXACT + 1, 3), (EXACT + 2, 5), (600, 8), (601, 8)):
        values[changed], noise[changed + 1] = values[changed] + 0.5, 0.5
        watch.move(slice(10, 20), rng.random((10, 2)))
        process = Process(places[:count], values[:count].copy(), noise[:count].copy(), 0.3)
        for kept, fresh in zip(watch.predict(process), process.predict(watch.places), strict=True):
            np.testing.assert_allclose(kept, fresh, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LEARNING)
def test_the_same_answers_give_the_same_points_however_they_are_told_and_asked_for(name, few):
    first, again = made(name), made(name)
    points = anywhere(few - 12)
    first.ingest(points)
    for point in points:
        again.ingest([point])
    places = scan(first, 26)
    assert len(first.seen_positions()) > few
    assert scan(again, 26, nosy=True) == places


@pytest.mark.parametrize("name", LEARNING)
def test_the_cost_of_a_suggestion_does_not_grow_with_the_points(name, few, monkeypatch):
    def predicted(count):
        """How many places are predicted for suggestions, each from the same number of values."""
        strategy, sizes = made(name), []
        strategy.ingest(anywhere(count))
        scan(strategy, 17)  # the first places are spread, and the first look is at all candidates
        strategy.should_stop()
        with monkeypatch.context() as patch:
            nearest = Process._from_nearest
            patch.setattr(Process, "_from_nearest", lambda *args: (sizes.append(args[2].shape), nearest(*args))[1])
            for _ in range(3):
                (point,) = strategy.suggest()
                strategy.ingest([seen(point)])
                strategy.should_stop()
        assert {size[1] for size in sizes} == {NEIGHBOURS}
        return sum(size[0] for size in sizes)

    assert predicted(160) < predicted(80)


def test_memory_does_not_grow_with_the_square_of_the_points():
    count = 5_000
    places, frames = np.random.default_rng(0).random((count, 2)), np.random.default_rng(0).random((count, 3))
    watch, groups = Watch(places[:1024].copy()), Groups(0.6)
    tracemalloc.start()
    try:
        watch.predict(Process(places, smooth(places), np.full(count, 0.01), 0.3))
        groups.of(frames)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * count**2 / 4  # of one covariance of all points


def test_maps_of_many_places_are_made_in_parts(few, monkeypatch):
    strategy = made("boundary")
    strategy.ingest(anywhere(200))
    places = np.random.default_rng(2).uniform(0, 10, (200, 2))
    whole = strategy.probability(places)
    monkeypatch.setattr(surrogate, "_AT_ONCE", 50)
    np.testing.assert_array_equal(strategy.probability(places), whole)
    truth = np.hypot(*(places - 5).T) < 3
    assert ((whole > 0.5) == truth).mean() > 0.9


def test_many_places_without_tags_keep_frames_off_themselves_only(few):
    strategy = made("boundary")
    strategy.ingest(anywhere(150))
    lost = strategy.suggest(30)
    strategy.skip(lost)
    before = np.array([[point["x"], point["y"]] for point in lost])
    later = np.array(scan(strategy, 10))
    assert cdist(later, before).min() > 0.01
    assert np.median(np.abs(np.hypot(*(later - 5).T) - 3)) < 0.6


def test_groups_of_many_frames_are_those_of_few():
    rng = np.random.default_rng(0)
    which = rng.integers(0, 3, 2_000)
    frames = np.eye(3)[which] + rng.normal(0, 0.05, (2_000, 3))
    groups = Groups(0.6)
    for count in (1, 2, 300, 301, 330, 2_000):
        found = groups.of(frames[:count])
        assert len(found) == count
        pairs = set(zip(which[:count], found, strict=True))
        assert len(pairs) == len(set(which[:count])) == len(set(found))


def test_a_group_that_appears_late_is_found():
    rng = np.random.default_rng(0)
    frames = np.repeat(np.eye(2), [400, 60], axis=0) + rng.normal(0, 0.02, (460, 2))
    groups = Groups(0.6)
    groups.of(frames[:400])
    assert len(set(groups.of(frames))) == 2
