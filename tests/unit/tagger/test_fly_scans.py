"""Fly scans bring frames without events; their rows come as event pages, all of them before the run is closed."""

import threading
from collections import Counter

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import RunEngineInterrupted
from event_model import compose_run
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider, TriggerInfo, init_devices
from ophyd_async.sim import SimBlobDetector
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel, HangingModel, RaisingModel

from bluesky_xtag import Tagger
from bluesky_xtag.frames import FrameRange

WAITS = pytest.mark.parametrize("wait", ["overlap", "point"])


@pytest.fixture
def blob(RE, tmp_path):
    with init_devices():
        blob = SimBlobDetector(StaticPathProvider(StaticFilenameProvider("frames"), tmp_path), name="blob")
    return blob


def fly(det, frames, interrupt=None, name="primary"):
    """Take frames on the fly and collect them while they come; `interrupt` is a plan that runs in between."""
    yield from bps.prepare(det, TriggerInfo(number_of_events=frames, livetime=0.01, deadtime=0.005), wait=True)
    yield from bps.declare_stream(det, name=name, collect=True)
    yield from bps.kickoff(det, wait=True)
    if interrupt is not None:
        yield from interrupt()
    yield from bps.collect_while_completing([det], [det], flush_period=0.1, stream_name=name)


def flying_run(det, *args, **kwargs):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from fly(det, *args, **kwargs)

    return plan()


def images(seen):
    """The stream_datum documents of the images; the detector writes their sums too."""
    resources = {doc["uid"] for doc in seen.of("stream_resource") if doc["data_key"] == "blob"}
    return [doc for doc in seen.of("stream_datum") if doc["stream_resource"] in resources]


def seq_nums_of_frames(seen):
    return [seq_num for doc in images(seen) for seq_num in range(doc["seq_nums"]["start"], doc["seq_nums"]["stop"])]


def test_what_a_stream_needs_is_imported_at_its_descriptor_and_elsewhere(monkeypatch):
    imported, done = [], threading.Event()

    def note(what):
        imported.append((what, threading.current_thread()))
        done.set()

    monkeypatch.setattr("bluesky_xtag.frames.imports.import_for", note)
    tagger, run = Tagger(CountsModel()), compose_run()
    tagger("start", run.start_doc)
    key = {"source": "test", "dtype": "array", "shape": [1, 24, 32], "external": "STREAM:"}
    tagger("descriptor", run.compose_descriptor(name="primary", data_keys={"det": key}).descriptor_doc)
    assert done.wait(8)
    ((what, thread),) = imported
    assert what is None and thread is not threading.current_thread()
    tagger.uninstall()


@WAITS
def test_every_frame_has_its_row(RE, seen, tag, blob, wait):
    tagger = tag(wait=wait, deadline=30, queue_size=200)
    RE(flying_run(blob, 40))
    assert [row["frame_seq_num"] for row in seen.rows()] == seq_nums_of_frames(seen) == list(range(1, 41))
    assert {row["frame_event"] for row in seen.rows()} == {doc["uid"] for doc in images(seen)}
    assert seen.statuses() == {"ok": 40}
    assert seen.stop()["num_events"] == {"primary": 40, "tags": 40}
    assert "event_page" in seen.names() and "event" not in seen.names()
    assert tagger.frames == 40


def test_rows_do_not_leak_into_the_next_run(RE, seen, tag, blob):
    tag(deadline=30)
    RE(flying_run(blob, 10))
    RE(flying_run(blob, 5))
    assert [stop["num_events"]["tags"] for stop in seen.of("stop")] == [10, 5]
    for start, frames in zip(seen.of("start"), (10, 5), strict=True):
        assert [row["frame_seq_num"] for row in seen.rows(start["uid"])] == list(range(1, frames + 1))


def test_plan_that_raises_keeps_the_rows_so_far(RE, seen, tag, blob):
    tag(deadline=30)

    @bpp.stage_decorator([blob])
    @bpp.run_decorator()
    def plan():
        yield from fly(blob, 10)
        raise RuntimeError("after the flight")

    with pytest.raises(RuntimeError, match="after the flight"):
        RE(plan())
    assert seen.stop()["exit_status"] == "fail"
    assert seen.stop()["num_events"] == {"primary": 10, "tags": 10}
    assert seen.statuses() == {"ok": 10}


