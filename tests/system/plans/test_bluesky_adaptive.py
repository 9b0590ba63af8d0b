"""The bridge to bluesky-adaptive, with the real package: our tags under its optimizers, our strategies in its plans."""

import math

import numpy as np
import pytest
from ophyd.sim import SynAxis
from support.cameras import Camera, GradedModel, flat
from support.models import HangingModel

from bluesky_xtag import Tagger, XTagError, XTagValueError
from bluesky_xtag.plans import make
from bluesky_xtag.plans.bluesky_adaptive import TagEvaluation, tagged_step

adaptive = pytest.importorskip(
    "bluesky_adaptive", reason='bluesky-adaptive is not installed: pip install "bluesky_xtag[adaptive]"'
)

from bluesky_adaptive import optimize, optimize_in_run  # noqa: E402
from bluesky_adaptive.protocols import (  # noqa: E402
    EvaluationFunction,
    OptimizationProblem,
    Optimizer,
    SupportsStoppingCriteria,
    TrialFaultAware,
)


@pytest.fixture
def axis():
    return SynAxis(name="axis")


@pytest.fixture
def det(axis):
    """Sees most of "ring", 0.95, at 3."""
    return Camera(lambda seconds: flat(round(950 * math.exp(-((axis.position - 3) ** 2) / 4))))


class Remembers:
    """An optimizer that suggests fixed places, far from any order, and remembers what it was told."""

    def __init__(self, places):
        self.places, self.told = list(places), {}

    def suggest(self, num_points=None):
        taken, self.places = self.places[: num_points or 1], self.places[num_points or 1 :]
        return [{"_id": f"p{place}", "axis": float(place)} for place in taken]

    def ingest(self, points):
        self.told |= {point["_id"]: point for point in points}

    def get_best_points(self):
        return []


def ring(place):
    return pytest.approx(round(950 * math.exp(-((place - 3) ** 2) / 4)) / 1000)


def assert_told(told, places):
    assert {key: point["ring"] for key, point in told.items()} == {f"p{place}": ring(place) for place in places}


PLACES = [6, 1, 5, 0, 3, 2]  # bluesky-adaptive takes a batch of three in another order


@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_optimize_is_told_the_tags_of_each_suggestion(RE, seen, tag, axis, det, wait):
    optimizer, tagger = Remembers(PLACES), tag(model=GradedModel(), wait=wait)
    evaluation = TagEvaluation(tagger, outcomes=["ring"])
    assert isinstance(evaluation, EvaluationFunction)
    RE(optimize(OptimizationProblem(optimizer, [axis], [det], evaluation), iterations=2, n_points=3))
    assert_told(optimizer.told, PLACES)
    assert [stop["exit_status"] for stop in seen.of("stop")] == ["success"] * 3


@pytest.mark.parametrize("how", ["overlap", "point", "subscribed"])
def test_optimize_in_run_is_told_the_tags_of_each_suggestion(RE, seen, tag, axis, det, how):
    optimizer = Remembers(PLACES)
    if how == "subscribed":
        tagger = Tagger(GradedModel())
        RE.subscribe(tagger)
    else:
        tagger = tag(model=GradedModel(), wait=how)
    problem = OptimizationProblem(optimizer, [axis], [det], TagEvaluation(tagger))
    RE(optimize_in_run(problem, iterations=2, n_points=3, per_step=tagged_step(tagger)))
    tagger.uninstall()
    assert_told(optimizer.told, PLACES)
    assert seen.stop()["num_events"] == {"primary": 6, "tags": 6, "optimization": 6}
    assert set(optimizer.told["p3"]) == {"_id", "saturated", "weak_scattering", "ring"}


def test_with_wait_point_nothing_else_is_needed_in_run(RE, tag, axis, det):
    optimizer, tagger = Remembers(PLACES), tag(model=GradedModel(), wait="point")
    problem = OptimizationProblem(optimizer, [axis], [det], TagEvaluation(tagger, ["ring"]))
    RE(optimize_in_run(problem, iterations=3, n_points=2))
    assert_told(optimizer.told, PLACES)


