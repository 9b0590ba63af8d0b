"""After each run its summary stands in the catalogue, equal to what its stored rows give."""

import bluesky.plans as bp
import pytest
from bluesky.utils import RunEngineInterrupted
from event_model import compose_run, pack_event_page
from ophyd.sim import det1 as counter
from ophyd.sim import motor
from support.archives import detector, opened, record
from support.models import GradedModel
from support.pausing import pausing

from bluesky_xtag.catalog import as_catalog, as_run
from bluesky_xtag.documents import columns as documents
from bluesky_xtag.documents import summarise
from bluesky_xtag.search import LiveSummary, configuration, runs_with_tag, tags
from bluesky_xtag.search.kept import read_summaries


@pytest.fixture
def store(request, RE):
    opened_store = opened(request, "tiled sqlite")
    RE.subscribe(opened_store.insert)
    return opened_store


def test_the_summary_is_there_once_the_tagger_is_uninstalled(RE, tag, store, tmp_path):
    tagger = tag(model=GradedModel(), catalog=store.catalog, backup=tmp_path)
    (first,) = RE(bp.scan([detector([10, 95, 30])], motor, 1, 3, 3))
    (bare,) = RE(bp.count([counter]))
    (second,) = RE(bp.count([detector([20, 20])], 2))
    tagger.uninstall()
    for uid in (first, second):
        run = store.runs[uid]
        assert run.metadata["start"]["xtag"] == summarise(tags(run, "own"), configuration(as_run(run)))
        assert run.metadata["stop"]["exit_status"] == "success"
    assert "xtag" not in store.runs[bare].metadata["start"]
    assert first in list(runs_with_tag(store.catalog, "ring"))
    assert list(tmp_path.iterdir()) == []


def test_frames_taken_again_after_a_pause_count_once(RE, tag, store, tmp_path):
    tagger = tag(model=GradedModel(), catalog=store.catalog, backup=tmp_path, wait="point")
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(detector([10, 20, 30, 40, 50, 60, 70]), 5, "after the frame"))
    (uid,) = RE.resume()
    tagger.uninstall()
    run = store.runs[uid]
    assert run.metadata["start"]["xtag"]["frames"] == 5
    assert run.metadata["start"]["xtag"] == summarise(tags(run, "own"), configuration(as_run(run)))


def test_pages_of_rows_count_as_their_rows(request, tmp_path):
    store = opened(request, "databroker.temp")
    (uid,) = record(store.insert, [50, 95])
    rows = [event for name, event in store.runs[uid].documents(fill=False) if name in ("event", "event_page")]
    stream = store.runs[uid]["tags"].metadata["descriptors"][0]
    writer = LiveSummary(as_catalog(store.catalog), tmp_path)
    writer("start", {"uid": uid})
    writer("descriptor", {**stream, "run_start": uid})
    table = tags(store.runs[uid], "own").drop(columns=["time", "xtag_decided_by"])
    run = compose_run()
    page = run.compose_descriptor(name="tags", data_keys=documents.data_keys("xtag", GradedModel.taxonomy))
    events = [
        page.compose_event(data=row, timestamps=dict.fromkeys(row, 0.0)) for row in table.to_dict(orient="records")
    ]
    writer("event_page", {**pack_event_page(*events), "descriptor": stream["uid"]})
    writer("stop", {"run_start": uid})
    assert rows and writer.flush(30)
    writer.close()
    assert store.runs[uid].metadata["start"]["xtag"]["count"]["ring"] == 2


def test_a_run_that_never_arrives_in_the_catalogue_is_kept(RE, tag, request, tmp_path, caplog):
    store = opened(request, "databroker.temp")
    tagger = tag(model=GradedModel(), catalog=store.catalog, backup=tmp_path)
    (uid,) = RE(bp.count([detector([95])]))
    tagger.uninstall()
    (found,) = read_summaries(tmp_path)
    assert found.run == uid
    assert found.doc["count"] == {"empty": 0, "ring": 1}
    assert f"`xtag recover CATALOG {tmp_path}` stores it" in caplog.text


def test_documents_that_it_cannot_use_do_not_harm_the_scan(tiled_sqlite_catalog, tmp_path, caplog):
    writer = LiveSummary(as_catalog(tiled_sqlite_catalog), tmp_path)
    writer("descriptor", {"name": "tags"})
    writer.close()
    assert "could not be used for the summary" in caplog.text