def test_model_that_fails_or_hangs(RE, seen, tag, blob):
    tag(model=RaisingModel(), deadline=30)
    RE(flying_run(blob, 10))
    assert seen.statuses() == {"failed": 10}
    model = HangingModel()
    tag(model=model, deadline=0.2, queue_size=4)
    RE(flying_run(blob, 10))
    model.released.set()
    stop = seen.of("stop")[1]
    assert stop["num_events"] == {"primary": 10, "tags": 10}
    assert set(seen.statuses(stop["run_start"])) <= {"late", "dropped"}


@WAITS
def test_pause_during_the_flight(RE, seen, tag, blob, wait):
    tag(wait=wait, deadline=30)

    @bpp.stage_decorator([blob])
    @bpp.run_decorator()
    def plan():
        yield from fly(blob, 5)
        yield from bps.checkpoint()
        yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    RE.resume()
    assert [row["frame_seq_num"] for row in seen.rows()] == [1, 2, 3, 4, 5]
    assert seen.stop()["num_events"] == {"primary": 5, "tags": 5}


@WAITS
def test_steps_and_a_flight_in_one_run(RE, seen, tag, blob, wait):
    """The form of the rows is chosen by the first frames of the run; it holds for those that come otherwise."""
    tag(wait=wait, deadline=30)
    det = ArrayDetector(numbered())

    @bpp.stage_decorator([blob])
    @bpp.run_decorator()
    def steps_first():
        yield from bps.trigger_and_read([det], name="alignment")
        yield from bps.trigger_and_read([det], name="alignment")
        yield from fly(blob, 5)

    @bpp.stage_decorator([blob])
    @bpp.run_decorator()
    def flight_first():
        yield from fly(blob, 5)
        yield from bps.trigger_and_read([det], name="alignment")
        yield from bps.trigger_and_read([det], name="alignment")

    for plan in (steps_first, flight_first):
        RE(plan())
    for stop in seen.of("stop"):
        assert stop["exit_status"] == "success"
        assert stop["num_events"] == {"primary": 5, "alignment": 2, "tags": 7}
        rows = seen.rows(stop["run_start"])
        assert Counter(row["status"] for row in rows) == {"ok": 7}
        assert len({row["frame_event"] for row in rows}) >= 3
        assert len(seen.descriptors("tags", stop["run_start"])) == 1


@WAITS
def test_step_scan_of_a_streaming_detector(RE, seen, tag, blob, wait):
    tag(wait=wait, deadline=30)

    @bpp.stage_decorator([blob])
    @bpp.run_decorator()
    def plan():
        for _ in range(3):
            yield from bps.trigger_and_read([blob])

    RE(plan())
    assert [row["frame_seq_num"] for row in seen.rows()] == [1, 2, 3]
    assert {row["frame_event"] for row in seen.rows()} == {doc["uid"] for doc in images(seen)}
    assert seen.stop()["num_events"] == {"primary": 3, "tags": 3}
    assert seen.statuses() == {"ok": 3}


# Documents with many frames


class Flood:
    """A detector that announces many images at once, all in a file that never comes."""

    name = "det"
    parent = None

    def __init__(self, count):
        self._count = count

    def describe(self):
        key = {"source": "test", "dtype": "array", "shape": [1, 64, 64], "external": "STREAM:", "dtype_numpy": "<u2"}
        return {"det": key}

    describe_collect = describe

    def read_configuration(self):
        return {}

    describe_configuration = read_configuration

    async def get_index(self):
        return self._count

    def collect_asset_docs(self, index=None):
        place = {"mimetype": "application/x-hdf5", "uri": "file://localhost/nowhere/x.h5", "data_key": "det"}
        yield "stream_resource", place | {"uid": "flood", "parameters": {"dataset": "/entry/data/data"}}
        span = {"indices": {"start": 0, "stop": self._count}, "seq_nums": {"start": 0, "stop": 0}}
        yield "stream_datum", span | {"uid": "flood/0", "stream_resource": "flood", "descriptor": ""}


def flooded(count):
    det = Flood(count)

    @bpp.run_decorator()
    def plan():
        yield from bps.declare_stream(det, name="primary", collect=True)
        yield from bps.collect(det, name="primary")

    return plan()


