"""What goes wrong must not hurt the scan: it ends as it would have without us, and every frame has its row."""

import threading
import time

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import hdf5plugin
import numpy as np
import pytest
from bluesky.utils import FailedStatus
from ophyd.sim import SynAxis
from support.detectors import DATASET, ArrayDetector, FileDetector, constant, numbered, write_array, write_frame
from support.models import CountsModel, HangingModel, RaisingModel

from bluesky_xtag import Tagging, XTagError
from bluesky_xtag.tagger import InlineBackend, preprocessor

WAITS = pytest.mark.parametrize("wait", ["overlap", "point"])


# The model


@WAITS
def test_model_raises_on_one_frame(RE, seen, tag, wait):
    tag(model=RaisingModel(on={3}), wait=wait)
    RE(bp.count([ArrayDetector(numbered())], 5))
    seen.assert_scan_went_well(5)
    assert [row["status"] for row in seen.rows()] == ["ok", "ok", "failed", "ok", "ok"]
    assert np.isnan(seen.rows()[2]["p_ring"])


@WAITS
def test_model_raises_on_all_frames(RE, seen, tag, wait):
    tagger = tag(model=RaisingModel(), wait=wait)
    RE(bp.count([ArrayDetector(numbered())], 5))
    seen.assert_scan_went_well(5)
    assert seen.statuses() == {"failed": 5}
    assert "the network is broken" in tagger.latest.reason


@WAITS
def test_model_hangs_for_longer_than_the_deadline(RE, seen, tag, wait):
    model = HangingModel()
    tag(model=model, wait=wait, deadline=0.2)
    RE(bp.count([ArrayDetector(numbered())], 4))
    model.released.set()
    seen.assert_scan_went_well(4)
    assert seen.statuses() == {"late": 4}


def test_model_that_hangs_costs_an_overlapping_scan_one_deadline(RE, seen, tag):
    model = HangingModel()
    tag(model=model, deadline=1.0)
    begin = time.monotonic()
    RE(bp.count([ArrayDetector(numbered())], 20))
    elapsed = time.monotonic() - begin
    model.released.set()
    assert seen.statuses() == {"late": 20}
    assert elapsed < 10  # and not 20 deadlines


class Starting(InlineBackend):
    """Takes its time to start."""

    is_ready = False


@pytest.mark.parametrize("starts", [False, True])
def test_runs_wait_for_the_start_of_a_model_together_and_say_so(RE, seen, tag, monkeypatch, caplog, starts):
    monkeypatch.setattr(preprocessor, "_UNNOTICED", 0.1)
    backend = Starting(CountsModel())
    tagger = tag(backend=backend)
    tagger.start_patience = 30.0 if starts else 0.3
    if starts:
        threading.Timer(0.4, setattr, (backend, "is_ready", True)).start()
    runs = [uid for _ in range(3) for uid in RE(bp.count([ArrayDetector(numbered())], 1))]
    assert [len(seen.rows(run)) for run in runs] == [1, 1, 1]
    assert caplog.text.count("a run waits for the model of xtag to start") == 1
    assert caplog.text.count("has not started yet: until it has, frames are late") == (not starts)
    assert (tagger.start_patience > 0) == starts


def test_model_that_recovers_tags_the_next_frames(RE, seen, tag):
    model = HangingModel()
    tag(model=model, wait="point", deadline=0.2)
    det = ArrayDetector(numbered())
    RE(bp.count([det], 1))
    model.released.set()
    RE(bp.count([det], 2))
    assert [row["status"] for row in seen.rows()] == ["late", "ok", "ok"]


class OddScores(CountsModel):
    """The first score of frame n is `odd[n]`."""

    odd = {2: np.nan, 3: np.inf, 4: 7.0, 5: -1.0}

    def score(self, image):
        return [self.odd.get(int(image.flat[0]), 0.25), 1.0]


@WAITS
def test_scores_that_are_none_are_failed(RE, seen, tag, wait):
    tagger = tag(model=OddScores(), wait=wait)
    RE(bp.count([ArrayDetector(numbered())], 5))
    seen.assert_scan_went_well(5)
    assert [row["status"] for row in seen.rows()] == ["ok"] + ["failed"] * 4
    assert all(np.isnan(row["p_empty"]) and np.isnan(row["p_ring"]) and not row["tags"] for row in seen.rows()[1:])
    assert "score -1" in tagger.latest.reason


class ForeignBackend:
    """A backend of somebody else, that answers what it likes."""

    model = CountsModel()

    def __init__(self, scores):
        self.scores = scores

    def tag(self, frames):
        for frame in frames:
            yield Tagging(frame.id, "ok", self.scores, ("ring",))

    def peak_memory(self):
        return []

    def close(self):
        pass


