"""Runs whose session was killed: what they hold is found, and they spoil nothing of the other runs."""

import pytest
from bluesky_tiled_plugins import TiledWriter
from support.archives import opened, record
from tiled.queries import Key

from bluesky_xtag import NoTagsError
from bluesky_xtag.review import correct, corrections, review
from bluesky_xtag.search import frames_with_tag, runs_with_tag, summarise_runs, tags


def until(documents, name, stream, number=1):
    """The documents of a run up to the first descriptor or the n-th event of a stream."""
    uids = {doc["uid"] for kind, doc in documents if kind == "descriptor" and doc["name"] == stream}
    for at, (kind, doc) in enumerate(documents):
        if kind == name and (doc["uid"] in uids or doc.get("descriptor") in uids):
            number -= 1
            if number == 0:
                return documents[: at + 1]
    raise AssertionError(name)


@pytest.fixture(params=["tiled sqlite", "databroker.temp"])
def killed(request):
    """A catalogue with a good run and three whose sessions were killed at another moment."""
    store = opened(request, request.param)
    proposal = f"killed {request.param}"
    (good,) = record(store.insert, [96, 20, 30], proposal=proposal)
    uids = {"good": good}
    for name, *end in [
        ("begun", "event", "primary"),
        ("announced", "descriptor", "tags"),
        ("one row", "event", "tags"),
    ]:
        documents = []
        (uids[name],) = record(lambda kind, doc: documents.append((kind, doc)), [97, 98], proposal=proposal)  # noqa: B023
        # By default Tiled's writer keeps rows until the run stops.
        insert = TiledWriter(store.catalog, batch_size=1) if request.param.startswith("tiled") else store.insert
        for kind, doc in until(documents, *end):
            insert(kind, doc)
    return store.catalog, store.runs.search(Key("start.proposal") == proposal), uids


def test_they_spoil_nothing(killed):
    catalog, mine, uids = killed
    for name in ("begun", "announced"):
        with pytest.raises(NoTagsError, match=uids[name]):
            tags(catalog[uids[name]])
        with pytest.raises(NoTagsError, match=uids[name]):
            correct(catalog[uids[name]], 1, add="ring", by="ab")
        assert corrections(catalog[uids[name]]).empty
    assert list(tags(catalog[uids["good"]])["xtag_p_ring"]) == pytest.approx([0.96, 0.2, 0.3])
    assert list(tags(catalog[uids["one row"]])["xtag_p_ring"]) == pytest.approx([0.97])
    rows = review(mine, 10)
    assert sorted(rows["run"]) == sorted([uids["good"]] * 3 + [uids["one row"]])
    correct(catalog[uids["good"]], 2, add="ring", by="ab")
    assert len(review(mine, 10)) == 3
    report = summarise_runs(mine)
    assert uids["good"] in report.written and report.unfinished == 3 and not report.troubles
    assert set(frames_with_tag(mine, "ring")["run"]) == set(runs_with_tag(mine, "ring")) == {uids["good"]}


def test_a_run_that_is_all_there_is_has_nothing_to_review(killed):
    catalog, mine, uids = killed
    with pytest.raises(NoTagsError, match="nothing to review"):
        review(mine.search(Key("start.uid") == uids["announced"]), 10)
