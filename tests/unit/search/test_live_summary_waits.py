"""Summaries while a catalogue or a disk does not take them: on disk at the stop document, in memory within bounds."""

import logging
import os
import threading
import time

import pytest
from support.summaries import Away, FakeCatalog, FakeRun, one_run

from bluesky_xtag.search import LiveSummary, live_summary, shelf
from bluesky_xtag.search.kept import read_summaries, read_summary


@pytest.fixture
def live(tmp_path, monkeypatch):
    """A function that makes a LiveSummary; closed at the end."""
    monkeypatch.setattr(live_summary, "_AWAY", 0.01)
    made = []

    def make(catalog, directory=tmp_path / "backup", patience=60.0):
        made.append(LiveSummary(catalog, directory, patience))
        return made[-1]

    yield make
    for each in made:
        each.close()


def kept(writer):
    return {found.run for found in read_summaries(writer.backup)}


def until(test):
    deadline = time.monotonic() + 8
    while not test():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_at_the_stop_document_it_is_on_disk_and_when_stored_it_is_removed(live):
    catalog = FakeCatalog("a")
    catalog.gate.clear()
    writer = live(catalog)
    one_run(writer, "a")
    assert kept(writer) == {"a"}
    catalog.gate.set()
    assert writer.flush(8)
    assert catalog.summaries() == {"a"}
    assert list(writer.backup.iterdir()) == []


def test_a_run_is_waited_for_until_it_is_complete(live):
    catalog = FakeCatalog()
    writer = live(catalog)
    one_run(writer, "a")
    until(lambda: catalog.calls >= 2)
    catalog.held["a"] = FakeRun("a", stop=False)
    calls = catalog.calls
    until(lambda: catalog.calls >= calls + 2)
    assert not catalog.summaries()
    catalog.held["a"].stop = {"exit_status": "success"}
    assert writer.flush(8)
    assert catalog.summaries() == {"a"} and kept(writer) == set()


def test_all_runs_wait_at_the_same_time(live):
    """Thirty runs that never come cost one waiting time, not thirty."""
    writer = live(FakeCatalog(), patience=1.0)
    for number in range(30):
        one_run(writer, f"run-{number}")
    assert writer.flush(8)
    assert kept(writer) == {f"run-{number}" for number in range(30)}


def test_a_catalogue_that_is_away_is_asked_once_for_all_runs(live, monkeypatch):
    monkeypatch.setattr(live_summary, "_AWAY", 0.2)
    catalog = FakeCatalog()
    catalog.trouble = Away()
    writer = live(catalog)
    for number in range(50):
        one_run(writer, f"run-{number}", rows=1)
    until(lambda: catalog.calls >= 3)
    calls = catalog.calls
    time.sleep(0.5)
    assert catalog.calls - calls <= 6  # not fifty each time


def test_what_was_given_up_is_stored_when_the_catalogue_is_back(live, caplog):
    catalog = FakeCatalog("a", "b", "c")
    catalog.trouble = Away()
    writer = live(catalog, patience=0.05)
    one_run(writer, "a")
    one_run(writer, "b")
    assert writer.flush(8)
    assert kept(writer) == {"a", "b"}
    assert "the catalogue (no server); it is kept in" in caplog.text
    catalog.trouble = None
    one_run(writer, "c")
    until(lambda: catalog.summaries() == {"a", "b", "c"})
    until(lambda: not list(writer.backup.iterdir()))


def test_runs_that_are_remembered_while_the_catalogue_is_away_are_bounded(live, monkeypatch):
    """Beyond that, `xtag recover` stores what is on disk."""
    monkeypatch.setattr(live_summary, "_OUTAGE", 5)
    catalog = FakeCatalog()
    catalog.trouble = Away()
    writer = live(catalog, patience=0.01)
    for number in range(20):
        one_run(writer, f"run-{number}", rows=1)
    assert writer.flush(8)
    assert len(writer._missed) == 5 and len(kept(writer)) == 20


def test_memory_does_not_grow_with_runs_that_wait(live):
    writer = live(FakeCatalog())
    for number in range(40):
        one_run(writer, f"run-{number}", rows=3)
    assert writer._shelf._memory == {} and writer._rows._runs == {}
    assert len(writer._unstored) == 40 and len(kept(writer)) == 40


def test_a_start_document_that_uses_the_key_otherwise_is_not_waited_for(live, caplog):
    catalog = FakeCatalog("a")
    catalog.held["a"].start["xtag"] = "mine"
    writer = live(catalog)
    one_run(writer, "a")
    assert writer.flush(8)
    assert "holds something else: 'mine'" in caplog.text
    assert catalog.held["a"].start["xtag"] == "mine"


def test_errors_of_any_kind_are_tried_again(live):
    catalog = FakeCatalog("a")
    catalog.trouble = RuntimeError("whatever")
    writer = live(catalog)
    one_run(writer, "a")
    until(lambda: catalog.calls >= 3)
    catalog.trouble = None
    assert writer.flush(8)
    assert catalog.summaries() == {"a"}


def test_the_end_tries_each_once_and_says_what_is_left(live, caplog):
    catalog = FakeCatalog()
    writer = live(catalog)
    one_run(writer, "a")
    one_run(writer, "b")
    until(lambda: catalog.calls >= 2)
    catalog.held["a"] = FakeRun("a")
    writer.close()
    assert catalog.summaries() == {"a"}
    assert kept(writer) == {"b"}
    assert f"`xtag recover CATALOG {writer.backup}` stores it" in caplog.text