@WAITS
def test_a_document_with_many_frames_has_a_row_for_each_in_short_pages(RE, seen, tag, wait):
    tagger = tag(wait=wait, deadline=0.3)
    RE(flooded(700))
    assert [row["frame_seq_num"] for row in seen.rows()] == list(range(1, 701))
    assert set(seen.statuses()) == {"unreadable", "late"}
    assert seen.stop()["num_events"] == {"primary": 700, "tags": 700}
    assert tagger.frames == sum(tagger.counts.values()) == 700
    assert tagger.statistics.unwritten == 0
    assert max(len(page["seq_num"]) for page in seen.of("event_page")) <= 100


def test_the_run_engines_thread_makes_no_frame(RE, seen, tag, monkeypatch):
    """However many frames a document brings, taking it costs the same."""
    made = Counter()
    make = FrameRange.__getitem__

    def count(frames, position):
        made[threading.current_thread().name] += 1
        return make(frames, position)

    monkeypatch.setattr(FrameRange, "__getitem__", count)
    tagger = tag(deadline=0.2)
    RE(flooded(300))
    assert seen.stop()["num_events"] == {"primary": 300, "tags": 300}
    assert made and all(name.startswith("xtag-") for name in made)  # a busy machine has some read by their deadline
    span = {"indices": {"start": 0, "stop": 10**12}, "seq_nums": {"start": 1, "stop": 10**12 + 1}}
    run = compose_run()
    stream = run.compose_descriptor(name="primary", data_keys=Flood(1).describe())
    resource, _ = Flood(1).collect_asset_docs()
    for name, doc in (
        ("start", run.start_doc),
        ("descriptor", stream.descriptor_doc),
        resource,
        ("stream_datum", span | {"uid": "x", "stream_resource": "flood", "descriptor": stream.descriptor_doc["uid"]}),
    ):
        tagger(name, doc)
    assert len(tagger.unwritten(run.start_doc["uid"])) == 10**12
    assert tagger.counts["dropped"] == 0


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "block"])
def test_policies_hold_for_documents_with_many_frames(RE, seen, tag, policy):
    model = HangingModel()
    tag(model=model, deadline=0.3, queue_size=1, policy=policy)
    det = [Flood(50), Flood(60)]
    det[1].name = "other"

    @bpp.run_decorator()
    def plan():
        for each in det:
            yield from bps.declare_stream(each, name=f"of_{each.name}", collect=True)
        for each in det:
            yield from bps.collect(each, name=f"of_{each.name}")

    det[1].describe = det[1].describe_collect = lambda: {"other": Flood(1).describe()["det"]}
    det[1].collect_asset_docs = lambda index=None: (
        (name, doc | {"uid": doc["uid"].replace("flood", "other")} | again)
        for (name, doc), again in zip(
            Flood.collect_asset_docs(det[1]), ({"data_key": "other"}, {"stream_resource": "other"}), strict=True
        )
    )
    RE(plan())
    model.released.set()
    assert seen.stop()["num_events"] == {"of_det": 50, "of_other": 60, "tags": 110}
    assert sum(seen.statuses().values()) == 110
    by_key = {key: Counter(row["status"] for row in seen.rows() if row["frame_key"] == key) for key in ("det", "other")}
    if policy == "drop_newest":
        assert by_key["other"] == {"dropped": 60}
    if policy == "drop_oldest":
        assert by_key["det"]["dropped"] > 0 and by_key["other"]["dropped"] == 0


@WAITS
def test_who_reads_the_tagger_after_a_flight_gets_the_newest_frame(RE, seen, tag, blob, wait):
    tagger = tag(model=CountsModel(), wait=wait, deadline=20)

    @bpp.stage_decorator([blob])
    @bpp.run_decorator()
    def plan():
        yield from fly(blob, 5)
        yield from bps.sleep(0.5)  # all rows are written meanwhile
        yield from bps.trigger_and_read([tagger], name="tags")

    RE(plan())
    frames = [event["data"]["xtag_frame_seq_num"] for event in seen.events("tags")]
    assert frames[:5] == [1, 2, 3, 4, 5] and frames[-1] == 5
