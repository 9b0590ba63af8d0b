"""The bench of the strategies: what it counts, when a bar is missed, and one task in full."""

import dataclasses
import json
from concurrent.futures import Future
from itertools import pairwise, permutations

import numpy as np
import pytest

from bluesky_xtag import XTagValueError
from bluesky_xtag.cli.bench import adaptive_bench as bench
from bluesky_xtag.cli.bench import ax_agent
from bluesky_xtag.cli.bench.adaptive_bench import KINDS, adaptive, bars_missed
from bluesky_xtag.cli.bench.bars import rows
from bluesky_xtag.cli.bench.camera import Camera
from bluesky_xtag.cli.bench.hindsight import shortest_seconds
from bluesky_xtag.cli.bench.tasks import TASKS, points_of, run
from bluesky_xtag.cli.bench.travels import MOTIONS, travel_run
from bluesky_xtag.simulate import Domains, Region


@pytest.fixture(scope="module")
def model(packaged_model):
    return packaged_model


def one(frames, score=0.97):
    trace = [(30, score), (40, score)]
    return {"seed": 0, "frames": frames, "score": score, "stopped": 90, "score_at_stop": 0.96, "trace": trace}


def maps(adaptive=50, faulty=70, very_faulty=90, random=300, grid=576):
    kinds = {"adaptive": adaptive, "faulty": faulty, "very_faulty": very_faulty, "random": random, "grid": grid}
    return {kind: [one(frames)] * 3 for kind, frames in kinds.items()}


def doses(dose=0.36, lost=0):
    return {
        kind: [{"seed": 0, "dose": dose, "lost": lost, "places": 500, "empty": 0.7}] for kind in KINDS["skip_empty"]
    }


def early(score):
    return one(40, -0.001) | {"trace": [(30, score), (40, -0.001)]}


def thought(points, busy=15, megabytes=300):
    return {"points": points, "median": 20, "p95": 300, "longest": 900, "busy": busy, "megabytes": megabytes}


def travelled(seconds=120.0):
    return {
        kind: [{"seed": 0, "frames": 45, "seconds": seconds, "best": 100.0, "unaware": 150.0}]
        for kind in KINDS["travel"]
    }


def failed(found):
    return [row.what for row in rows(found) if row.holds is False]


def test_bars_that_are_reached_hold():
    sought = {kind: [one(30, -0.005)] * 10 for kind in KINDS["seek"]}
    thoughts = {"seek": [thought(200), thought(1_000), thought(10_000)]}
    assert (
        failed(
            {
                "boundary": maps(),
                "phases": maps(),
                "seek": sought,
                "skip_empty": doses(),
                "travel": travelled(),
                "suggestion": thoughts,
            }
        )
        == []
    )


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ({"boundary": maps(adaptive=56)}, "frames to overlap"),
        ({"boundary": maps(very_faulty=101)}, "10 % wrong and 10 % missing"),
        ({"boundary": maps(faulty=None)}, "5 % wrong"),
        ({"boundary": maps(random=50)}, "random places"),
        ({"boundary": maps(grid=49)}, "coarse grid"),
        ({"phases": maps(adaptive=None)}, "adjusted Rand"),
        ({"phases": maps(faulty=76)}, "5 % wrong"),
        ({"seek": {kind: [one(30, -0.011)] + [one(30, -0.001)] * 9 for kind in KINDS["seek"]}}, "within 1%"),
        ({"skip_empty": doses(dose=0.41)}, "dose"),
        ({"skip_empty": doses(lost=1)}, "lost"),
        ({"travel": travelled(131.0)}, "best order in hindsight"),
        ({"seek": {kind: [early(-0.02)] * 2 + [early(-0.001)] * 8 for kind in KINDS["seek"]}}, "after 30 frames"),
        ({"suggestion": {"seek": [thought(1_000, busy=21)]}}, "seek: ms of the processor to the next point after 1000"),
        ({"suggestion": {"seek": [thought(10_000, megabytes=501)]}}, "seek: MB"),
    ],
)
def test_a_bar_that_is_not_reached_is_missed(found, what):
    assert what in " ".join(failed(found))


def test_figures_without_baselines_or_faults_are_told_too():
    kinds = {"adaptive": [one(50)] * 3}
    told = rows({"boundary": kinds, "seek": {"adaptive": [one(30, -0.005)] * 3}})
    assert [row.holds for row in told if row.bar] == [True, True, True]


def test_baselines_may_fail_without_a_bar_being_missed():
    assert failed({"boundary": maps(random=None, grid=None)}) == []


def test_the_ax_agent_is_reported_beside_without_a_bar():
    kinds = maps() | {"ax": [one(None, 0.8), one(130, 0.9), one(None, 0.85)]}
    told = {row.what: row for row in rows({"boundary": kinds}) if "Ax agent" in row.what}
    assert [row.reached for row in told.values()] == ["not reached (130 to not reached)", "0.85 (0.8 to 0.9)"]
    assert {row.holds for row in told.values()} == {None}
    assert all("3 samples" in what for what in told)


@pytest.mark.parametrize("installed", [True, False])
def test_the_ax_agent_maps_few_samples_and_only_where_it_is_installed(monkeypatch, installed):
    monkeypatch.setattr(ax_agent, "available", lambda: installed)
    kinds = [kind for _, kind, _ in bench._scans("boundary", 10)]
    assert kinds.count("ax") == (3 if installed else 0)
    assert kinds.count("adaptive") == 10
    assert "ax" not in [kind for _, kind, _ in bench._scans("phases", 10)]


