"""Each fault of the table in the docs, at every request in turn: what is there is valid, the next call completes it."""

import json
from contextlib import contextmanager

import pytest
from event_model import compose_run
from support.archives import record
from support.catalogs import in_process, tree_arguments
from support.failing_catalogs import WRITING, at_each_request, hooked, locked, of
from support.faults import AWAY, BUSY, CORRECT, DISK, FULL, LIVE, LOST, RECOVER, REFUSED, REPLAY, SUMMARISE, TWO
from support.models import CountsModel
from support.summaries import SUMMARY, one_run
from tiled.client.metadata_update import DELETE_KEY

from bluesky_xtag import XTagError
from bluesky_xtag.catalog import Where, as_catalog, tiled_writer
from bluesky_xtag.replay import replay
from bluesky_xtag.review import correct, corrections
from bluesky_xtag.search import LiveSummary, recover, summarise_runs, tags
from bluesky_xtag.search.kept import keep, read_summaries
from bluesky_xtag.search.tagged_runs import derived_runs, summary_of

REQUESTS = (AWAY, LOST, REFUSED, FULL)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Tiled's client does not try again for long."""
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("faults") / "catalogue"


@pytest.fixture(scope="module")
def catalog(place):
    """An embedded catalogue whose database waits a moment for others, not seconds."""
    arguments = tree_arguments(place)
    client = in_process(arguments | {"uri": arguments["uri"] + "?timeout=0.1"})
    yield client
    client.context.close()


@pytest.fixture(scope="module")
def tagged(catalog):
    """A run of three frames with tags."""
    (uid,) = record(tiled_writer(catalog), [10, 95, 30])
    return uid


def try_each(catalog, place, fault, attempt, step=1):
    """Call `attempt(context)` with the fault in each way that it can come."""
    if fault == BUSY:
        for name in ("catalog.db", "tables.db"):
            attempt(lambda name=name: locked(place / name))
    else:
        at_each_request(catalog, fault, attempt, step)


def try_it(context, call):
    """Call with the fault; any error must be one of this package."""
    with context():
        try:
            call()
        except XTagError as error:
            assert str(error)
            return error
    return None


@contextmanager
def before_request(catalog, number, call):
    """Do something, as another session, just before the request that writes with this number; yield the count."""
    met = [0]

    def asked(request):
        if request.method in WRITING and met[0] < number:
            met[0] += 1
            if met[0] == number:
                call()

    with hooked(catalog, asked):
        yield met


def beside_another(catalog, call, other, check, step=1):
    """Call while another session does the same before the first request, before the second, and so on; check each."""
    number = 1 - step
    while True:
        number += step
        with before_request(catalog, number, other) as met:
            try:
                call()
            except XTagError as error:
                assert str(error)
        if met[0] < number:
            return
        check()


def plain_run(catalog):
    run = compose_run()
    as_catalog(catalog).write([("start", run.start_doc), ("stop", run.compose_stop())])
    return run.start_doc["uid"]


def has_summary(catalog, uid):
    return summary_of(as_catalog(catalog).find(uid)) is not None


def delete_derived(catalog, uid):
    """Delete what is derived from a run, whole or not."""
    for run in list(as_catalog(catalog).search(Where("original_run_uid", "==", uid)).runs()):
        catalog.delete_contents(run.uid, recursive=True, external_only=False)


@of(SUMMARISE, *REQUESTS, BUSY, TWO)
def test_summarise(catalog, place, fault, tagged):
    (other,) = record(tiled_writer(catalog), [20])
    summarise_runs(catalog)  # what other tests left
    uids = [tagged, other]

    def check():
        for uid in uids:
            found = as_catalog(catalog).find(uid).start.get("xtag")
            assert found is None or found["frames"] == len(tags(catalog[uid], "own"))
        summarise_runs(catalog)
        assert all(has_summary(catalog, uid) for uid in uids)

    def attempt(context):
        forget()
        try_it(context, lambda: summarise_runs(catalog))
        check()

    def forget():
        for uid in uids:
            catalog[uid].update_metadata({"start": {"xtag": DELETE_KEY}})

    if fault == TWO:
        for number in (1, 2):
            forget()
            with before_request(catalog, number, lambda: summarise_runs(catalog)) as met:
                summarise_runs(catalog)
            assert met == [number]
            check()
    else:
        try_each(catalog, place, fault, attempt)


