"""`xtag serve`: runs of RunEngines elsewhere, heard over a bus, tagged, and given out as derived runs."""

import json
import pickle
import time

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky.callbacks.zmq import Publisher, RemoteDispatcher
from bluesky_tiled_plugins import TiledWriter
from event_model import DocumentNames, compose_run, schema_validators
from support.buses import Heard, running_proxy, zeromq
from support.detectors import ArrayDetector, FileDetector, numbered, write_frame
from support.models import CountsModel

from bluesky_xtag import XTagError, XTagValueError
from bluesky_xtag.catalog import as_catalog
from bluesky_xtag.replay import replay
from bluesky_xtag.search import recover, runs_with_tag, tags
from bluesky_xtag.tagger import FORMATS, RunService, WireFormat

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def ports():
    with running_proxy() as ports:
        yield ports


@pytest.fixture(scope="module")
def sender(ports):
    """A place on the bus that sends what a RunEngine emits."""
    bus = zeromq(ports)
    bus.join(60)
    yield bus
    bus.close()


@pytest.fixture
def heard(ports):
    bus = zeromq(ports)
    bus.join(60)
    yield Heard(bus)
    bus.close()


@pytest.fixture
def serve(ports, tmp_path):
    """Start a service that has joined the bus, with a small model; it takes part whenever it is called."""
    services = []

    def serve(**options):
        bus = options.pop("bus", None) or zeromq(ports)
        if "backend" not in options:
            options.setdefault("model", CountsModel())
        service = RunService(bus, backup=tmp_path / "backup", **options)
        bus.join(60)

        def take_part():
            for document in bus.receive(0.01):
                service(*document)
            service.look()

        service.take_part = take_part
        services.append(service)
        return service

    yield serve
    for service in services:
        service.close("the test is over", 0.1)


def send(sender, documents):
    for name, doc in documents:
        sender.send(name, doc)


@pytest.fixture
def documents(RE):
    """What the RunEngine emits for a plan."""

    def documents(plan):
        taken = []
        token = RE.subscribe(lambda name, doc: taken.append((name, doc)))
        RE(plan)
        RE.unsubscribe(token)
        return taken

    return documents


def count(points=3, **options):
    return bp.count([ArrayDetector(numbered(), **options)], points)


def test_a_run_on_the_bus_becomes_a_derived_run_on_the_bus(sender, heard, serve, documents):
    service, run = serve(), documents(count())
    uid = run[0][1]["uid"]
    send(sender, run)
    heard.listen(lambda: heard.derived(uid) and heard.stop(heard.derived(uid)[0]["uid"]), service.take_part)
    (derived,) = heard.derived(uid)
    rows, stop = heard.rows(derived["uid"]), heard.stop(derived["uid"])
    assert [row["xtag_status"] for row in rows] == ["ok"] * 3
    assert [row["xtag_frame_seq_num"] for row in rows] == [1, 2, 3]
    events = [doc["uid"] for name, doc in run if name == "event"]
    assert [row["xtag_frame_event"] for row in rows] == events
    assert (stop["exit_status"], stop["num_events"]) == ("success", {"tags": 3})
    assert derived["xtag"]["derived"] and derived["xtag"]["model"] == "counts" and derived["purpose"] == "tags"
    mine = [(name, doc) for name, doc in heard.documents if doc.get("run_start", doc["uid"]) == derived["uid"]]
    for name, doc in mine:
        schema_validators[DocumentNames[name]].validate(json.loads(json.dumps(doc)))
    heard.listen(lambda: True, service.take_part)
    assert len([1 for name, doc in heard.documents if name == "start"]) == 2, "its own runs are not tagged again"


def _name(run):
    about = run.start.get("xtag")  # in a catalogue of many tests, others may have written anything
    return about.get("name") if isinstance(about, dict) else None


