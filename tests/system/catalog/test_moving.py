"""An embedded catalogue that was moved or copied is read and written where it is now."""

import os
import shutil
import sqlite3

import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from support.archives import record
from support.detectors import FileDetector
from support.models import CountsModel

from bluesky_xtag import XTagValueError
from bluesky_xtag.catalog import FRAMES, open_catalog, tiled_writer
from bluesky_xtag.replay import replay
from bluesky_xtag.search import summarise_runs, tags

SCORES = pytest.approx([0.1, 0.95, 0.3])


def filled(place, *, files=False):
    """Make a catalogue with a tagged run, and one of files; return their uids."""
    catalog = open_catalog(place)
    insert = tiled_writer(catalog)
    uids = record(insert, [10, 95, 30])
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(insert)
    uids += engine(bp.count([FileDetector(place / FRAMES, name="files")], 2))
    engine.loop.call_soon_threadsafe(engine.loop.stop)
    engine._th.join(timeout=10)
    engine.loop.close()
    catalog.context.close()
    return uids


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    place = tmp_path_factory.mktemp("original") / "cat"
    return place, filled(place)


@pytest.fixture
def copied(original, tmp_path):
    """A copy of the catalogue whose original is moved out of the way meanwhile."""
    place, uids = original
    shutil.copytree(place, tmp_path / "first" / "cat")
    away = place.with_name("away")
    place.rename(away)
    yield tmp_path / "first" / "cat", uids
    away.rename(place)


def assert_whole(place, uids, work):
    catalog = open_catalog(place)
    try:
        tagged, files = uids
        assert list(tags(catalog[tagged])["xtag_p_ring"]) == SCORES
        found = replay(catalog, [files], model=CountsModel(), work=work)
        assert found["outcome"][0].startswith("tagged")
        if found["outcome"][0] == "tagged":
            assert found["ok"][0] == 2
        (new,) = record(tiled_writer(catalog), [50])
        assert list(tags(catalog[new])["xtag_p_ring"]) == [0.5]
    finally:
        catalog.context.close()
    with sqlite3.connect(place / "catalog.db") as database:
        addresses = [uri for (uri,) in database.execute("SELECT data_uri FROM assets")]
    assert addresses and all(str(place) in uri for uri in addresses)


@pytest.mark.parametrize("name", ["cat", "an other ä + name", "data", "deep/er/data/frames"])
def test_a_catalogue_that_was_moved(copied, tmp_path, name, caplog):
    first, uids = copied
    place = tmp_path / "second" / name
    place.parent.mkdir(parents=True)
    first.rename(place)
    assert_whole(place, uids, tmp_path / "work")
    assert caplog.text.count("was moved or copied here from") == 1


def test_moved_again_and_again_with_runs_at_each_place(copied, tmp_path):
    first, uids = copied
    for number in range(3):
        place = tmp_path / f"place {number}" / "cat"
        place.parent.mkdir()
        first.rename(place)
        assert_whole(place, uids, tmp_path / "work")
        first = place


def test_a_copy_leaves_the_original_alone(original, tmp_path):
    place, uids = original
    before = (place / "tables.db").read_bytes()
    shutil.copytree(place, tmp_path / "copy")
    assert_whole(tmp_path / "copy", uids, tmp_path / "work")
    assert (place / "tables.db").read_bytes() == before
    catalog = open_catalog(place)
    assert list(tags(catalog[uids[0]])["xtag_p_ring"]) == SCORES
    catalog.context.close()


def test_summaries_of_a_moved_catalogue_are_made_of_its_rows(copied, tmp_path):
    first, uids = copied
    first.rename(tmp_path / "moved")
    catalog = open_catalog(tmp_path / "moved")
    report = summarise_runs(catalog)
    assert uids[0] in report.written and not report.troubles
    catalog.context.close()


def test_the_same_directory_by_another_name_is_not_touched(original, tmp_path, caplog):
    place, uids = original
    (tmp_path / "link").symlink_to(place)
    catalog = open_catalog(tmp_path / "link")
    assert list(tags(catalog[uids[0]])["xtag_p_ring"]) == SCORES
    catalog.context.close()
    assert "was moved" not in caplog.text


def test_tables_that_were_not_copied_are_named(copied, tmp_path, caplog):
    first, _ = copied
    (first / "tables.db").unlink()
    catalog = open_catalog(first)
    catalog.context.close()
    assert "was moved here without tables.db" in caplog.text


def test_a_database_that_is_busy_or_may_not_be_written_is_said(copied, monkeypatch):
    first, _ = copied
    with sqlite3.connect(first / "catalog.db") as holder:
        holder.execute("BEGIN EXCLUSIVE")
        from bluesky_xtag.catalog import moving

        connect = sqlite3.connect
        monkeypatch.setattr(moving.sqlite3, "connect", lambda *a, **k: connect(*a, **(k | {"timeout": 0.1})))
        with pytest.raises(Exception, match="locked|cannot be corrected"):
            open_catalog(first)
        holder.rollback()


@pytest.mark.parametrize("name", ["what?", "a#b", "per%20cent"])
def test_names_that_tiled_takes_for_something_else_are_refused(tmp_path, name):
    with pytest.raises(XTagValueError, match="rename it"):
        open_catalog(tmp_path / name)
    assert os.listdir(tmp_path) == []
