import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import det
from support.cameras import Camera, flat
from support.catalogs import tree_arguments
from support.exposures import Numbered

from bluesky_xtag import XTagError, XTagValueError
from bluesky_xtag.catalog import FRAMES, as_catalog, last_scan_id, next_scan_id, open_catalog, tiled_writer
from bluesky_xtag.catalog.tiled_database import make_database
from bluesky_xtag.simulate import PhotonCounter, motor


@pytest.fixture
def record(RE, tmp_path):  # noqa: N803
    """Run a plan of a simulated beamline into a catalogue and return the run's uid."""
    x, y = motor("x"), motor("y")
    det = PhotonCounter(name="det", exposures=Numbered(), x=x, y=y, directory=tmp_path / FRAMES, exposure=0.0)

    def record(catalog, plan):
        RE.md["scan_id"] = last_scan_id(catalog)
        token = RE.subscribe(TiledWriter(catalog))
        (uid,) = RE(plan(det, x))
        RE.unsubscribe(token)
        return uid

    return record


def test_a_reopened_directory_holds_earlier_runs_with_their_images_and_goes_on_counting(tmp_path, record):
    catalog = open_catalog(tmp_path)
    assert last_scan_id(catalog) == 0
    first = record(catalog, lambda det, x: bp.scan([det], x, 1, 3, 3))
    catalog.context.close()

    catalog = open_catalog(tmp_path)
    second = record(catalog, lambda det, x: bp.count([det]))
    assert list(catalog) == [first, second]
    assert last_scan_id(catalog) == 2
    assert catalog[1].metadata["start"]["uid"] == first
    assert catalog[-1].metadata["start"]["uid"] == second

    images = catalog[first]["primary"]["det_image"]
    assert images.shape == (3, 1, *Numbered.shape)
    assert images.dtype == np.int32
    assert [int(images[index].max()) for index in range(3)] == [1, 2, 3]
    assert int(images[:].min()) == -1
    catalog.context.close()


def test_a_new_database_is_the_one_that_tiled_makes_whole_and_without_another_process(tmp_path, monkeypatch):
    def schema(path):
        with closing(sqlite3.connect(path)) as database:
            asked = (
                "PRAGMA journal_mode",
                "SELECT type, name, sql FROM sqlite_master ORDER BY type, name",
                "SELECT * FROM alembic_version",
                "SELECT * FROM access_tags",
            )
            *found, tags = [database.execute(statement).fetchall() for statement in asked]
            return [*found, [tag[:-2] for tag in tags]]  # without when they were made

    tree_arguments(tmp_path / "tiled")  # with Tiled's own command
    monkeypatch.setattr(subprocess, "Popen", None)
    make_database(tmp_path / "ours.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.db", "tiled"]
    assert schema(tmp_path / "ours.db") == schema(tmp_path / "tiled" / "catalog.db")
    before = (tmp_path / "ours.db").read_bytes()
    asyncio.run(make_within_a_loop(tmp_path / "ours.db"))
    assert (tmp_path / "ours.db").read_bytes() == before, "a database that was there was replaced"


async def make_within_a_loop(path):
    """As in a notebook, where an event loop runs."""
    make_database(path)


def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(XTagValueError, match=f"{file}.*name one that you may write to"):
        open_catalog(file)


def test_tensorflow_before_sqlite_is_named_as_the_cause(tmp_path):
    code = "import tensorflow; from bluesky_xtag.catalog import open_catalog; open_catalog('catalog')"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "import sqlite3 or bluesky_xtag.catalog before TensorFlow" in done.stderr


@pytest.fixture
def sessions(tiled_sqlite_catalog):
    """Two RunEngines that store into one catalogue, and a function that lets one of them take a run."""
    engines = []
    for _ in range(2):
        engine = RunEngine({}, context_managers=[], scan_id_source=next_scan_id(tiled_sqlite_catalog))
        engine.subscribe(tiled_writer(tiled_sqlite_catalog))
        engines.append(engine)

    def take(number):
        (uid,) = engines[number](bp.count([det]))
        return tiled_sqlite_catalog[uid].metadata["start"]["scan_id"]

    yield engines, take
    for engine in engines:
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join(timeout=10)
        engine.loop.close()


def test_sessions_on_one_catalogue_count_together(sessions, tiled_sqlite_catalog):
    _, take = sessions
    first = last_scan_id(tiled_sqlite_catalog) + 1
    assert [take(number) for number in (0, 1, 1, 0, 1, 0)] == list(range(first, first + 6))


def test_a_session_never_counts_backwards(sessions, tiled_sqlite_catalog):
    engines, take = sessions
    ahead = last_scan_id(tiled_sqlite_catalog) + 50
    engines[0].md["scan_id"] = ahead
    assert [take(0), take(1)] == [ahead + 1, ahead + 2]


def test_a_catalogue_that_does_not_answer_stops_no_scan(sessions, tiled_sqlite_catalog, monkeypatch, caplog):
    engines, take = sessions
    first = take(0)

    def away(*conditions):
        raise OSError("no route to host")

    monkeypatch.setattr(type(as_catalog(tiled_sqlite_catalog)), "search", lambda self, *conditions: away())
    assert take(0) == first + 1
    assert "no route to host" in caplog.text and str(first + 1) in caplog.text


def test_a_scan_id_that_two_runs_share_is_told_once(tiled_sqlite_catalog, RE, tag, caplog):
    RE.subscribe(tiled_writer(tiled_sqlite_catalog))
    tagger = tag(catalog=tiled_sqlite_catalog)
    mine = last_scan_id(tiled_sqlite_catalog) + 10
    uids = []
    for _ in range(3):
        RE.md["scan_id"] = mine
        uids += RE(bp.count([Camera(lambda seconds: flat(500))]))
    tagger.uninstall()  # waits for the summaries
    told = [each.getMessage() for each in caplog.records if "has the scan_id" in each.getMessage()]
    assert len(told) == 1
    assert any(uid in told[0] for uid in uids) and f"scan_id {mine + 1}" in told[0] and "next_scan_id" in told[0]


def test_httpx2_is_named_as_the_cause(tmp_path, monkeypatch):
    import tiled.client

    def from_app(app):  # what Tiled 0.2.20 raises where httpx2 is installed
        raise TypeError("Invalid type for url.  Expected str or httpx2.URL, got <class 'httpx.URL'>")

    monkeypatch.setattr(tiled.client.Context, "from_app", from_app)
    with pytest.raises(XTagError, match="uninstall httpx2, or start `tiled serve`"):
        open_catalog(tmp_path)
