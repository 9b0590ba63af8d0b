"""Summaries of stored runs: written once, all of it or nothing, and finished by the next call after a stop."""

from types import SimpleNamespace

import pytest
from event_model import compose_run
from support.archives import Store, opened, record, replayed
from tiled.queries import Key
from typer.testing import CliRunner

from bluesky_xtag import CatalogError
from bluesky_xtag.catalog import open_any
from bluesky_xtag.cli import app
from bluesky_xtag.search import runs_with_tag, summarise_runs


@pytest.fixture
def store(request):
    """A catalogue, and of it only the runs of this test."""
    opened_store = opened(request, "tiled sqlite")
    mark = f"{request.node.name}"
    runs = opened_store.runs.search(Key("start.mark") == mark)

    def insert(name, doc):
        opened_store.insert(name, {**doc, "mark": mark} if name == "start" else doc)

    return SimpleNamespace(insert=insert, mine=runs, one=lambda uid: opened_store.runs[uid].metadata["start"])


def test_each_tagged_run_gets_its_summary_once(store):
    tagged, bare = record(store.insert, [10, 95], [])
    before = store.one(tagged)
    assert summarise_runs(store.mine).written == (tagged,)
    assert store.one(tagged)["xtag"]["count"] == {"empty": 0, "ring": 1}
    assert store.one(tagged)["xtag"]["max_p"]["ring"] == pytest.approx(0.95)
    assert store.one(tagged) == before | {"xtag": store.one(tagged)["xtag"]}  # nothing else is touched
    assert "xtag" not in store.one(bare)

    again = summarise_runs(store.mine)
    assert again.written == ()
    assert (again.runs, again.had, again.untagged) == (2, 1, 1)


def test_a_dry_run_writes_nothing(store):
    (uid,) = record(store.insert, [95])
    assert summarise_runs(store.mine, dry_run=True).written == (uid,)
    assert "xtag" not in store.one(uid)


def test_only_runs_of_a_time(store):
    first, second = record(store.insert, [95], [95])
    assert summarise_runs(store.mine, since=store.one(second)["time"]).written == (second,)
    assert summarise_runs(store.mine, until=store.one(second)["time"]).written == (first,)


def test_the_next_call_finishes_what_was_stopped(store):
    uids = record(store.insert, [95], [95], [95])

    def stopped_after_one(runs):
        yield runs[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        summarise_runs(store.mine, track=stopped_after_one)
    have = [uid for uid in uids if "xtag" in store.one(uid)]
    assert len(have) == 1
    assert {*summarise_runs(store.mine).written} == {*uids} - {*have}


def test_a_run_without_tags_that_was_replayed_gets_the_summary_of_its_newest_replay(store):
    (uid,) = record(store.insert, [])
    replayed(store.insert, uid, [50, 60])
    replayed(store.insert, uid, [97, 96])
    replayed(store.insert, uid, [20], exit_status="abort")
    assert summarise_runs(store.mine).written == (uid,)
    found = store.one(uid)["xtag"]
    assert (found["frames"], found["source"], found["derived"]) == (2, "replay", False)
    assert found["max_p"]["ring"] == pytest.approx(0.97)
    assert list(runs_with_tag(store.mine, "ring")) == [uid]


def test_runs_that_are_not_finished_or_not_ours_are_left_alone(store):
    open_run = compose_run()
    store.insert("start", open_run.start_doc)
    foreign = compose_run()
    store.insert("start", foreign.start_doc)
    key = {"source": "another", "dtype": "number", "shape": [], "dtype_numpy": "<f8"}
    stream = foreign.compose_descriptor(name="tags", data_keys={"luggage": key})
    store.insert("descriptor", stream.descriptor_doc)
    store.insert("event", stream.compose_event(data={"luggage": 1.0}, timestamps={"luggage": 0.0}))
    store.insert("stop", foreign.compose_stop())

    found = summarise_runs(store.mine)
    assert (found.written, found.unfinished) == ((), 1)
    assert found.troubles.keys() == {foreign.start_doc["uid"]}
    assert "not rows of a tagger" in found.troubles[foreign.start_doc["uid"]]


def test_metadata_of_that_name_is_left_alone(store):
    (uid,) = record(store.insert, [95], xtag="the technician's")
    found = summarise_runs(store.mine)
    assert found.written == ()
    assert "holds something else" in found.troubles[uid]
    assert store.one(uid)["xtag"] == "the technician's"
    assert not len(runs_with_tag(store.mine, "ring"))


def test_without_permission_it_says_so_and_writes_nothing(request, tiled_server, monkeypatch):
    store = opened(request, "serve sqlite")
    uids = record(store.insert, [95], [96], mark=request.node.name)
    reader = open_any(tiled_server.uri("sqlite"))
    with pytest.raises(CatalogError, match="does not allow you to do that .*TILED_API_KEY or with --api-key"):
        summarise_runs(reader, name="mybeamline")
    reader.context.close()
    assert not any("xtag" in store.runs[uid].metadata["start"] for uid in uids)

    asked = CliRunner().invoke(app, ["summarise", tiled_server.uri("sqlite")])
    assert asked.exit_code == 1
    assert not any("xtag" in store.runs[uid].metadata["start"] for uid in uids)
    monkeypatch.setenv("TILED_API_KEY", tiled_server.key)
    assert CliRunner().invoke(app, ["summarise", tiled_server.uri("sqlite")]).exit_code == 0
    assert all("xtag" in store.runs[uid].metadata["start"] for uid in uids)


def test_the_command_indexes_a_directory(tmp_path):
    from bluesky_tiled_plugins import TiledWriter

    from bluesky_xtag.catalog import open_catalog

    catalog = open_catalog(tmp_path)
    store = Store(catalog, TiledWriter(catalog))
    record(store.insert, [10, 95], [])
    catalog.context.close()

    dry = CliRunner().invoke(app, ["summarise", str(tmp_path), "--dry-run", "--since", "2026-01-01"])
    assert "2 runs: 1 lack a summary, 0 had one, 1 have no tags, 0 are not finished" in dry.stdout
    done = CliRunner().invoke(app, ["summarise", str(tmp_path)])
    assert "2 runs: 1 got their summary" in done.stdout
    assert (dry.exit_code, done.exit_code) == (0, 0)
    assert "1 had one" in CliRunner().invoke(app, ["summarise", str(tmp_path)]).stdout


@pytest.mark.parametrize("arguments", [["summarise", "nowhere"], ["recover", "nowhere", "kept"]])
def test_a_catalogue_that_is_not_there_is_named(arguments):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "there is no catalogue 'nowhere'" in done.stderr