@of(LIVE)
def test_live(catalog, place, fault, tmp_path, monkeypatch):
    if fault == DISK:
        full_disk(monkeypatch, "bluesky_xtag.search.shelf.keep")
        uid = plain_run(catalog)
        writer = LiveSummary(as_catalog(catalog), tmp_path)
        one_run(writer, uid)
        assert writer.flush(30) and has_summary(catalog, uid)
        writer.close()
        return

    def attempt(context):
        uid = plain_run(catalog)
        with context():
            writer = LiveSummary(as_catalog(catalog), tmp_path, patience=0.0)
            one_run(writer, uid)
            writer.flush(60)
            writer.close()
        kept = {found.run for found in read_summaries(tmp_path)}
        assert has_summary(catalog, uid) or uid in kept
        recover(catalog, tmp_path)
        assert has_summary(catalog, uid) and not list(tmp_path.iterdir())

    try_each(catalog, place, fault, attempt)


@of(RECOVER, *REQUESTS, BUSY)
def test_recover(catalog, place, fault, tmp_path):
    def attempt(context):
        uids = [plain_run(catalog) for _ in range(2)]
        for uid in uids:
            keep(tmp_path, uid, SUMMARY)
        run = compose_run()
        lines = [("start", run.start_doc), ("stop", run.compose_stop())]
        text = "".join(json.dumps({"name": name, "doc": doc}) + "\n" for name, doc in lines)
        (tmp_path / "run.jsonl").write_text(text)
        try_it(context, lambda: recover(catalog, tmp_path))
        kept = {found.run for found in read_summaries(tmp_path)}
        assert all(has_summary(catalog, uid) or uid in kept for uid in uids)
        recover(catalog, tmp_path)
        assert all(has_summary(catalog, uid) for uid in uids)
        assert as_catalog(catalog).holds_whole(run.start_doc["uid"])
        assert not list(tmp_path.iterdir())

    try_each(catalog, place, fault, attempt)


def check_replay(catalog, uid, model, work):
    """What is there is valid; the next call completes it, without scoring a frame again; there is nothing twice."""
    before = tags(catalog[uid])
    assert len(before) == 3 and set(before["xtag_status"]) == {"ok"}
    (outcome,) = replay(catalog, uid, model=model, work=work)["outcome"]
    assert outcome in ("tagged", "tagged before")
    (derived,) = derived_runs(as_catalog(catalog).find(uid), source="replay")
    assert list(tags(catalog[uid], "counts")["xtag_p_ring"]) == [1.0, 1.0, 1.0]
    assert len(catalog[derived.uid].base["tags/internal"].read()) == 3
    assert not list(work.iterdir())
    delete_derived(catalog, uid)


@of(REPLAY, REFUSED, FULL, BUSY, TWO)
def test_replay(catalog, place, fault, tagged, tmp_path):
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"

    def attempt(context):
        model = CountsModel()
        try_it(context, lambda: replay(catalog, tagged, model=model, work=work))
        check_replay(catalog, tagged, model, work)
        assert model.seen == 3

    if fault == TWO:
        beside_another(
            catalog,
            lambda: replay(catalog, tagged, model=CountsModel(), work=work),
            lambda: replay(catalog, tagged, model=CountsModel(), work=elsewhere),
            lambda: check_replay(catalog, tagged, CountsModel(), work),
        )
    else:
        try_each(catalog, place, fault, attempt)


@of(CORRECT, REFUSED, FULL, BUSY, TWO)
def test_correct(catalog, place, fault, tagged):
    run = catalog[tagged]

    def by(person, remove="ring"):
        return lambda: correct(run, 2, remove=remove, by=person)

    def attempt(context):
        try_it(context, by("ab"))
        told = corrections(catalog[tagged])
        assert list(told["by"]) in ([], ["ab"])
        assert tags(catalog[tagged])["xtag_tags"].iloc[1] == ("" if len(told) else "ring")
        by("ab")()
        check("ab")

    def check(*people):
        for person in people:
            by(person)()  # the next call; it changes nothing if all is there
        assert sorted(corrections(catalog[tagged])["by"]) == sorted(people)
        assert tags(catalog[tagged])["xtag_tags"].iloc[1] == ""
        delete_derived(catalog, tagged)

    if fault == TWO:
        beside_another(catalog, by("ab"), by("ab"), lambda: check("ab"), step=2)
        beside_another(catalog, by("ab"), by("cd"), lambda: check("ab", "cd"), step=2)
    else:
        try_each(catalog, place, fault, attempt, step=2)  # it is stored as a replay is


def full_disk(monkeypatch, what):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(what, full)
