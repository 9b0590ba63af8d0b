"""What the strategies find, on worlds whose truth is known."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from bluesky_xtag.plans import make

XY = {"x": (0, 10), "y": (0, 10)}
PLACES = np.stack(np.meshgrid(np.linspace(0, 10, 61), np.linspace(0, 10, 61)), axis=-1).reshape(-1, 2)


def within(places):
    """An ellipse."""
    return ((places - (5.2, 4.6)) ** 2 / (3.4**2, 2.3**2)).sum(axis=-1) < 1


def scan(strategy, tags, frames, wrong=0.0, missing=0.0):
    rng = np.random.default_rng(1)
    for number in range(1, frames + 1):
        (point,) = strategy.suggest()
        answer = tags(np.array([point["x"], point["y"]]), rng.random() < wrong)
        strategy.skip([point]) if rng.random() < missing else strategy.ingest([point | answer])
        if strategy.should_stop():
            return number
    return None


def ring(place, wrong):
    return {"ring": float(within(place) != wrong)}


@pytest.mark.parametrize("faults", [0.0, 0.05])
def test_boundary_maps_a_region_and_stops(faults):
    strategy = make("boundary", XY, tags=["ring"], tag="ring", seed=1)
    frames = scan(strategy, ring, 160, wrong=faults, missing=faults)
    found, truth = strategy.region(PLACES), within(PLACES)
    assert frames is not None
    assert (found & truth).sum() / (found | truth).sum() > 0.93
    probability = strategy.probability(PLACES)
    assert (probability[truth] > 0.5).mean() > 0.93 and probability.min() >= 0 and probability.max() <= 1


def test_boundary_looks_where_the_border_is():
    strategy = make("boundary", XY, tags=["ring"], tag="ring", seed=1)
    scan(strategy, ring, 70)
    later = strategy.seen_positions()[30:]
    depth = np.abs(np.sqrt(((later - (5.2, 4.6)) ** 2 / (3.4**2, 2.3**2)).sum(axis=-1)) - 1)
    assert np.median(depth) < 0.2


def test_before_anything_is_seen_every_map_is_undecided():
    assert set(make("boundary", XY, tags=["ring"], tag="ring").probability(PLACES)) == {0.5}
    assert set(make("phases", XY, tags=["ring"]).labels(PLACES)) == {-1}
    assert make("phases", XY, tags=["ring"]).groups() == []


def test_seek_finds_the_highest_of_two_peaks_past_wrong_tags():
    def peaks(place, wrong):
        odds = -6 + 12 * np.exp(-((place - (7.1, 3.3)) ** 2).sum() / 3) + 9 * np.exp(-((place - (2, 8)) ** 2).sum() / 3)
        probability = 1 / (1 + np.exp(-odds))
        return {"ring": 1 - probability if wrong else probability}

    strategy = make("seek", XY, tags=["ring"], tag="ring", seed=2)
    scan(strategy, peaks, 60, wrong=0.05, missing=0.05)
    best = strategy.best()
    assert abs(best["x"] - 7.1) < 0.1 and abs(best["y"] - 3.3) < 0.1
    ((_, place, tags),) = strategy.get_best_points()
    assert np.hypot(place["x"] - 7.1, place["y"] - 3.3) < 0.6 and tags["ring"] > 0.9
    assert strategy.probability([[7.1, 3.3]])[0] > 0.9 > 0.1 > strategy.probability([[0.5, 0.5]])[0]


def test_seek_stops_with_one_motor():
    def peak(place, wrong):
        return {"ring": 1 / (1 + np.exp(4 - 9 * np.exp(-((place[0] - 6.4) ** 2) / 2)))}

    strategy = make("seek", {"x": (0, 10)}, tags=["ring"], tag="ring")
    frames = 0
    while frames < 60 and not strategy.should_stop():
        (point,) = strategy.suggest()
        strategy.ingest([point | peak([point["x"]], False)])
        frames += 1
    assert 8 < frames < 60
    assert abs(strategy.best()["x"] - 6.4) < 0.1


def test_phases_finds_how_many_there_are_and_where():
    def number(places):
        return np.where(places[..., 0] < 4, 0, np.where(places[..., 1] < 0.5 * places[..., 0], 1, 2))

    def tags(place, wrong):
        phase = (int(number(place)) + wrong) % 3
        return {
            "ring": float(phase == 0),
            "halo": 0.9 * (phase == 1),
            "spots": float(phase == 2),
            "beamstop": place[0] / 10,
        }

    strategy = make("phases", XY, tags=["ring", "halo", "spots", "beamstop"], seed=1)
    frames = scan(strategy, tags, 140, wrong=0.05, missing=0.05)
    assert frames is not None
    assert adjusted_rand_score(number(PLACES), strategy.labels(PLACES)) > 0.85
    assert len(strategy.groups()) == 3
    phases = {tuple(round(group[tag]) for tag in ("ring", "halo", "spots")) for group in strategy.groups()}
    assert phases == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    best = [np.array([place["x"], place["y"]]) for _, place, _ in strategy.get_best_points()]
    assert {int(number(place)) for place in best} == {0, 1, 2}


def test_novelty_goes_to_what_is_rare_and_ends_when_there_is_no_more():
    def tags(place, wrong):
        rare = np.hypot(*(place - (8, 8))) < 1.5
        return {"ring": 0.1 + 0.02 * place[0], "spots": 0.5 + 0.3 * np.sin(3 * place[0]) if rare else 0.0}

    strategy = make("novelty", XY, tags=["ring", "spots"], seed=1, differ=0.2, patience=30)
    frames = scan(strategy, tags, 120)
    assert frames is not None
    _, first, _ = strategy.get_best_points()[0]
    assert np.hypot(first["x"] - 8, first["y"] - 8) < 1.5
    later = strategy.seen_positions()[16:]
    assert (np.hypot(*(later - (8, 8)).T) < 1.5).mean() > 1.5 * np.pi * 1.5**2 / 100
