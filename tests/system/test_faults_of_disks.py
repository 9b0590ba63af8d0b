"""The disk of this machine is full, and holds an embedded catalogue: the next call completes what is there.

The disk is a small file system where one can be mounted; elsewhere no file may grow beyond a size.
"""

import pytest
from event_model import compose_run
from support.archives import record
from support.disks import temporary_disk
from support.failing_catalogs import of
from support.faults import CORRECT, DISK, RECOVER, REPLAY, SUMMARISE
from support.models import CountsModel
from support.summaries import SUMMARY
from tiled.client.metadata_update import DELETE_KEY

from bluesky_xtag import XTagError
from bluesky_xtag.catalog import as_catalog, open_catalog, tiled_writer
from bluesky_xtag.replay import replay
from bluesky_xtag.review import correct, corrections
from bluesky_xtag.search import recover, summarise_runs, tags
from bluesky_xtag.search.kept import keep, read_summaries
from bluesky_xtag.search.tagged_runs import derived_runs, summary_of

KIB = 1024
ROOM = (0, 4 * KIB, 16 * KIB, 48 * KIB)  # what is left on the disk of an embedded catalogue


@pytest.fixture(scope="module")
def disk():
    with temporary_disk() as disk:
        yield disk


@pytest.fixture(scope="module")
def catalog(disk):
    client = open_catalog(disk.path / "catalogue")
    yield client
    client.context.close()


@pytest.fixture(scope="module")
def tagged(catalog):
    """A run of three frames with tags."""
    (uid,) = record(tiled_writer(catalog), [10, 95, 30])
    return uid


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Tiled's client does not try again for long."""
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)


def with_full_disk(disk, room, call):
    """Call; return the error, which is one of this package."""
    with disk.full(room):
        try:
            call()
        except XTagError as error:
            return error
    return None


@of(SUMMARISE, DISK)
def test_summarise(disk, catalog, tagged, fault):
    errors = []
    for room in ROOM:
        errors.append(with_full_disk(disk, room, lambda: summarise_runs(catalog)))
        found = as_catalog(catalog).find(tagged).start.get("xtag")
        assert found is None or found["frames"] == 3
        summarise_runs(catalog)
        assert summary_of(as_catalog(catalog).find(tagged))["frames"] == 3
        catalog[tagged].update_metadata({"start": {"xtag": DELETE_KEY}})
    assert errors[0] is not None


@of(RECOVER, DISK)
def test_recover(disk, catalog, fault):
    kept, run = disk.path / "kept", compose_run()
    as_catalog(catalog).write([("start", run.start_doc), ("stop", run.compose_stop())])
    keep(kept, run.start_doc["uid"], SUMMARY)
    for room in ROOM:
        with_full_disk(disk, room, lambda: recover(catalog, kept))
        stored = summary_of(as_catalog(catalog).find(run.start_doc["uid"])) is not None
        assert stored or [found.run for found in read_summaries(kept)] == [run.start_doc["uid"]]
    recover(catalog, kept)
    assert summary_of(as_catalog(catalog).find(run.start_doc["uid"]))["frames"] == 1
    assert not list(kept.iterdir())


@of(REPLAY, DISK)
def test_replay(disk, catalog, tagged, fault):
    work, model, told = disk.path / "work", CountsModel(), []
    for number, room in enumerate(ROOM):
        call = lambda: replay(catalog, tagged, model=model, name=f"n{number}", work=work)  # noqa: B023, E731
        told.append(str(with_full_disk(disk, room, call) or ""))
        shown = tags(catalog[tagged])
        assert len(shown) == 3 and shown.filter(like="_status").eq("ok").all(axis=None)
        (outcome,) = call()["outcome"]
        assert outcome in ("tagged", "tagged before")
        assert len(derived_runs(as_catalog(catalog).find(tagged), source="replay")) == number + 1
        assert len(tags(catalog[tagged])) == 3 and not list(work.iterdir())
    assert "journal" in told[0] and "make room" in told[0]
    assert any("no part of it counts" in each for each in told)


@of(CORRECT, DISK)
def test_correct(disk, catalog, tagged, fault):
    run, errors = catalog[tagged], []
    for number, room in enumerate(ROOM):
        call = lambda: correct(run, 1, add="ring", by=f"n{number}")  # noqa: B023, E731
        errors.append(with_full_disk(disk, room, call))
        assert len(corrections(catalog[tagged])) in (number, number + 1)
        call()
        assert list(corrections(catalog[tagged])["by"]) == [f"n{each}" for each in range(number + 1)]
    assert errors[0] is not None