def test_the_same_run_gives_the_same_rows_in_its_session_over_the_bus_and_from_the_catalogue(
    RE, tag, tiled_sqlite_catalog, packaged_model, ports, serve, tmp_path, caplog
):
    """Frames in events and in files, whole numbers and floats, with their own session's tagger as the reference."""
    rng, catalog = np.random.default_rng(5), tiled_sqlite_catalog
    detectors = [
        ArrayDetector(lambda: rng.poisson(rng.uniform(1, 30), (96, 80)).astype(np.uint16), "whole", (96, 80)),
        ArrayDetector(lambda: rng.uniform(0, 50, (64, 64)), "floats", (64, 64)),
        FileDetector(tmp_path, name="files"),
    ]
    tag(model=packaged_model, deadline=60.0)
    services = {wire: serve(bus=zeromq(ports, wire, prefix=wire), model=packaged_model, catalog=catalog, name=wire)
                for wire in FORMATS}  # fmt: skip
    publishers = [
        Publisher(f"127.0.0.1:{ports[0]}", prefix=wire.encode(), serializer=WireFormat.named(wire).dumps)
        for wire in FORMATS
    ]
    time.sleep(1)  # Bluesky's publisher does not tell when it has joined
    tokens = [RE.subscribe(callback) for callback in (TiledWriter(catalog), *publishers)]
    (uid,) = RE(bp.count(detectors, 4))
    for token in tokens:
        RE.unsubscribe(token)
    end = time.monotonic() + 120
    while any(service.runs < 1 for service in services.values()):
        assert time.monotonic() < end
        for service in services.values():
            service.take_part()
    for service in services.values():
        service._storing.submit(int).result(60)
    for publisher in publishers:
        publisher.close()
    again = replay(catalog, uid, model=packaged_model, work=tmp_path / "work")
    live = tags(catalog[uid], model="own")
    found = {"replay": tags(catalog[again["derived"][0]])}
    for wire in FORMATS:
        (run,) = [run for run in as_catalog(catalog).runs() if _name(run) == wire]
        found[wire] = run.table("tags").rename(columns=lambda name, wire=wire: name.replace(f"{wire}_", "xtag_", 1))
    order = ["xtag_frame_key", "xtag_frame_seq_num", "xtag_frame_index"]
    scores = [name for name in live if name.startswith("xtag_p_")]
    columns = [*order, *scores, "xtag_tags", "xtag_status", "xtag_device"]
    expected = live.sort_values(order)[columns].to_numpy().tolist()
    assert len(expected) == 12 and {row[-2] for row in expected} == {"ok"}
    for way, table in found.items():
        assert table.sort_values(order)[columns].to_numpy().tolist() == expected, way
    for wire in FORMATS:
        assert sorted(found[wire]["xtag_frame_event"]) == sorted(live["xtag_frame_event"])


def test_no_document_is_lost_once_it_has_joined(ports, sender):
    for number in range(10):
        bus = zeromq(ports)
        bus.join(60)
        send(sender, [("start", {"uid": str(number), "time": 0.0})])
        heard = Heard(bus)
        heard.listen(lambda heard=heard: heard.documents, seconds=10)
        assert heard.documents[0] == ("start", {"uid": str(number), "time": 0.0})
        bus.close()


def test_a_bus_that_is_not_there_is_told(ports):
    bus = zeromq((ports[0], 9))
    with pytest.raises(XTagError, match="does not answer .*bluesky-0MQ-proxy"):
        bus.join(0.3)
    bus.close()
    with pytest.raises(XTagValueError, match="cannot be used"):
        zeromq(("nowhere at all", 9))
    with pytest.raises(XTagValueError, match="pickle, lets whoever"):
        WireFormat.named("pickle")


