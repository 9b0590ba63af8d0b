"""A line of places with a peak of "ring", and whether the decisions taken there can be computed again."""

import math

import pytest
from ophyd.sim import SynAxis

from support.cameras import Camera, GradedModel, flat


@pytest.fixture
def axis():
    return SynAxis(name="axis")


@pytest.fixture
def other():
    return SynAxis(name="other")


@pytest.fixture
def graded(tag):
    """`install` with a model whose answers are probabilities."""
    return lambda **arguments: tag(**{"model": GradedModel()} | arguments)


@pytest.fixture
def peak(axis, other):
    """A camera that sees most of "ring", 0.95, at axis = 3 and other = 0."""
    distance = lambda: math.hypot(axis.position - 3, other.position)  # noqa: E731
    return Camera(lambda seconds: flat(round(950 * math.exp(-(distance() ** 2) / 4))))


@pytest.fixture
def decisions(seen):
    """The rows of the stream "decisions", without the first part of their columns' names."""

    def decisions(run=None):
        events = seen.events("decisions", run)
        return [{key.removeprefix("decision_"): value for key, value in event["data"].items()} for event in events]

    return decisions
