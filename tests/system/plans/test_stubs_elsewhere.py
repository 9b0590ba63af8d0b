"""Stubs where another process tags: one of the session's own, and `xtag serve` at the other end of a bus."""

import threading
import time

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from ophyd.sim import SynAxis
from support.buses import running_proxy, zeromq
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel, HangingModel

from bluesky_xtag.plans import replay_decisions, scan_until
from bluesky_xtag.plans.stubs import tagged_step
from bluesky_xtag.tagger import ProcessBackend, RunService, ServedBackend


@pytest.fixture
def axis():
    return SynAxis(name="axis")


@pytest.fixture(scope="module")
def ports():
    with running_proxy() as ports:
        yield ports


@pytest.fixture
def publisher(ports, RE):
    """What the session publishes its documents with."""
    bus = zeromq(ports)
    bus.join(60)
    RE.subscribe(bus.send)
    yield bus
    bus.close()


@pytest.fixture
def serve(ports, publisher):
    """A function that starts a service in a thread of its own; the bus is all that it shares with the session."""
    stops, threads = [], []

    def serve(model, **options):
        bus, stopped = zeromq(ports), threading.Event()
        service = RunService(bus, model=model, **options)
        bus.join(60)
        thread = threading.Thread(target=service.run, args=(stopped, 0.5))
        thread.start()
        stops.append(stopped)
        threads.append(thread)

    yield serve
    for stopped in stops:
        stopped.set()
    for thread in threads:
        thread.join(30)


def check_scan(RE, seen, catalog, tagger, axis):
    """A stock plan whose points ask: the frames 1, 2, 3; each is "ring", so each place has two frames."""
    det = ArrayDetector(numbered())
    (uid,) = RE(bp.scan([det], axis, 0, 2, 3, per_step=tagged_step(tagger, "ring", bps.one_nd_step)))
    assert seen.stop(uid)["num_events"] == {"primary": 6, "tags": 6, "decisions": 3}
    seen.assert_every_frame_has_its_row(run=uid)
    assert seen.statuses(uid) == {"ok": 6}
    assert [event["data"]["decision_action"] for event in seen.events("decisions", uid)] == ["then"] * 3
    again = replay_decisions(catalog[uid])
    assert again.equal, str(again)


@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_a_process_of_the_sessions_own(RE, seen, tag, catalog, axis, wait):
    backend = ProcessBackend(CountsModel())
    tagger = tag(backend=backend, deadline=60.0, wait=wait)
    assert backend.wait_ready(120)
    check_scan(RE, seen, catalog, tagger, axis)


@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_rows_of_a_service_decide_in_the_session(RE, seen, tag, catalog, axis, ports, serve, wait):
    serve(CountsModel())
    tagger = tag(backend=ServedBackend(zeromq(ports), CountsModel(), patience=30), deadline=30.0, wait=wait)
    check_scan(RE, seen, catalog, tagger, axis)
    assert {event["data"]["xtag_device"] for event in seen.events("tags")} == {"CPU"}
    # Plans of the package decide by them, too.
    (uid,) = RE(scan_until([ArrayDetector(numbered())], tagger, axis, 0, 9, 1, until="ring for 3"))
    assert seen.stop(uid)["num_events"] == {"primary": 3, "tags": 3, "decisions": 4}
    assert replay_decisions(catalog[uid]).equal


@pytest.mark.parametrize("served", ["nobody", "hanging"])
def test_without_rows_from_the_service_the_fallback_is_said_and_the_scan_ends(
    RE, seen, tag, axis, ports, serve, publisher, served
):
    model = HangingModel()
    if served == "hanging":
        serve(model)
    tagger = tag(backend=ServedBackend(zeromq(ports), CountsModel()), deadline=0.3)
    per_step = tagged_step(tagger, "ring", deadline=0.1, fallback="continue")
    begin = time.monotonic()
    RE(bp.scan([ArrayDetector(numbered())], axis, 0, 1, 2, per_step=per_step))
    assert time.monotonic() - begin < 60
    model.released.set()
    assert seen.stop()["num_events"] == {"primary": 2, "tags": 2, "decisions": 2}
    assert seen.statuses() == {"late": 2}
    assert seen.events("decisions")[0]["data"]["decision_reason"] == (
        "no tags (late): the plan goes on without them, the fallback"
    )


def test_rows_of_another_model_are_not_taken(RE, seen, tag, axis, ports, serve, caplog):
    class Other(CountsModel):
        version, sha256 = "2", "1" * 64

    serve(Other())
    tagger = tag(backend=ServedBackend(zeromq(ports), CountsModel(), patience=30), deadline=30.0, wait="point")
    RE(bp.count([ArrayDetector(numbered())], 2))
    assert seen.statuses() == {"failed": 2}
    assert "xtag serve has the model counts 2 (111111111111)" in tagger.latest.reason
    assert "give both the same" in tagger.latest.reason


def test_a_tagger_that_is_uninstalled_leaves_the_bus(tag, ports):
    backend = ServedBackend(zeromq(ports), CountsModel())
    tag(backend=backend).uninstall()
    end = time.monotonic() + 10
    while any(thread.name == "xtag-served" for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(thread.name == "xtag-served" for thread in threading.enumerate())