def test_the_handshake_disturbs_no_other_listener(ports, sender):
    """Bluesky's own dispatcher hears it, too, and goes on."""
    got, loads = [], WireFormat.named("msgpack").loads
    dispatcher = RemoteDispatcher(f"127.0.0.1:{ports[1]}", deserializer=loads, strict=True)

    def note(name, doc):
        got.append(name)
        if name == "stop":
            raise KeyboardInterrupt

    dispatcher.subscribe(note)

    async def disturb():
        import asyncio

        for _ in range(3):
            await asyncio.sleep(0.2)
            bus = zeromq(ports)
            bus.join(60)
            bus.close()
        run = compose_run()
        send(sender, [("start", run.start_doc), ("stop", run.compose_stop())])

    task = dispatcher.loop.create_task(disturb())
    with pytest.raises(KeyboardInterrupt):
        dispatcher.start()
    assert got[-2:] == ["start", "stop"] and set(got[:-2]) <= {"bulk_events"} and task.done()


def test_a_run_that_began_before_is_passed_over_and_that_is_said_once(sender, heard, serve, documents, caplog):
    service, run, whole = serve(), documents(count()), documents(count())
    send(sender, [*run[1:], *whole])
    uid = whole[0][1]["uid"]
    heard.listen(lambda: heard.derived(uid) and heard.stop(heard.derived(uid)[0]["uid"]), service.take_part)
    early = run[0][1]["uid"]
    assert not heard.derived(early)
    assert caplog.text.count(f"run {early} began before") == 1 and f"--runs {early}" in caplog.text


def test_a_run_engine_that_vanishes_is_waited_for_and_then_its_run_is_closed(sender, heard, serve, documents, caplog):
    service, run = serve(silence=0.5), documents(count())
    uid = run[0][1]["uid"]
    send(sender, run[:-1])
    heard.listen(lambda: heard.derived(uid) and heard.stop(heard.derived(uid)[0]["uid"]), service.take_part)
    stop = heard.stop(heard.derived(uid)[0]["uid"])
    assert stop["exit_status"] == "abort" and "nothing was heard of its RunEngine" in stop["reason"]
    assert stop["num_events"] == {"tags": 3}
    send(sender, run[-1:])
    service.take_part()
    assert len(heard.derived(uid)) == 1 and "began before" not in caplog.text


def test_a_service_that_is_stopped_ends_the_run_validly(ports, sender, heard, serve, documents, tiled_sqlite_catalog):
    service, run = serve(catalog=tiled_sqlite_catalog), documents(count())
    uid = run[0][1]["uid"]
    send(sender, run[:-2])  # two of three events
    heard.listen(lambda: heard.derived(uid), service.take_part)
    service.close("xtag serve was stopped")
    derived = heard.derived(uid)[0]["uid"]
    heard.listen(lambda: heard.stop(derived))
    assert heard.stop(derived)["exit_status"] == "abort"
    assert heard.stop(derived)["reason"] == "xtag serve was stopped"
    stored = as_catalog(tiled_sqlite_catalog).find(derived)
    assert stored.stop["exit_status"] == "abort" and len(stored.table("tags")) == 2
    assert stored.start["original_run_uid"] == uid and stored.start["xtag"]["frames"] == 2


def test_events_that_did_not_arrive_are_told(sender, heard, serve, documents, caplog):
    service, run = serve(), documents(count(4))
    uid = run[0][1]["uid"]
    lost = [pair for pair in run if pair[0] != "event" or pair[1]["seq_num"] != 2]
    send(sender, lost)
    heard.listen(lambda: heard.derived(uid) and heard.stop(heard.derived(uid)[0]["uid"]), service.take_part)
    stop = heard.stop(heard.derived(uid)[0]["uid"])
    assert stop["reason"] == "1 of 4 events of 'primary' did not arrive over the bus"
    assert stop["num_events"] == {"tags": 3} and stop["reason"] in caplog.text