@pytest.mark.parametrize("scores", [(np.nan, 1.0), (0.5, 2.0), (), (0.5,), (0.5, 0.5, 0.5)])
def test_scores_of_a_foreign_backend_are_checked_too(RE, seen, tag, scores):
    tag(backend=ForeignBackend(scores))
    RE(bp.count([ArrayDetector(numbered())], 2))
    seen.assert_scan_went_well(2)
    assert seen.statuses() == {"failed": 2}


def test_on_error_raise_fails_the_plan_for_tests(RE, seen, tag):
    tag(model=RaisingModel(), wait="point", on_error="raise")
    with pytest.raises(FailedStatus) as caught:
        RE(bp.count([ArrayDetector(numbered())], 2))
    assert isinstance(caught.value.__cause__, XTagError)
    assert seen.stop()["exit_status"] == "fail"


# The pixels


@WAITS
@pytest.mark.parametrize(
    ("write", "status"),
    [
        pytest.param(lambda path, number: None, "unreadable", id="missing"),
        pytest.param(lambda path, number: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)), "unreadable", id="torn"),
        pytest.param(lambda path, number: path.write_text("not an image"), "unreadable", id="foreign"),
        pytest.param(lambda path, number: write_frame(path, number, (1, 20, 30)), "ok", id="shape"),
        pytest.param(lambda path, number: write_array(path, np.ones(32)), "unreadable", id="1-D"),
        pytest.param(
            lambda path, number: write_array(path, np.full((1, 32, 32), np.nan, np.float32)), "unreadable", id="NaN"
        ),
        pytest.param(
            lambda path, number: write_array(path, np.full((1, 32, 32), -1, np.int32)), "unreadable", id="masked"
        ),
        pytest.param(lambda path, number: write_array(path, np.zeros((1, 32, 32), np.int32)), "ok", id="zero"),
    ],
)
def test_bad_file(RE, seen, tag, tmp_path, wait, write, status):
    """Frame 2 of 3 is bad."""
    tag(wait=wait, deadline=0.5)
    det = FileDetector(tmp_path, lambda path, number: (write if number == 2 else write_frame)(path, number))
    RE(bp.count([det], 3))
    seen.assert_scan_went_well(3)
    assert [row["status"] for row in seen.rows()] == ["ok", status, "ok"]


def test_truncated_file(RE, seen, tag, tmp_path):
    def truncated(path, number):
        write_array(path, np.ones((1, 32, 32), np.int32))
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size // 2)

    tag(deadline=0.5)
    RE(bp.count([FileDetector(tmp_path, truncated)], 2))
    seen.assert_scan_went_well(2)
    assert seen.statuses() == {"unreadable": 2}


@WAITS
def test_late_file_is_awaited_off_the_run_engines_thread(RE, seen, tag, tmp_path, wait):
    tag(wait=wait, deadline=20)
    timers = []

    def later(path, number):
        timers.append(threading.Timer(0.4, write_frame, [path, number]))
        timers[-1].start()

    RE(bp.count([FileDetector(tmp_path, later)], 3))
    for timer in timers:
        timer.join()
    seen.assert_scan_went_well(3)
    assert seen.statuses() == {"ok": 3}


@pytest.mark.parametrize(
    ("image", "status", "tags"),
    [
        pytest.param(np.full((16, 16), np.nan, np.float32), "unreadable", "", id="NaN"),
        pytest.param(np.full((16, 16), -1, np.int32), "unreadable", "", id="masked"),
        pytest.param(np.zeros((16, 16), np.int32), "ok", "empty", id="zero"),
    ],
)
def test_bad_array(RE, seen, tag, image, status, tags):
    tag()
    RE(bp.count([ArrayDetector(constant(image), shape=image.shape)], 2))
    seen.assert_scan_went_well(2)
    assert [(row["status"], row["tags"]) for row in seen.rows()] == [(status, tags)] * 2


def test_spectrum_under_an_image_key(RE, seen, tag):
    tag(key="det")
    RE(bp.count([ArrayDetector(constant(np.ones(100)), shape=(100,))], 2))
    seen.assert_scan_went_well(2)
    assert seen.statuses() == {"unreadable": 2}


# The queue


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [1, 7, 8]), ("drop_newest", [1, 2, 3])])
def test_full_queue_drops_what_the_policy_says(RE, seen, tag, policy, kept):
    model = HangingModel()
    tag(model=model, deadline=30, queue_size=2, policy=policy)
    det = ArrayDetector(numbered())

    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        assert model.started.wait(30)  # the worker has taken the first frame
        for _ in range(7):
            yield from bps.trigger_and_read([det])
        model.released.set()

    RE(plan())
    seen.assert_scan_went_well(8)
    assert [row["frame_seq_num"] for row in seen.rows() if row["status"] == "ok"] == kept
    assert seen.statuses() == {"ok": 3, "dropped": 5}


