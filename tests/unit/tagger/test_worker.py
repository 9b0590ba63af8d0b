"""The bounded queue and the first-outcome-wins rule."""

import threading
import time
from types import SimpleNamespace

import pytest

from bluesky_xtag import Tagger, XTagValueError
from bluesky_xtag.frames import FrameRange
from bluesky_xtag.tagger.deadlines import Deadlines
from bluesky_xtag.tagger.ledger import Part
from bluesky_xtag.tagger.status import TaggingStatus
from bluesky_xtag.tagger.ticket import Ticket
from bluesky_xtag.tagger.worker import FrameQueue


@pytest.fixture
def deadlines():
    deadlines = Deadlines()
    yield deadlines
    deadlines.stop()


def ticket(seq_num=1, seconds=100.0):
    """The ticket of a document with one frame."""
    return several(1, seq_num, seconds)


def several(events, seq_num=1, seconds=100.0):
    """The ticket of a document with several frames."""
    frames = FrameRange("run", "primary", "det", "uid", seq_num, events, 1, None, None, lambda event: SimpleNamespace())
    return Ticket(frames, seconds)


def parts(*tickets):
    return [Part(one, range(len(one))) for one in tickets]


def numbers(taken):
    return [one.frames.id(position).seq_num for one, position in taken]


def all_of(queue):
    """Take all that waits."""
    taken = []
    while more := queue.take(1000, 0):
        taken += more
    return taken


def test_first_outcome_wins():
    one = ticket(seconds=0)
    assert one.expire()
    assert not one.settle(0, "ok", scores=(1.0,), tags=("ring",))
    assert one.tagging(0).status == "late"


def test_deadline_of_a_frame_that_could_not_be_read_says_so():
    one = ticket(seconds=0)
    one.note_problem(0, "no such file")
    one.expire()
    assert (one.tagging(0).status, one.tagging(0).reason) == ("unreadable", "no such file")


def test_outcome_lets_the_pixels_go():
    one = ticket()
    source = one.frames.source
    one.settle(0, "ok")
    assert one.frame(0) is None
    assert one.frames.source is not source


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [3, 4]), ("drop_newest", [1, 2])])
def test_full_queue(policy, kept):
    queue = FrameQueue(2, policy)
    tickets = [ticket(seq_num) for seq_num in (1, 2, 3, 4)]
    for one in tickets:
        queue.put([one])
    assert numbers(queue.take(16, 0)) == kept
    assert [one.frames.first for one in tickets if one.done] == [n for n in (1, 2, 3, 4) if n not in kept]
    assert {one.tagging(0).status for one in tickets if one.done} == {"dropped"}


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "block"])
@pytest.mark.parametrize("held", [0, 8 * 2**20])
def test_a_burst_in_one_document_is_no_overload(policy, held):
    """Hundreds of images of one document wait, whatever their number and their bytes; a second document, too."""
    queue = FrameQueue(2, policy, most_bytes=2**20)
    bursts = [several(500, number) for number in (1, 1001)]
    queue.put([bursts[0]], held)
    queue.put([bursts[1]])
    assert numbers(all_of(queue)) == [*range(1, 501), *range(1001, 1501)]
    assert not any(one.done for one in bursts)


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [2, 3]), ("drop_newest", [1, 2])])
def test_documents_give_way_whole(policy, kept):
    queue = FrameQueue(2, policy)
    for number in (1, 2, 3):
        queue.put([several(50, 100 * number)])
    assert numbers(all_of(queue)) == [100 * number + event for number in kept for event in range(50)]


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [3]), ("drop_newest", [1, 2])])
def test_pixels_that_wait_are_bounded_by_their_bytes(policy, kept):
    queue = FrameQueue(64, policy, most_bytes=100)
    for number, held in ((1, 40), (2, 40), (3, 90)):
        queue.put([ticket(number)], held)
    assert numbers(all_of(queue)) == kept


