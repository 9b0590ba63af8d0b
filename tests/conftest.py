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
def RE():
    """A RunEngine whose loop and thread end with the test."""
    engine = RunEngine({}, context_managers=[])
    yield engine
    if engine.state != "idle":
        engine.halt()
    engine.loop.call_soon_threadsafe(engine.loop.stop)
    engine._th.join(timeout=10)
    engine.loop.close()


@pytest.fixture
def seen(RE):
    """All documents of the RunEngine, each validated against event-model's schemas."""
    documents = DocumentsSeen()
    RE.subscribe(documents)
    return documents


@pytest.fixture
def tag(RE):
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


@pytest.fixture(scope="session")
def tiled_sqlite_catalog(tmp_path_factory):
    """The embedded catalogue, in this process; it takes seconds to build, so the tests share it."""
    from bluesky_xtag.catalog import open_catalog

    catalog = open_catalog(tmp_path_factory.mktemp("catalog"))
    yield catalog
    catalog.context.close()


@pytest.fixture(scope="session")
def tiled_duckdb_catalog(tmp_path_factory):
    """Tiled in this process with DuckDB for the tables, as Tiled's own server sets it up."""
    from tiled.catalog import from_uri
    from tiled.client import Context, from_context
    from tiled.server.app import build_app

    directory = tmp_path_factory.mktemp("duckdb")
    tree = from_uri(
        f"sqlite:///{directory / 'catalog.db'}",
        specs=[{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
        writable_storage=[str(directory / "data"), f"duckdb:///{directory / 'tables.duckdb'}"],
        init_if_not_exists=True,
    )
    catalog = from_context(Context.from_app(build_app(tree)))
    yield catalog
    catalog.context.close()


@pytest.fixture(params=["databroker.temp", "tiled sqlite"])
def catalog(request, RE):
    """A catalogue of each kind that takes what the RunEngine emits."""
    if request.param.startswith("tiled"):
        from bluesky_tiled_plugins import TiledWriter

        catalog = request.getfixturevalue(request.param.replace(" ", "_") + "_catalog")
        RE.subscribe(TiledWriter(catalog))
        return catalog
    import databroker

    broker = databroker.temp() if request.param == "databroker.temp" else databroker.Broker.named("temp")
    RE.subscribe(broker.v1.insert)
    return broker
