"""A line of places with a peak of "ring", and whether the decisions taken there can be computed again."""

import json
import math

import pandas as pd
import pytest
from ophyd.sim import SynAxis

from bluesky_xtag.documents import TagRow
from bluesky_xtag.plans.decisions.check import first_divergence
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


@pytest.fixture
def computed_again(seen):
    """Says how the decisions of a run differ when they are computed again: not at all, if all is well."""

    def computed_again(run=None):
        rows, decided = (seen.events(stream, run) for stream in ("tags", "decisions"))
        (descriptor,) = seen.descriptors("decisions", run)
        settings = json.loads(descriptor["configuration"]["decisions"]["data"]["decision_settings"])
        by_number = {row["seq_num"]: TagRow.read(row["seq_num"], row["data"], "xtag", settings["tags"]) for row in rows}
        stored = pd.DataFrame([row["data"] for row in decided], index=[row["seq_num"] for row in decided])
        return first_divergence(stored, by_number, settings)

    return computed_again


def pause_after(RE, stream, number):
    """Pause once the event of that number in that stream was emitted; the RunEngine goes back to its checkpoint."""
    streams, pauses = {}, iter([True])

    def callback(name, doc):
        if name == "descriptor":
            streams[doc["uid"]] = doc["name"]
        elif name == "event" and (streams[doc["descriptor"]], doc["seq_num"]) == (stream, number):
            if next(pauses, False):
                RE.loop.create_task(RE._request_pause_coro(False))

    RE.subscribe(callback)
