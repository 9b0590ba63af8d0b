"""`recover` stores what can be stored, says what cannot, and ends only when the catalogue does not answer."""

import json
import os

import httpx
import pytest
from event_model import compose_run
from support.archives import record
from support.summaries import SUMMARY, one_run
from typer.testing import CliRunner

from bluesky_xtag import CatalogError, XTagValueError
from bluesky_xtag.catalog import as_catalog, tiled_writer
from bluesky_xtag.catalog.tiled import TiledCatalog
from bluesky_xtag.cli import app
from bluesky_xtag.documents import summarise
from bluesky_xtag.search import configuration, default_directory, own_tags, recover
from bluesky_xtag.search.kept import keep
from bluesky_xtag.search.tagged_runs import summary_of

numbers = iter(range(10**6))


@pytest.fixture
def catalog(tiled_sqlite_catalog):
    return tiled_sqlite_catalog


def stored(catalog, **start):
    """Store a run without streams; return its uid."""
    run = compose_run(metadata=start)
    as_catalog(catalog).write([("start", run.start_doc), ("stop", run.compose_stop())])
    return run.start_doc["uid"]


def lines(path, *entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def documents(uid, *between, stop=True):
    run = compose_run(uid=uid)
    found = [("start", run.start_doc), *between, *([("stop", run.compose_stop())] if stop else [])]
    return [{"name": name, "doc": doc} for name, doc in found]


def key_in_use(path, catalog):
    keep(path.parent, stored(catalog, xtag="mine"), SUMMARY).rename(path)


def run_not_there(path, catalog):
    keep(path.parent, "0" * 36, SUMMARY).rename(path)


def run_not_ended(path, catalog):
    run = compose_run()
    tiled_writer(catalog)("start", run.start_doc)
    keep(path.parent, run.start_doc["uid"], SUMMARY).rename(path)


def no_rows_to_count(path, catalog):
    keep(path.parent, stored(catalog), SUMMARY, exact=False).rename(path)


def refused_documents(path, catalog):
    event = {"uid": "e", "descriptor": "nowhere", "seq_num": 1, "time": 0.0, "data": {}, "timestamps": {}, "filled": {}}
    lines(path, *documents("refused", ("event", event)))


def link_to_nowhere(path, catalog):
    path.symlink_to(path.with_name("nowhere"))


BAD = {
    "key in use": (key_in_use, "holds something else: 'mine'"),
    "run not there": (run_not_there, "does not hold its run"),
    "run not ended": (run_not_ended, "does not hold its run with a stop document"),
    "no rows to count": (no_rows_to_count, "no rows to count"),
    "documents that are refused": (refused_documents, "nowhere"),
    "summary without document": (lambda path, _: lines(path, {"name": "summary", "run": "a"}), "the summary of a run"),
    "summary of no run": (lambda path, _: lines(path, {"name": "summary", "run": None, "doc": SUMMARY}), "the summary"),
    "summary of other types": (lambda path, _: lines(path, {"name": "summary", "run": "a", "doc": [1]}), "the summary"),
    "no text": (lambda path, _: path.write_bytes(b"\xff\xfe\x00\n"), "utf-8"),
    "zeros, as after a power cut": (lambda path, _: path.write_bytes(bytes(4096)), "Expecting value"),
    "empty": (lambda path, _: path.touch(), "one whole run"),
    "torn": (lambda path, _: path.write_text('{"name": "summ'), "Unterminated"),
    "too deep": (lambda path, _: path.write_text("[" * 100_000), "too deep"),
    "a list": (lambda path, _: path.write_text("[1, 2]\n"), "one whole run"),
    "no stop": (lambda path, _: lines(path, *documents("a", stop=False)), "one whole run"),
    "stop of another run": (lambda path, _: lines(path, *documents("a", stop=False), documents("b")[-1]), "one whole"),
    "start of another type": (
        lambda path, _: lines(path, {"name": "start", "doc": []}, {"name": "stop", "doc": []}),
        "one whole",
    ),
    "a directory": (lambda path, _: path.mkdir(), "not a file"),
    "a link to nowhere": (link_to_nowhere, "No such file"),
}


@pytest.mark.parametrize(("spoil", "reason"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_stored_keeps_no_other_from_it(catalog, tmp_path, spoil, reason):
    good, bad = stored(catalog), tmp_path / "bad.jsonl"
    keep(tmp_path, good, SUMMARY).rename(tmp_path / "zz.jsonl")
    spoil(bad, catalog)
    whole = f"whole-run-{next(numbers)}"
    lines(tmp_path / "y.jsonl", *documents(whole))
    found = recover(catalog, tmp_path)
    assert found.runs == (whole,) and found.summaries == (good,)
    assert list(found.left) == [str(bad)] and reason in found.left[str(bad)]
    assert os.listdir(tmp_path) == ["bad.jsonl"]
    assert summary_of(as_catalog(catalog).find(good)) == SUMMARY
    again = recover(catalog, tmp_path)
    assert (again.runs, again.summaries, list(again.left)) == ((), (), [str(bad)])


def test_all_kinds_at_once_are_each_named(catalog, tmp_path, monkeypatch):
    good = stored(catalog)
    for number, (spoil, _) in enumerate(BAD.values()):
        spoil(tmp_path / f"bad-{number}.jsonl", catalog)
    keep(tmp_path, good, SUMMARY)
    monkeypatch.setattr("bluesky_xtag.cli.runs_panel.open_catalogue", lambda *_: _Open(catalog))
    done = CliRunner().invoke(app, ["recover", "catalogue", str(tmp_path)])
    assert done.exit_code == 1
    assert "recovered 0 runs and 1 summaries" in done.stdout
    assert all(f"bad-{number}.jsonl: " in done.stderr for number in range(len(BAD)))


def test_by_default_it_takes_what_install_kept_on_this_machine(catalog, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("bluesky_xtag.cli.runs_panel.open_catalogue", lambda *_: _Open(catalog))
    nothing = CliRunner().invoke(app, ["recover", "catalogue"])
    assert (nothing.exit_code, nothing.stdout.split()) == (2, [])
    assert f"there is no directory {tmp_path / 'bluesky_xtag' / 'backup'}" in " ".join(nothing.stderr.split())
    keep(default_directory(), stored(catalog), SUMMARY)
    done = CliRunner().invoke(app, ["recover", "catalogue"])
    assert done.exit_code == 0 and "recovered 0 runs and 1 summaries" in done.stdout


class _Open:
    def __init__(self, catalog):
        self.catalog = catalog

    def __enter__(self):
        return self.catalog

    def __exit__(self, *_):
        return None


def test_only_a_catalogue_that_does_not_answer_ends_it(catalog, tmp_path, monkeypatch):
    first, second = sorted([stored(catalog), stored(catalog)])
    keep(tmp_path, first, SUMMARY)
    keep(tmp_path, second, SUMMARY)
    find = TiledCatalog.find

    def away(*_):
        raise httpx.ConnectError("no server")

    def found(place, uid):
        if uid == second:
            monkeypatch.setattr(TiledCatalog, "count", away)
            away()
        return find(place, uid)

    monkeypatch.setattr(TiledCatalog, "find", found)
    with pytest.raises(CatalogError, match="cannot be reached"):
        recover(catalog, tmp_path)
    monkeypatch.undo()
    assert summary_of(as_catalog(catalog).find(first)) == SUMMARY
    assert recover(catalog, tmp_path).summaries == (second,)


def test_a_file_that_cannot_be_removed_is_named_and_does_no_harm(catalog, tmp_path, monkeypatch):
    good = stored(catalog)
    path = keep(tmp_path, good, SUMMARY)

    def unlink(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", unlink)
    assert recover(catalog, tmp_path).left == {str(path): "[Errno 13] Permission denied"}
    monkeypatch.undo()
    assert recover(catalog, tmp_path).summaries == (good,)


def test_rows_that_came_again_are_counted_from_the_catalogue(catalog, tmp_path):
    (uid,) = record(tiled_writer(catalog), [10, 95, 30])
    keep(tmp_path, uid, SUMMARY | {"frames": 99}, exact=False)
    assert recover(catalog, tmp_path).summaries == (uid,)
    run = as_catalog(catalog).find(uid)
    assert summary_of(run) == summarise(own_tags(run), configuration(run))


def test_what_a_session_kept_is_recovered(catalog, tmp_path):
    from bluesky_xtag.search import LiveSummary

    uid = stored(catalog)
    writer = LiveSummary(as_catalog(catalog), tmp_path)
    one_run(writer, "never-arrives")
    one_run(writer, uid)
    writer.close()
    found = recover(catalog, tmp_path)
    assert found.summaries == () and list(found.left.values()) == [
        "the catalogue does not hold its run with a stop document"
    ]
    assert summary_of(as_catalog(catalog).find(uid))["frames"] == 2


def test_a_directory_that_is_not_there_is_named(catalog, tmp_path):
    with pytest.raises(XTagValueError, match="nowhere"):
        recover(catalog, tmp_path / "nowhere")
