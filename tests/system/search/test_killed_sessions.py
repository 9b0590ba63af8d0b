"""A run whose session was killed lies in the catalogue without a stop document: it spoils no call about the others."""

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plans as bp
from ophyd.sim import motor
from support.archives import detector, opened
from support.models import CountsModel, GradedModel

from bluesky_xtag import NoTagsError, install
from bluesky_xtag.replay import replay
from bluesky_xtag.review import compare, correct, export_labels, review
from bluesky_xtag.search import frames_with_tag, runs_with_tag, summarise_runs, tags

pytestmark = pytest.mark.filterwarnings("ignore:.*actually has dtype:UserWarning")  # databroker, of NaN


def taken():
    """The documents of a tagged run."""
    documents = []
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(lambda name, doc: documents.append((name, doc)))
    tagger = install(engine, model=GradedModel())
    engine(bp.scan([detector([10, 95, 30])], motor, 1, 3, 3))
    tagger.uninstall()
    engine.loop.call_soon_threadsafe(engine.loop.stop)
    engine._th.join(timeout=10)
    engine.loop.close()
    return documents


def position(documents, name, stream):
    """The place after the first document of this name in a stream."""
    streams = {doc["uid"]: doc["name"] for kind, doc in documents if kind == "descriptor"}
    return 1 + next(
        at
        for at, (kind, doc) in enumerate(documents)
        if kind == name and (doc.get("name") if kind == "descriptor" else streams[doc["descriptor"]]) == stream
    )


CUTS = {
    "after its start document": lambda documents: 1,
    "after its first stream was announced": lambda documents: position(documents, "descriptor", "primary"),
    "after its stream of tags was announced": lambda documents: position(documents, "descriptor", "tags"),
    "after its first row": lambda documents: position(documents, "event", "tags"),
    "before its stop document": lambda documents: len(documents) - 1,
}


@pytest.fixture(params=["tiled sqlite", "databroker.temp"])
def store(request):
    return opened(request, request.param)


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_the_others_are_read_reviewed_corrected_and_compared(store, cut, tmp_path):
    good, killed = taken(), taken()
    for name, doc in good:
        store.insert(name, doc)
    uid, dead = (documents[0][1]["uid"] for documents in (good, killed))
    for name, doc in killed[: cut(killed)]:
        store.insert(name, doc)
    run, unfinished = store.runs[uid], store.runs[dead]
    try:
        rows = len(tags(unfinished))
    except NoTagsError as error:
        assert dead in str(error)
        rows = 0
        with pytest.raises(NoTagsError, match=dead):
            correct(unfinished, 1, add="ring", by="ab")
    assert list(tags(run)["xtag_p_ring"]) == pytest.approx([0.1, 0.95, 0.3])
    found = review(store.catalog, 10, last=2)
    assert list(found["run"]).count(uid) == 3 and len(found) == 3 + rows
    correct(run, 1, add="ring", by="ab")
    assert tags(run)["xtag_tags"].iloc[0] == "ring"
    report = summarise_runs(store.catalog)
    assert uid in report.written and dead not in report.troubles and dead not in report.written
    assert uid in set(runs_with_tag(store.catalog, "ring")) and dead not in set(runs_with_tag(store.catalog, "ring"))
    assert uid in set(frames_with_tag(store.catalog, "ring")["run"])
    again = replay(store.catalog, [uid, dead], model=CountsModel(), work=tmp_path / "work")
    assert list(again["outcome"])[0] == "tagged" and again["outcome"][1] in ("tagged", "no images")
    assert compare(store.catalog, "graded", "counts", last=2).compared >= 3
    export_labels(store.catalog, tmp_path / "labels.h5", runs=[uid, dead])
    assert np.isfinite(tags(run, "graded")["xtag_p_ring"]).all()