def test_without_a_row_it_says_what_to_do(RE, tag, axis, det):
    tagger = tag(model=HangingModel(), deadline=5)
    problem = OptimizationProblem(Remembers(PLACES), [axis], [det], TagEvaluation(tagger))
    tagger.model.released.set()
    with pytest.raises(XTagError, match=r"frame \d of run .* has no row .* per_step=tagged_step\(xtag\)"):
        RE(optimize_in_run(problem, iterations=2, n_points=3))


def test_without_documents_it_says_what_to_do(axis):
    tagger = Tagger(GradedModel())
    with pytest.raises(XTagError, match=r"call install\(RE\) or RE.subscribe\(xtag\)"):
        TagEvaluation(tagger)("some run", [{"_id": 1}])
    tagger.uninstall()


def test_frames_without_tags_are_missing(RE, tag, axis, det):
    model = HangingModel()
    tagger = tag(model=model, deadline=0.05, wait="point")
    for missing in (math.nan, 0.0):
        optimizer = Remembers(PLACES)
        evaluation = TagEvaluation(tagger, ["ring"], missing=missing)
        RE(optimize(OptimizationProblem(optimizer, [axis], [det], evaluation), iterations=1, n_points=2))
        np.testing.assert_equal([point["ring"] for point in optimizer.told.values()], [missing] * 2)
    model.released.set()


def test_unknown_outcomes_are_refused(tag):
    with pytest.raises(XTagValueError, match="no tag rnig"):
        TagEvaluation(tag(), ["rnig"])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("plan", [optimize, optimize_in_run])
def test_our_strategies_are_its_optimizers(RE, seen, tag, axis, det, plan, batch):
    tagger = tag(model=GradedModel(), wait="point")
    strategy = make("grid", {"axis": (0, 6)}, tags=tagger.model.taxonomy.names, tag="ring", shape=7)
    for protocol in (Optimizer, SupportsStoppingCriteria, TrialFaultAware):
        assert isinstance(strategy, protocol)
    RE(plan(OptimizationProblem(strategy, [axis], [det], TagEvaluation(tagger)), iterations=20, n_points=batch))
    number, place, scores = strategy.get_best_points()[0]
    assert (number, place, scores["ring"]) == (3, {"axis": 3.0}, pytest.approx(0.95))
    frames = sum(stop["num_events"]["tags"] for stop in seen.of("stop") if "tags" in stop["num_events"])
    assert frames == 7  # its stopping rule ended the plan


def test_our_strategies_leave_out_what_has_no_tags(RE, tag, axis, det):
    model = HangingModel()
    tagger = tag(model=model, deadline=0.05, wait="point")
    strategy = make("grid", {"axis": (0, 6)}, tags=tagger.model.taxonomy.names, shape=3)
    RE(optimize(OptimizationProblem(strategy, [axis], [det], TagEvaluation(tagger)), iterations=5))
    model.released.set()
    assert strategy.should_stop()
    assert strategy.get_best_points() == []


@pytest.mark.timeout(900)  # Ax thinks for seconds about each point
def test_its_ax_agent_runs_on_our_tags(RE, tag, axis, det):
    pytest.importorskip("ax", reason='Ax and PyTorch are not installed: pip install "bluesky-adaptive[ax]"')
    from bluesky_adaptive.ax import Agent, Objective, RangeDOF

    evaluation = TagEvaluation(tag(model=GradedModel(), wait="point"), {"p_ring": "ring"}, missing=0.0)
    objectives = [Objective(name="p_ring", minimize=False)]
    dofs = [RangeDOF(actuator=axis, bounds=(0, 6), parameter_type="float")]
    agent = Agent(sensors=[det], dofs=dofs, objectives=objectives, evaluation_function=evaluation)
    RE(agent.optimize(iterations=8))
    assert agent.ax_client.summarize()["p_ring"].max() > 0.5