def test_block_waits_once_for_a_document_of_many_frames():
    queue = FrameQueue(1, "block")
    first, burst = ticket(1), several(500, 2)
    queue.put([first])
    put = threading.Thread(target=queue.put, args=([burst],))
    put.start()
    assert queue.take(1, 10) == [(first, 0)]
    put.join(10)
    assert not put.is_alive() and len(all_of(queue)) == 500


def test_frames_that_have_their_outcome_give_way_first():
    queue = FrameQueue(2)
    settled, waiting, new = ticket(1), ticket(2), ticket(3)
    queue.put([waiting])
    queue.put([settled])
    settled.settle(0, "late")
    queue.put([new])
    assert queue.take(16, 0) == [(waiting, 0), (new, 0)]


def test_blocking_queue_waits_for_room():
    queue = FrameQueue(1, "block")
    first, second = ticket(1), ticket(2)
    queue.put([first])
    put = threading.Thread(target=queue.put, args=([second],))
    put.start()
    assert queue.take(1, 10) == [(first, 0)]
    put.join(10)
    assert queue.take(1, 10) == [(second, 0)]


def test_blocking_queue_gives_up_at_the_deadline():
    queue = FrameQueue(1, "block")
    queue.put([ticket(1)])
    second = ticket(2, seconds=0.05)
    queue.put([second])
    assert second.tagging(0).status == "dropped"


# Documents with several frames


def test_a_queue_gives_the_frames_of_a_document_in_portions():
    queue = FrameQueue(2)
    queue.put([several(5, 1), several(2, 11)])
    queue.put([several(3, 21)])
    assert [numbers(queue.take(4, 0)) for _ in range(4)] == [[1, 2, 3, 4], [5, 11, 12, 21], [22, 23], []]
    assert not queue


def test_a_document_that_is_dropped_half_way_keeps_what_was_scored():
    queue = FrameQueue(1)
    first = several(5)
    queue.put([first])
    (taken,) = queue.take(1, 0)
    taken[0].settle(taken[1], "ok")
    queue.put([several(1, 9)])
    assert [first.tagging(position).status for position in range(5)] == ["ok"] + ["dropped"] * 4


def test_a_document_without_open_frames_leaves_the_queue_at_once():
    queue = FrameQueue(3)
    late, partly = several(10**9, seconds=0), several(6, 100)
    queue.put([late])
    queue.put([partly])
    late.expire()
    partly.supersede(2)
    assert numbers(queue.take(16, 0)) == [100, 101]


def test_what_stays_unreadable_is_told_apart_from_what_is_late():
    one = several(4, seconds=0)
    one.note_problem(1, "no such file")
    one.settle(2, "ok")
    one.note_problem(2, "which came too late")
    assert one.expire()
    assert [one.tagging(position).status for position in range(4)] == ["late", "unreadable", "ok", "late"]
    assert one.tagging(1).reason == "no such file"
    assert [(each.frame.id.seq_num, each.reason) for each in one.take_unread()] == [(2, "no such file")]


def test_frames_that_are_taken_again_are_not_kept_as_unread():
    one = several(4, seconds=0)
    one.note_problem(1, "no such file")
    one.note_problem(3, "no such file")
    one.supersede(2)
    assert one.expire()
    assert [each.frame.id.seq_num for each in one.take_unread()] == [2]


def test_a_ticket_is_watched_for_some_of_its_frames():
    one, heard = several(6), []
    one.watch(range(0, 3), lambda: heard.append("first"))
    one.watch([1, 5], lambda: heard.append("some"))
    one.watch(range(6), lambda: heard.append("all"))
    one.settle(4, "ok")
    for position in (0, 1, 2):
        one.settle(position, "ok")
    assert heard == ["first"]
    one.watch([0, 1], lambda: heard.append("at once"))
    one.supersede(5)  # nobody waits for what is taken again
    assert heard == ["first", "at once", "some"]
    one.settle(3, "ok")
    assert heard[3:] == ["all"] and one.done and one.done_before == 6