def test_frames_whose_file_comes_late_are_tagged_after_the_run(sender, heard, serve, documents, tmp_path):
    late = []

    def write(path, number):
        if number == 2:
            late.append((path, number))
        else:
            write_frame(path, number)

    service, run = serve(deadline=0.3, patience=60), documents(bp.count([FileDetector(tmp_path, write)], 3))
    uid = run[0][1]["uid"]
    send(sender, run)
    heard.listen(lambda: heard.derived(uid) and len(heard.rows(heard.derived(uid)[0]["uid"])) == 2, service.take_part)
    derived = heard.derived(uid)[0]["uid"]
    until = time.monotonic() + 0.6
    heard.listen(lambda: time.monotonic() > until, service.take_part)
    assert heard.stop(derived) is None, "it waits for the file"
    write_frame(*late[0])
    heard.listen(lambda: heard.stop(derived), service.take_part)
    rows = heard.rows(derived)
    assert {(row["xtag_frame_seq_num"], row["xtag_status"]) for row in rows} == {(n, "ok") for n in (1, 2, 3)}


def test_a_file_that_never_comes_is_unreadable(sender, heard, serve, documents, tmp_path):
    nothing = bp.count([FileDetector(tmp_path, lambda path, number: None)], 2)
    service, run = serve(deadline=0.2, patience=0.3), documents(nothing)
    uid = run[0][1]["uid"]
    send(sender, run)
    heard.listen(lambda: heard.derived(uid) and heard.stop(heard.derived(uid)[0]["uid"]), service.take_part)
    rows = heard.rows(heard.derived(uid)[0]["uid"])
    assert [row["xtag_status"] for row in rows] == ["unreadable"] * 2


def test_files_outside_of_the_roots_are_not_read(sender, heard, serve, documents, tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["entry/data/data"] = np.ones((1, 32, 32), np.int32)
    service, run = serve(roots=allowed, patience=0.2), documents(bp.count([FileDetector(tmp_path)], 2))
    uid = run[0][1]["uid"]
    send(sender, run)
    heard.listen(lambda: heard.derived(uid) and heard.stop(heard.derived(uid)[0]["uid"]), service.take_part)
    rows = heard.rows(heard.derived(uid)[0]["uid"])
    assert [row["xtag_status"] for row in rows] == ["unreadable"] * 2


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


def test_what_others_send_costs_nothing_and_runs_nothing(sender, heard, serve, documents, caplog):
    service, run = serve(), documents(count())
    objects = WireFormat.named("msgpack").dumps({"uid": "x", "value": np.array([Trap()], object)})
    for message in (
        b"",
        b"garbage",
        b" start " + pickle.dumps({"uid": Trap()}),
        b" start " + objects,
        b" sturt " + WireFormat.named("msgpack").dumps({}),
        b" event " + WireFormat.named("msgpack").dumps([1]),
        b" \xff\xfe x",
        b" descriptor " + WireFormat.named("msgpack").dumps({"run_start": run[0][1]["uid"]}),
    ):
        sender._out.send(message)
    send(sender, run)
    uid = run[0][1]["uid"]
    heard.listen(lambda: heard.derived(uid) and heard.stop(heard.derived(uid)[0]["uid"]), service.take_part)
    assert len(heard.rows(heard.derived(uid)[0]["uid"])) == 3
    assert "which is no document" in caplog.text and "is no msgpack" in caplog.text


def test_what_the_catalogue_does_not_take_is_kept(sender, heard, serve, documents, tiled_sqlite_catalog, tmp_path,
                                                  monkeypatch):  # fmt: skip
    service, run = serve(catalog=tiled_sqlite_catalog), documents(count())
    monkeypatch.setattr("bluesky_xtag.tagger.service.run_service._TRIES", (0.0,))
    with monkeypatch.context() as away:
        away.setattr(type(service._place), "write", lambda *_: (_ for _ in ()).throw(ConnectionError("away")))
        send(sender, run)
        heard.listen(lambda: service.runs, service.take_part)
        service._storing.submit(int).result(60)
    (kept,) = (tmp_path / "backup").iterdir()
    assert list(recover(tiled_sqlite_catalog, tmp_path / "backup").runs) == [kept.stem]
    uid = run[0][1]["uid"]
    (found,) = [one for one in runs_with_tag(tiled_sqlite_catalog, "ring", model="counts").values()
                if one.metadata["start"].get("original_run_uid") == uid]  # fmt: skip
    assert list(tags(found)["xtag_status"]) == ["ok"] * 3
