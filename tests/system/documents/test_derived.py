"""Derived runs are valid documents, read back like live tags, and count only when they are complete."""

import math
import time

import event_model
import numpy as np
import pytest
from event_model import DocumentNames, schema_validators
from support.models import CountsModel
from tiled.queries import Key

from bluesky_xtag import Tagging
from bluesky_xtag.catalog import as_catalog, as_run, store
from bluesky_xtag.documents import FrameId, compose
from bluesky_xtag.documents import columns as documents
from bluesky_xtag.errors import CatalogError
from bluesky_xtag.search import tags

SUMMARY = {"max_p": {"ring": 1.0}, "frames": 3, "source": "replay", "model": "counts"}


@pytest.fixture
def catalog(tiled_sqlite_catalog):
    return tiled_sqlite_catalog


def composed(original="original", count=3, **arguments):
    """The documents of a derived run of `count` frames, the second of which could not be read."""
    model = CountsModel()
    columns = documents.data_keys("xtag", model.taxonomy)
    frames = [FrameId("", "", "det", n, 0, f"event {n}") for n in range(1, count + 1)]
    taggings = [Tagging(frame, "ok", (0.25, 0.1), ("ring",), 0.5) for frame in frames]
    taggings[1] = Tagging(frames[1], "unreadable")
    return compose(
        original,
        [documents.row("xtag", model.taxonomy, tagging) for tagging in taggings],
        name="xtag",
        columns=columns,
        configuration=documents.configuration("xtag", model),
        configuration_keys=documents.configuration_keys("xtag", model.taxonomy),
        summary=SUMMARY,
        **arguments,
    )


def eventually(look, seconds=10):
    """What `look` returns, once it is true: databroker's server remembers for two seconds that a run is open."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def test_the_documents_are_valid_and_count_their_rows():
    docs = composed(count=2500)
    for name, doc in docs:
        schema_validators[DocumentNames[name]].validate(doc)
    assert [name for name, _ in docs] == ["start", "descriptor", *["event_page"] * 3, "stop"]
    start, stop = docs[0][1], docs[-1][1]
    assert start["original_run_uid"] == "original" and start["purpose"] == "tags"
    assert start["xtag"] == SUMMARY | {"derived": True}
    assert stop["num_events"] == {"tags": 2500}
    events = [event for name, doc in docs if name == "event_page" for event in event_model.unpack_event_page(doc)]
    assert [event["seq_num"] for event in events] == list(range(1, 2501))
    assert len({event["uid"] for event in events}) == 2500


def test_the_same_uid_and_time_give_the_same_documents():
    assert str(composed(uid="a", at=1.0)) == str(composed(uid="a", at=1.0))
    assert composed()[0][1]["uid"] != composed()[0][1]["uid"]


def found(catalog, original):
    """The uids of the complete derived runs of a run, oldest first."""
    runs = as_catalog(catalog).native.search(Key("start.original_run_uid") == original).values()
    complete = [run.metadata["start"] for run in runs if run.metadata.get("stop")]
    return [start["uid"] for start in sorted(complete, key=lambda start: start["time"])]


def test_a_derived_run_reads_back_like_live_tags(catalog):
    uid = store(as_catalog(catalog), composed("readable"))
    table = tags(catalog[uid])
    assert list(table["xtag_status"]) == ["ok", "unreadable", "ok"]
    np.testing.assert_array_equal(table["xtag_p_ring"], [0.1, math.nan, 0.1])
    assert list(table["xtag_frame_event"]) == ["event 1", "event 2", "event 3"]
    assert dict(as_run(catalog[uid]).start["xtag"]) == SUMMARY | {"derived": True}
    assert found(catalog, "readable") == [uid]


def test_storing_again_does_nothing_and_another_tagging_stands_beside_it(catalog):
    first = composed("again", at=3.0)
    uid = store(as_catalog(catalog), first)
    assert store(as_catalog(catalog), first) == uid
    other = store(as_catalog(catalog), composed("again", at=4.0))
    assert found(catalog, "again") == [uid, other]
    assert len(tags(catalog[uid])) == len(tags(catalog[other])) == 3


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_what_was_interrupted_does_not_count_and_is_completed_by_the_next_call(catalog, taken):
    docs = composed(f"interrupted {taken}")
    insert = as_catalog(catalog).writer()
    for name, doc in docs[:taken]:
        insert(name, doc)
    assert found(catalog, f"interrupted {taken}") == []
    uid = store(as_catalog(catalog), docs)
    assert eventually(lambda: found(catalog, f"interrupted {taken}")) == [uid]
    assert list(tags(catalog[uid])["xtag_frame_seq_num"]) == [1, 2, 3]


def test_a_catalogue_that_refuses_is_named(tiled_sqlite_catalog):
    class Refusing(type(tiled_sqlite_catalog)):
        def create_container(self, *args, **kwargs):
            raise OSError(28, "No space left on device")

    refusing = Refusing(
        tiled_sqlite_catalog.context,
        item=tiled_sqlite_catalog.item,
        structure_clients=tiled_sqlite_catalog.structure_clients,
    )
    with pytest.raises(CatalogError, match="no part of it counts now: .*No space left on device"):
        store(as_catalog(refusing), composed("refused"))
    assert found(tiled_sqlite_catalog, "refused") == []