def test_the_ax_agent_chooses_the_places(model):
    pytest.importorskip("ax", reason='Ax and PyTorch are not installed: pip install "bluesky-adaptive[ax]"')
    outcome, strategy = run(TASKS["boundary"], model, 200, "ax", limit=10)
    assert len(strategy.seen_positions()) == outcome.trace[-1][0] >= 10


def test_faults_are_of_the_wanted_share_and_every_frame_counts(model):
    region, places = Region(0), points_of(13)
    sound, faulty = (Camera(region, model, 0, 0.1, faults=each, tag="ring") for each in (0.0, 0.05))
    right, wrong = sound.look(places), faulty.look(places)
    assert sound.frames == faulty.frames == 169
    assert None not in right
    missing = sum(tags is None for tags in wrong)
    turned = sum(abs(a["ring"] - b["ring"]) > 0.9 for a, b in zip(right, wrong, strict=True) if a and b)
    assert 2 <= missing <= 20 and 2 <= turned <= 20


def test_a_wrong_frame_of_phases_is_of_another_phase(model):
    domains = Domains(0)
    camera = Camera(domains, model, 0, 0.1, faults=0.05)
    place = np.array([5.0, 2.0])
    for _ in range(20):
        other = camera._elsewhere(place)
        assert domains.fractions(*other).argmax() != domains.fractions(*place).argmax()


def test_tags_come_from_the_model_and_the_map_from_the_tags(model):
    outcome, strategy = run(TASKS["boundary"], model, 200, "adaptive", limit=60)
    assert len(strategy.seen_positions()) == 60
    assert outcome.trace[-1][0] == 60 and outcome.trace[-1][1] > 0.85
    assert outcome.score == outcome.trace[-1][1]


def test_the_bench_writes_figures_and_a_picture(tmp_path, capfd):
    figures = adaptive(tmp_path / "figures.json", tmp_path / "picture.png", seeds=1, tasks=["seek"], workers=1)
    assert json.loads((tmp_path / "figures.json").read_text()).keys() == figures.keys()
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert {"machine", "model", "versions"} <= set(figures)
    assert all("seek" in trouble for trouble in bars_missed(figures))
    assert "within 1%" in capfd.readouterr().out


@pytest.mark.parametrize("seed", range(6))
def test_the_best_order_in_hindsight_is_the_shortest_of_all(seed):
    places = np.random.default_rng(seed).uniform(0, 10, (2 + seed, 2))
    seconds = MOTIONS["fast"].seconds(np.abs(places[:, None] - places[None])).max(axis=-1)
    ways = ((0, *rest) for rest in permutations(range(1, len(places))))
    shortest = min(sum(seconds[a, b] for a, b in pairwise(way)) for way in ways)
    assert shortest_seconds(seconds) == pytest.approx(shortest)


def test_no_order_in_hindsight_is_shorter_than_clusters_that_are_far_apart_allow():
    """Each cluster alone has a shorter closed way, which is none through all places."""
    cluster = np.random.default_rng(0).uniform(0, 1, (8, 2))
    places = np.concatenate([cluster, cluster + 100, cluster + 200])
    seconds = np.abs(places[:, None] - places[None]).max(axis=-1)
    assert 198 < shortest_seconds(seconds) < 230


def test_a_map_with_motors_takes_the_time_of_its_moves_and_frames(model, monkeypatch):
    task = dataclasses.replace(TASKS["boundary"], budget=20)
    monkeypatch.setitem(TASKS, "boundary", task)
    found = travel_run(model, "boundary", MOTIONS["slow"], 0)
    assert found["seconds"] >= found["best"] > (found["frames"] or 30) * MOTIONS["slow"].frame
    assert found["unaware"] > found["best"]


def test_thinking_is_timed_after_many_points_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(bench, "POINTS", (200,))
    monkeypatch.setattr(bench, "THINKING", ("novelty",))
    large = np.ones(2**29, np.uint8)  # this process is no measure for the one that is timed
    (one,) = adaptive(tasks=["suggestion"])["tasks"]["suggestion"]["novelty"]
    assert one["points"] == 200
    assert 0 < one["median"] <= one["p95"] <= one["longest"] and one["busy"] > 0
    assert 50 < one["megabytes"] < large.nbytes / 2**20


def test_a_journal_keeps_scans_and_those_of_another_model_are_made_again(tmp_path, monkeypatch):
    journal, made = tmp_path / "scans.jsonl", []

    class AtOnce:
        """Makes scans in this process, and stops after the second."""

        def __init__(self, *_):
            self.left = 2

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def submit(self, _, *job):
            future = Future()
            if self.left:
                made.append(job)
                future.set_result(one(30, -0.001) | {"seed": job[2]})
            else:
                future.set_exception(KeyboardInterrupt())
            self.left -= 1
            return future

    monkeypatch.setattr(bench, "worker_pool", AtOnce)
    monkeypatch.setattr(bench, "as_completed", iter)  # in their order
    jobs = [("seek", "adaptive", 0), ("seek", "adaptive", 1), ("seek", "faulty", 0)]
    with pytest.raises(KeyboardInterrupt):
        bench._measure(jobs, 1, journal)
    assert made == jobs[:2]
    journal.write_text(journal.read_text() + '\n{"model": "default 0')  # a line that was torn off
    found = bench._measure(jobs, 1, journal)
    assert made == jobs
    assert [each["seed"] for each in found["seek"]["adaptive"]] == [0, 1]
    monkeypatch.setattr(bench, "_of_now", lambda: ("default 0.0.1", 1))
    bench._measure(jobs[:1], 1, journal)
    assert made == [*jobs, jobs[0]]


def test_an_unknown_task_is_named():
    with pytest.raises(XTagValueError, match="known tasks: boundary, phases, seek, skip_empty, travel, suggestion"):
        adaptive(tasks=["alignment"])
