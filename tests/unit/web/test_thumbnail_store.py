"""Thumbnails are kept once, in a file that may be damaged, full or shared."""

import logging
import sqlite3

import pytest

from bluesky_xtag.web.thumbnail_store import ThumbnailStore, thumbnail_file


def place(number):
    return "run", "det", number, 0


@pytest.fixture
def store(tmp_path):
    made = ThumbnailStore(tmp_path / "here" / "thumbnails.db")
    yield made
    made.close()


def test_what_is_kept_is_found_again_also_by_another_process(store):
    assert store.get(place(1)) is None
    store.put([(place(1), b"one"), (place(2), b"two")])
    store.put([(place(1), b"new")])
    other = ThumbnailStore(store.path)
    assert [other.get(place(number)) for number in (1, 2, 3)] == [b"new", b"two", None]
    assert other.count() == 2
    other.close()


def test_the_oldest_go_where_there_are_too_many(tmp_path):
    store = ThumbnailStore(tmp_path / "thumbnails.db", largest=400_000)
    for first in range(0, 1000, 50):
        store.put([(place(number), bytes([number % 256]) * 2000) for number in range(first, first + 50)])
    assert store.get(place(0)) is None and store.get(place(999)) == bytes([999 % 256]) * 2000
    assert 100 <= store.count() <= 200
    assert store.path.stat().st_size < 1_000_000
    store.close()


def test_a_damaged_file_is_said_once_and_costs_only_the_thumbnails(tmp_path, caplog):
    path = tmp_path / "thumbnails.db"
    path.write_bytes(b"this is no database, and it is longer than a header of SQLite would be " * 20)
    with caplog.at_level(logging.WARNING):
        store = ThumbnailStore(path)
        store.put([(place(1), b"one")])
        assert store.get(place(1)) is None and store.count() == 0
    assert len(caplog.records) == 1 and "are not kept" in caplog.text
    store.close()


def test_a_file_that_another_process_holds_for_long_is_not_waited_for_for_ever(store, caplog, monkeypatch):
    store._connect().execute("PRAGMA busy_timeout=50")
    with sqlite3.connect(store.path) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.put([(place(1), b"one")])
    assert "database is locked" in caplog.text


def test_thumbnails_lie_next_to_an_embedded_catalogue_and_else_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "catalog.db").touch()
    assert thumbnail_file(tmp_path) == tmp_path / "thumbnails.db"
    served = thumbnail_file("https://user:secret@tiled.example/api/v1/metadata/raw")
    assert served.is_relative_to(tmp_path / "cache") and "secret" not in str(served)
    assert thumbnail_file("https://tiled.example/other") != served
