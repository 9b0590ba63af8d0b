"""Fixtures for all tests: a real RunEngine that ends with its test, and what it emits, validated."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything brings TensorFlow
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
from bluesky import RunEngine
from documents_seen import DocumentsSeen
from models import CountsModel

from bluesky_xtag import install


@pytest.fixture
def RE():  # noqa: N802
    """A RunEngine whose loop and thread end with the test."""
    engine = RunEngine({}, context_managers=[])
    yield engine
    if engine.state != "idle":
        engine.halt()
    engine.loop.call_soon_threadsafe(engine.loop.stop)
    engine._th.join(timeout=10)
    engine.loop.close()


@pytest.fixture
def seen(RE):  # noqa: N803
    """All documents of the RunEngine, each validated against event-model's schemas."""
    documents = DocumentsSeen()
    RE.subscribe(documents)
    return documents


@pytest.fixture
def tag(RE):  # noqa: N803
    """`install` on this test's RunEngine, with a small fast model unless told otherwise."""
    taggers = []

    def tag(**arguments):
        if "backend" not in arguments:
            arguments.setdefault("model", CountsModel())
        tagger = install(RE, **arguments)
        taggers.append(tagger)
        return tagger

    yield tag
    for tagger in taggers:
        tagger.uninstall()


@pytest.fixture
def rng():
    """Random numbers that are the same in every run of the tests."""
    return np.random.default_rng(20260101)