def test_the_end_tries_also_what_was_not_due_when_it_came(live):
    """It comes while another run is tried."""
    catalog = FakeCatalog("b")
    catalog.gate.clear()
    writer = live(catalog)
    one_run(writer, "a")
    until(lambda: catalog.calls == 1)
    one_run(writer, "b")
    closing = threading.Thread(target=writer.close)
    closing.start()
    until(lambda: writer._ends is not None)
    catalog.gate.set()
    closing.join(8)
    assert catalog.summaries() == {"b"} and kept(writer) == {"a"}


def test_a_catalogue_that_hangs_does_not_keep_the_session(live, caplog):
    catalog = FakeCatalog("a")
    catalog.gate.clear()
    writer = live(catalog)
    one_run(writer, "a")
    begin = time.monotonic()
    writer.close(timeout=0.1)
    assert time.monotonic() - begin < 5
    assert kept(writer) == {"a"} and "the session ended first" in caplog.text
    catalog.gate.set()


# The disk


def failing(monkeypatch, error):
    def keep(*args, **more):
        raise error

    monkeypatch.setattr(shelf, "keep", keep)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "no"), ValueError("x")])
def test_without_room_on_disk_it_waits_in_memory_and_is_stored(live, monkeypatch, caplog, error):
    catalog = FakeCatalog()
    failing(monkeypatch, error)
    writer = live(catalog)
    one_run(writer, "a")
    one_run(writer, "b")
    assert caplog.text.count("cannot be kept in") == 1
    catalog.held["a"] = FakeRun("a")
    catalog.held["b"] = FakeRun("b")
    assert writer.flush(8)
    assert catalog.summaries() == {"a", "b"}


def test_room_that_comes_back_is_used_when_it_is_given_up(live, monkeypatch):
    failing(monkeypatch, OSError(28, "No space left on device"))
    writer = live(FakeCatalog(), patience=0.5)
    one_run(writer, "a")
    monkeypatch.undo()
    assert writer.flush(8)
    until(lambda: kept(writer) == {"a"})


def test_neither_stored_nor_kept_is_said_as_an_error(live, monkeypatch, caplog):
    failing(monkeypatch, OSError(28, "No space left on device"))
    writer = live(FakeCatalog(), patience=0.05)
    one_run(writer, "a")
    assert writer.flush(8)
    until(lambda: "neither stored" in caplog.text)
    assert "`xtag summarise` makes it from the rows" in caplog.text
    assert writer._shelf._memory == {}


def test_memory_is_bounded_without_a_disk(tmp_path, monkeypatch, caplog):
    failing(monkeypatch, OSError(28, "No space left on device"))
    place = shelf.Shelf(tmp_path, room=10)
    for number in range(25):
        place.put(f"run-{number}", {}, True)
    assert len(place._memory) == 10
    assert caplog.text.count("no room is left") == 15
    place.close()


def test_a_disk_that_hangs_costs_one_wait_for_all_runs(tmp_path, monkeypatch, caplog):
    gate, entered = threading.Event(), threading.Event()
    real = shelf.keep

    def keep(*args, **more):
        entered.set()
        assert gate.wait(30)
        return real(*args, **more)

    monkeypatch.setattr(shelf, "keep", keep)
    place = shelf.Shelf(tmp_path, patience=0.05)
    begin = time.monotonic()
    for number in range(100):
        place.put(f"run-{number}", {"model_sha256": "0"}, True)
    assert time.monotonic() - begin < 4
    assert caplog.text.count("does not answer") == 1
    assert place.get("run-7") == ({"model_sha256": "0"}, True)
    place.remove("run-0")
    place.remove("run-1")
    gate.set()
    place.close(8)
    assert {found.run for found in read_summaries(tmp_path)} == {f"run-{number}" for number in range(2, 100)}


def test_after_a_fork_there_is_no_thread_and_it_is_written_at_once(tmp_path):
    place = shelf.Shelf(tmp_path)
    place.close()  # as it is in a forked process
    place.put("a", {"model_sha256": "0"}, True)
    assert read_summary(tmp_path, "a")


@pytest.mark.parametrize("uid", ["../../evil", "/etc/x", ".hidden", "a" * 300, "with space", "ä", "a/b", "nul\0"])
def test_any_uid_has_a_file_within_the_directory(tmp_path, uid):
    place = shelf.Shelf(tmp_path / "inside")
    place.put(uid, {"model_sha256": "0"}, True)
    ((found),) = read_summaries(tmp_path / "inside")
    assert found.run == uid and found.path.parent == tmp_path / "inside"
    assert os.listdir(tmp_path) == ["inside"]
    place.remove(uid)
    assert os.listdir(tmp_path / "inside") == []
    place.close()


def test_rows_that_came_again_are_counted_from_the_catalogue(live, tmp_path):
    """The file says so, and so does what is waited for."""
    catalog = FakeCatalog()
    writer = live(catalog)
    one_run(writer, "a", numbers=[1, 2, 2, 3])
    ((found),) = read_summaries(writer.backup)
    assert found.exact is False


def test_documents_out_of_order_harm_nothing(live, caplog):
    writer = live(FakeCatalog())
    for name, doc in [("stop", {"run_start": "x"}), ("event", {}), ("descriptor", {"name": "tags"}), ("start", {})]:
        writer(name, doc)
    assert "could not be used for the summary" in caplog.text
    assert logging.getLogger("bluesky_xtag") is not None
