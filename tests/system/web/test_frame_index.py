"""What the page knows of a catalogue in which others write meanwhile."""

import pytest
from support.pages import take_runs

from bluesky_xtag.catalog import as_catalog, open_catalog
from bluesky_xtag.review import correct
from bluesky_xtag.search import tags
from bluesky_xtag.web.frame_index import FrameIndex


@pytest.fixture
def catalog(tmp_path):
    made = open_catalog(tmp_path)
    yield made
    made.context.close()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Correct a run; return the documents in the order in which another machine writes them."""

    def work(run):
        documents = []
        with monkeypatch.context() as patch:
            patch.setattr("bluesky_xtag.review.run_state.store", lambda _, made: documents.extend(made))
            correct(run, int(tags(run).index[0]), remove="ring", by="elsewhere")
        return documents

    return work


def removed(index, uid):
    return any("ring" not in held for held in index.get(uid).accepted)


def test_a_correction_that_was_half_written_at_the_last_look_is_seen(catalog, elsewhere):
    (uid,) = take_runs(catalog, [90, 80])
    index = FrameIndex(as_catalog(catalog))
    assert index.refresh() and not index.refresh()
    writer = as_catalog(catalog).writer()
    *most, stop = elsewhere(catalog[uid])
    for document in most:
        writer(*document)
    index.refresh()
    assert not removed(index, uid)
    writer(*stop)  # the number of runs does not change any more
    assert index.refresh() and removed(index, uid)
    assert not index.refresh()


def test_a_correction_that_was_half_written_at_the_first_look_is_seen(catalog, elsewhere):
    (uid,) = take_runs(catalog, [90, 80])
    writer = as_catalog(catalog).writer()
    *most, stop = elsewhere(catalog[uid])
    for document in most:
        writer(*document)
    index = FrameIndex(as_catalog(catalog))
    index.refresh()
    writer(*stop)
    assert index.refresh() and removed(index, uid)


def test_a_correction_is_seen_although_the_catalogue_did_not_answer_when_it_was_read(catalog, monkeypatch):
    (uid,) = take_runs(catalog, [90, 80])
    index = FrameIndex(as_catalog(catalog))
    index.refresh()
    correct(catalog[uid], int(tags(catalog[uid]).index[0]), remove="ring", by="elsewhere")
    with monkeypatch.context() as patch:
        patch.setattr(index, "read_again", lambda uid: (_ for _ in ()).throw(ConnectionError("no answer")))
        with pytest.raises(ConnectionError):
            index.refresh()
    assert index.refresh() and removed(index, uid)