def test_queue_overrun_at_200_frames_a_second(RE, seen, tag):
    """Frames come in one event page after another, faster than the model can follow."""

    class Slow(CountsModel):
        def predict(self, images, beam_centres=None, masks=None):
            time.sleep(0.02 * len(images))
            return super().predict(images)

    tagger = tag(model=Slow(), deadline=0.3, queue_size=2)
    RE(bp.count([ArrayDetector(numbered((20, 16, 16)), shape=(20, 16, 16))], 10, delay=0.1))
    assert seen.stop()["exit_status"] == "success"
    assert seen.stop()["num_events"] == {"primary": 10, "tags": 200}
    statuses = seen.statuses()
    assert statuses["dropped"] > 0
    assert sum(statuses.values()) == tagger.frames == sum(tagger.counts.values()) == 200


def test_blocking_queue_loses_nothing(RE, seen, tag):
    class Slow(CountsModel):
        def predict(self, images, beam_centres=None, masks=None):
            time.sleep(0.01 * len(images))
            return super().predict(images)

    tag(model=Slow(), deadline=30, queue_size=1, policy="block")
    RE(bp.count([ArrayDetector(numbered())], 30))
    seen.assert_scan_went_well(30)
    assert seen.statuses() == {"ok": 30}


# The system


def refuse(self):
    raise RuntimeError("can't start new thread")


@WAITS
@pytest.mark.parametrize("kind", [threading.Timer, threading.Thread])
@pytest.mark.parametrize("hangs", [False, True])
def test_no_more_threads(RE, seen, tag, monkeypatch, wait, kind, hangs):
    model = HangingModel()
    if not hangs:
        model.released.set()
    tag(model=model, wait=wait, deadline=0.2 if hangs else 20)
    monkeypatch.setattr(kind, "start", refuse)
    RE(bp.count([ArrayDetector(numbered())], 3))
    monkeypatch.undo()
    model.released.set()
    seen.assert_scan_went_well(3)
    assert seen.statuses() == {"late" if hangs else "ok": 3}


@WAITS
@pytest.mark.parametrize("part", ["unwritten", "ready", "prepare", "trigger", "checkpoint", "describe", "read"])
def test_a_fault_of_ours_never_fails_the_plan(RE, seen, tag, monkeypatch, wait, part, caplog):
    tagger = tag(wait=wait)

    def broken(*args):
        raise MemoryError("no more")

    monkeypatch.setattr(tagger, part, broken)
    RE(bp.count([ArrayDetector(numbered())], 3))
    assert seen.stop()["exit_status"] == "success"
    assert seen.stop()["num_events"]["primary"] == 3
    assert "MemoryError" in caplog.text or (wait, part) == ("point", "ready")  # which is not asked there


# The plan


class BrokenAxis(SynAxis):
    """A motor that fails at a position."""

    def set(self, value):
        if value >= 3:
            raise RuntimeError("the motor is stuck")
        return super().set(value)


@WAITS
def test_plan_that_raises_mid_scan_keeps_the_rows_so_far(RE, seen, tag, wait):
    tag(wait=wait)
    with pytest.raises(RuntimeError, match="stuck"):
        RE(bp.scan([ArrayDetector(numbered())], BrokenAxis(name="axis"), 0, 4, 5))
    assert seen.stop()["exit_status"] == "fail"
    assert seen.stop()["num_events"] == {"primary": 3, "tags": 3}
    seen.assert_every_frame_has_its_row()


@WAITS
def test_plan_that_fails_inside_an_event(RE, seen, tag, wait):
    """The event that was open is lost, as without us; the rows of the others are not."""
    tag(wait=wait)
    det = ArrayDetector(numbered())

    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        yield from bps.create("primary")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        RE(plan())
    assert seen.stop()["num_events"] == {"primary": 1, "tags": 1}


@WAITS
def test_plan_that_never_closes_its_run(RE, seen, tag, wait):
    tag(wait=wait)
    det = ArrayDetector(numbered())

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([det])

    RE(plan())
    assert seen.stop()["num_events"] == {"primary": 1, "tags": 1}


@WAITS
def test_plan_that_dies_without_closing_its_run(RE, seen, tag, wait):
    tag(wait=wait)
    det = ArrayDetector(numbered())

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([det])
        raise RuntimeError("no clean-up here")

    with pytest.raises(RuntimeError, match="no clean-up"):
        RE(plan())
    assert seen.stop()["exit_status"] == "fail"
    assert seen.stop()["num_events"] == {"primary": 1, "tags": 1}


# Subscribers