def test_a_ticket_is_followed():
    followed = []
    one = Ticket(several(3).frames, 100, lambda ticket: followed.append(ticket.tagging(ticket.newest).status))
    one.settle(1, "ok")
    one.settle(0, "failed")  # not the newest
    one.settle_rest("dropped")
    assert followed == ["ok", "ok", "dropped"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queue_size": 0}, "queue_size is 0"),
        ({"policy": "drop"}, "choose one of block, drop_oldest, drop_newest"),
        ({"wait": "never"}, "choose one of overlap, point"),
        ({"deadline": 0}, "deadline=0"),
        ({"deadline": float("inf")}, "deadline=inf"),
        ({"queue_size": 2.5}, "queue_size is 2.5"),
        ({"on_error": "ignore"}, "choose one of record, raise"),
        ({"name": "a.b"}, "name='a.b'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    from support.models import CountsModel

    with pytest.raises(XTagValueError, match=message):
        Tagger(CountsModel(), **arguments)


def test_status_ends_when_all_frames_have_their_outcome(deadlines):
    tickets = [ticket(1), ticket(2)]
    status = TaggingStatus(parts(*tickets), deadlines)
    ended = threading.Event()
    status.add_callback(lambda _: ended.set())
    tickets[0].settle(0, "ok")
    assert not status.done
    tickets[1].settle(0, "failed", "whatever")
    assert ended.is_set() and status.done and status.success
    status.add_callback(lambda again: again.done or pytest.fail("called before the end"))


def test_status_ends_by_the_deadline(deadlines):
    late = ticket(seconds=0.05)
    status = TaggingStatus(parts(late), deadlines)
    assert status.exception(timeout=10) is None
    assert late.tagging(0).status == "late"


def test_status_of_nothing_has_ended(deadlines):
    assert TaggingStatus([], deadlines).success


def refuse(self):
    raise RuntimeError("can't start new thread")


def test_status_ends_where_no_thread_can_wait_for_its_deadline(deadlines, monkeypatch, caplog):
    deadlines.stop()
    deadlines._thread.join(10)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    waiting = ticket(seconds=1000)
    status = TaggingStatus(parts(waiting), deadlines)
    assert status.done and status.success
    assert waiting.tagging(0).status == "late"
    assert "no thread can be started" in caplog.text


class Heard:
    def __init__(self):
        self.event = threading.Event()

    def hear(self):
        self.event.set()

    def fail(self):
        raise KeyError("whatever")


def test_deadlines_come_in_their_order_whatever_the_others_do(deadlines, caplog):
    never, early, broken, late = Heard(), Heard(), Heard(), Heard()
    now = time.monotonic()
    for when, method in ((now + 1000, never.hear), (now + 0.1, late.hear), (now, broken.fail), (now - 5, early.hear)):
        deadlines.call_at(when, method)
    assert early.event.wait(10) and late.event.wait(10)
    assert not never.event.is_set()
    assert "failed" in caplog.text


def test_deadlines_hold_nothing_and_end_after_the_last(deadlines):
    thread, gone, last = deadlines._thread, Heard(), Heard()
    event = gone.event
    deadlines.call_at(time.monotonic() + 0.1, gone.hear)
    deadlines.call_at(time.monotonic() + 0.2, last.hear)
    del gone
    deadlines.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert last.event.is_set() and not event.is_set()
    deadlines.call_at(time.monotonic(), last.hear)  # a late one has a thread of its own
    last.event.clear()
    assert last.event.wait(10)


def test_deadlines_that_nobody_waits_for_are_forgotten(deadlines):
    held = [Heard() for _ in range(100)]
    for number in range(5000):
        deadlines.call_at(time.monotonic() + 3600, held[number // 50].hear if number % 50 == 0 else Heard().hear)
    assert len(deadlines._due) < 1200
    assert sum(each[2]() is not None for each in deadlines._due) == 100
