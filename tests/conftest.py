"""Fixtures for all tests: a real RunEngine that ends with its test, and what it emits, validated."""

import io
import os
import signal
import traceback
from contextlib import ExitStack

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything brings TensorFlow
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPHYD_CONTROL_LAYER", "dummy")  # no client of EPICS, except where a test asks for one
# The tests run side by side: more threads for linear algebra would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from bluesky import RunEngine
from support.archives import opened
from support.catalogs import POSTGRESQL, Server, in_process, postgresql_database, tree_arguments
from support.documents_seen import DocumentsSeen
from support.models import CountsModel
from support.places import ROOT

from bluesky_xtag import install

# Programs that tests end by it would ignore it if `nohup` started the tests.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Files that take longest begin first, so that no worker is left alone with one of them at the end.
SLOWEST = (
    "system/train/",
    "system/cli/",
    "system/test_profile.py",
    "system/test_docs.py",
    "system/test_queue_server.py",
    "system/test_blueapi.py",
    "system/simulate/",
    "system/replay/",
    "system/review/",
    "system/",
)
# Files whose tests share nothing that is costly to make: workers may divide them.
DIVISIBLE = ("system/simulate/test_all_draws.py",)
# Directories whose tests share what there can be one of in a process.
TOGETHER = ("system/epics",)


def pytest_configure(config):
    """Refuse to begin where groups are not kept: fixtures would be made on each worker, and IOCs would meet."""
    if config.getoption("dist", "no") == "loadgroup" and not hasattr(pytest.Item, "_nodeid"):
        raise pytest.UsageError(
            "pytest-xdist 3.8 writes the groups of tests where pytest 9.2 does not look for them: "
            "install pytest below 9.2, as constraints.txt says"
        )

    _keep_capture_open(config)


def _captured(config):
    """The files in which pytest keeps what tests write, and the raw files below them."""
    capturing = getattr(config.pluginmanager.getplugin("capturemanager"), "_global_capturing", None)
    for stream in ("out", "err"):
        file = getattr(getattr(capturing, stream, None), "tmpfile", None)
        if isinstance(getattr(file, "buffer", None), io.FileIO):
            yield from (file, file.buffer)


def _keep_capture_open(config):
    """Write down who closes such a file, and keep it open: else that fails every later test of the process."""
    found = config.rootpath / ".pytest_cache" / "closed-capture.txt"

    def refuse():
        found.parent.mkdir(exist_ok=True)
        with found.open("a") as file:
            file.write("".join(traceback.format_stack()) + "\n")

    for file in _captured(config):
        file.close = refuse


def pytest_unconfigure(config):
    for file in _captured(config):
        vars(file).pop("close", None)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Put the slowest files first, and keep the tests of a file on one worker, where its fixtures are made once."""
    for item in items:
        name = item.path.relative_to(ROOT / "tests").as_posix()
        together = [directory for directory in TOGETHER if name.startswith(f"{directory}/")]
        item.add_marker(pytest.mark.xdist_group(item.nodeid if name in DIVISIBLE else [*together, name][0]))
    items.sort(
        key=lambda item: next((n for n, part in enumerate(SLOWEST) if f"tests/{part}" in item.nodeid), len(SLOWEST))
    )


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
def packaged_model():
    """The packaged model. While it lives, loading it again takes a moment."""
    from bluesky_xtag import TagModel

    model = TagModel.load()
    model.warm()
    return model


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
    directory = tmp_path_factory.mktemp("duckdb")
    arguments = tree_arguments(directory)
    arguments["writable_storage"][1] = f"duckdb:///{directory / 'tables.duckdb'}"
    catalog = in_process(arguments)
    yield catalog
    catalog.context.close()


@pytest.fixture(scope="session")
def tiled_postgresql_catalog(tmp_path_factory):
    """Tiled in this process with PostgreSQL for runs and tables."""
    with postgresql_database() as database:
        catalog = in_process(tree_arguments(tmp_path_factory.mktemp("postgresql"), database))
        yield catalog
        catalog.context.close()


@pytest.fixture(scope="session")
def tiled_server(tmp_path_factory):
    """`tiled serve`, with SQLite at /sqlite and, where the tests have a server of it, PostgreSQL at /postgresql."""
    directory = tmp_path_factory.mktemp("served")
    with ExitStack() as stack:
        trees = {"/sqlite": tree_arguments(directory / "sqlite")}
        if os.environ.get(POSTGRESQL):
            database = stack.enter_context(postgresql_database())
            trees["/postgresql"] = tree_arguments(directory / "postgresql", database)
        server = Server(directory, trees).start()
        yield server
        server.kill()


@pytest.fixture
def catalog(request, RE):
    """The shared embedded catalogue, or one of the kind that a test names, which takes what the RunEngine emits."""
    store = opened(request, getattr(request, "param", "tiled sqlite"))
    RE.subscribe(store.insert)
    return store.catalog