class Raises:
    """A subscriber that raises on documents of a kind."""

    def __init__(self, kind, stream=None):
        self.kind = kind
        self.stream = stream
        self.watched = set()

    def __call__(self, name, doc):
        if name == "descriptor" and self.stream in (None, doc["name"]):
            self.watched.add(doc["uid"])
        if name == self.kind and (doc["uid"] if name == "descriptor" else doc.get("descriptor")) in self.watched:
            raise RuntimeError("a subscriber is broken")


@WAITS
@pytest.mark.parametrize("when", ["before", "after"])
def test_subscriber_that_raises_on_our_rows_does_not_end_the_scan(RE, seen, tag, wait, when, capsys):
    broken = Raises("event", "tags")
    if when == "before":
        RE.subscribe(broken)
    tagger = tag(wait=wait)
    if when == "after":
        RE.subscribe(broken)
    RE(bp.count([ArrayDetector(numbered())], 3))
    tagger.report()
    assert "failed on their way out 3" in capsys.readouterr().out
    assert seen.stop()["exit_status"] == "success"
    assert seen.stop()["num_events"]["primary"] == 3
    seen.assert_every_frame_has_its_row()


@WAITS
def test_subscriber_that_raises_on_our_descriptor_does_not_end_the_scan(RE, seen, tag, wait, caplog):
    """The RunEngine then has no stream to write to; the frames are counted, and the log tells it once."""
    tagger = tag(wait=wait)
    RE.subscribe(Raises("descriptor", "tags"))
    RE(bp.count([ArrayDetector(numbered())], 5))
    assert seen.stop()["exit_status"] == "success"
    assert seen.stop()["num_events"]["primary"] == 5
    assert tagger.statistics.write_errors == 5
    assert caplog.text.count("could not be written") == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_subscriber_that_raises_on_every_event_ends_the_scan_as_without_us(RE, seen, tag, when):
    broken = Raises("event", "primary")
    if when == "before":
        RE.subscribe(broken)
    tag()
    if when == "after":
        RE.subscribe(broken)
    with pytest.raises(RuntimeError, match="a subscriber is broken"):
        RE(bp.count([ArrayDetector(numbered())], 3))
    assert seen.stop()["exit_status"] == "fail"
    assert seen.stop()["num_events"]["primary"] == 1


def test_documents_that_cannot_be_used_are_logged_and_counted(RE, tag, caplog, capsys):
    tagger = tag()
    tagger("event", {"descriptor": "unheard of"})  # not even an event
    tagger("event", {})
    assert RE(bp.count([ArrayDetector(numbered())], 1))
    tagger.report()
    assert "unusable documents" in capsys.readouterr().out
    assert "could not be used" in caplog.text


# Images that are decoded only when they are scored


class UnpackingModel(CountsModel):
    """Takes images that are still compressed, as a TagModel does."""

    unpacks = True

    def __init__(self):
        super().__init__()
        self.packed = 0

    def predict(self, images, beam_centres=None, masks=None):
        packed = [image for image in images if hasattr(image, "unpack")]
        self.packed += len(packed)
        return super().predict([image.unpack() if hasattr(image, "unpack") else image for image in images])


def write_torn(path, seconds=None):
    """Write a compressed frame whose chunk is known to the file, and its bytes only some seconds later, or never."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            DATASET, data=np.ones((1, 32, 32), np.uint32), chunks=(1, 32, 32), **hdf5plugin.Bitshuffle()
        )
        chunk = dataset.id.get_chunk_info(0)
    whole = path.read_bytes()
    path.write_bytes(whole[: chunk.byte_offset] + bytes(chunk.size) + whole[chunk.byte_offset + chunk.size :])
    if seconds is not None:
        threading.Timer(seconds, path.write_bytes, [whole]).start()


def test_a_torn_chunk_is_decoded_again_until_it_is_whole(RE, seen, tag, tmp_path):
    model = UnpackingModel()
    tag(model=model, deadline=5)
    RE(bp.count([FileDetector(tmp_path, lambda path, number: write_torn(path, 0.4))], 2))
    seen.assert_scan_went_well(2)
    assert seen.statuses() == {"ok": 2}
    assert model.packed > 2


def test_a_chunk_that_stays_torn_is_unreadable_and_says_which(RE, seen, tag, tmp_path):
    tagger = tag(model=UnpackingModel(), deadline=0.5)

    def write(path, number):
        write_frame(path, number) if number < 3 else write_torn(path)

    RE(bp.count([FileDetector(tmp_path, write)], 3))
    seen.assert_scan_went_well(3)
    assert [row["status"] for row in seen.rows()] == ["ok", "ok", "unreadable"]
    assert "det_3.h5" in tagger.latest.reason and "the chunk says" in tagger.latest.reason
