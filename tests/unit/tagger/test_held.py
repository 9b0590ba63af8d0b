"""What the worker does with frames of files that their writer holds open, without any file."""

import threading
import time

import numpy as np
import pytest
from support.models import CountsModel

from bluesky_xtag.documents import FrameId
from bluesky_xtag.errors import FileHeld, FrameNotReady
from bluesky_xtag.frames import Frame, FrameRange, without_hint
from bluesky_xtag.tagger import make_backend
from bluesky_xtag.tagger.ticket import Ticket
from bluesky_xtag.tagger.worker import FrameQueue, Worker


class Source:
    """Raises `error` as long as it has one."""

    size = None

    def __init__(self, error=None):
        self.error = error
        self.looks = 0

    def read(self, index):
        self.looks += 1
        if self.error is not None:
            raise self.error
        return np.ones((4, 4), np.int32)


def frame(source, seq_num=1):
    return Frame(FrameId("run", "primary", "det", seq_num, 0, "uid"), None, None, source)


def frames(source, seq_num):
    """A document with one frame."""
    return FrameRange("run", "primary", "det", "uid", seq_num, 1, 1, None, None, lambda event: source)


def held(path="a.h5"):
    return Source(FileHeld(f"{path} is held", path))


def wait_until(happened, seconds=8):
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.005)
    return happened()


@pytest.fixture
def work():
    queue = FrameQueue()
    worker = Worker(make_backend("inline", CountsModel()), queue)

    def work(*sources, seconds=100.0):
        tickets = [Ticket(frames(source, number), seconds) for number, source in enumerate(sources, 1)]
        queue.put(tickets)
        return tickets

    work.worker = worker
    yield work
    worker.stop()


def test_a_held_file_is_not_waited_for_until_the_deadline(work):
    (one,) = work(held())
    assert wait_until(lambda: one.done)
    (unread,) = one.take_unread()
    assert (one.tagging(0).status, unread.held, unread.frame.id.seq_num) == ("unreadable", "a.h5", 1)
    assert "is held" in one.tagging(0).reason and one.tagging(0).reason == unread.reason
    assert one.take_unread() == []


def test_once_known_the_next_frames_of_the_file_are_looked_at_once(work):
    (first,) = work(held())
    assert wait_until(lambda: first.done)
    again, other = held(), held("b.h5")
    second, third = work(again, other)
    assert wait_until(lambda: second.done)
    assert again.looks == 1
    assert wait_until(lambda: third.done)
    assert other.looks > 1  # it might be opened in a moment


def test_a_file_that_is_held_for_a_moment_costs_nothing(work):
    source = held()
    (one,) = work(source)
    assert wait_until(lambda: source.looks > 1)
    source.error = None
    assert wait_until(lambda: one.done)
    assert (one.tagging(0).status, one.take_unread()) == ("ok", [])


def test_other_frames_that_are_not_ready_wait_as_ever(work):
    source = Source(FrameNotReady("not yet"))
    (one,) = work(source)
    assert wait_until(lambda: source.looks > 30)
    assert not one.done
    source.error = None
    assert wait_until(lambda: one.done)


def test_frames_that_nobody_waits_for_give_way(work):
    """They are tagged when no frame of a scan is left, not even one that is tried again."""
    source = Source(FrameNotReady("not yet"))
    (one,) = work(source)
    assert wait_until(lambda: source.looks > 0)
    future = work.worker.tag_later([frame(Source()), frame(held())])
    assert wait_until(lambda: source.looks > 5)
    assert not future.done()
    source.error = None
    ok, not_ready = future.result(timeout=8)
    assert one.done
    assert (ok.status, not_ready.held) == ("ok", "a.h5")


def test_what_waits_when_the_worker_ends_is_cancelled(work):
    model = work.worker._backend.model
    entered, leave = threading.Event(), threading.Event()
    predict = model.predict

    def slow(*arguments):
        entered.set()
        leave.wait(8)
        return predict(*arguments)

    model.predict = slow
    (one,) = work(Source())
    assert entered.wait(8)
    future = work.worker.tag_later([frame(Source())])
    work.worker.stop()
    leave.set()
    assert wait_until(future.cancelled)
    assert one.done


@pytest.mark.parametrize(
    "said",
    [
        "Unable to synchronously open file (file is already open for write (may use <h5clear file> to clear file "
        "consistency flags))",
        "unable to open: file is already open for write/SWMR write (may use <h5clear file> to clear file consistency "
        "flags)",
        "run h5clear first",
    ],
)
def test_the_advice_to_clear_flags_is_never_repeated(said):
    left = without_hint(OSError(said))
    assert "h5clear" not in left
    assert "clear file" not in left
    assert without_hint("truncated file: eof = 96") == "truncated file: eof = 96"
