"""The bounded queue and the first-outcome-wins rule."""

import threading
from types import SimpleNamespace

import pytest

from bluesky_xtag import Tagger, XTagValueError
from bluesky_xtag.documents import FrameId
from bluesky_xtag.tagger.status import TaggingStatus
from bluesky_xtag.tagger.ticket import Ticket
from bluesky_xtag.tagger.worker import FrameQueue


def ticket(seq_num=1, seconds=100.0):
    frame = FrameId("run", "primary", "det", seq_num, 0, "uid")
    return Ticket(SimpleNamespace(id=frame, beam_centre=None), seconds)


def test_first_outcome_wins():
    one = ticket(seconds=0)
    assert one.expire()
    one.settle("ok", scores=(1.0,), tags=("ring",))
    assert one.tagging.status == "late"


def test_deadline_of_a_frame_that_could_not_be_read_says_so():
    one = ticket(seconds=0)
    one.problem = "no such file"
    one.expire()
    assert (one.tagging.status, one.tagging.reason) == ("unreadable", "no such file")


def test_outcome_lets_the_pixels_go():
    one = ticket()
    one.settle("ok")
    assert one.frame is None


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [3, 4]), ("drop_newest", [1, 2])])
def test_full_queue(policy, kept):
    queue = FrameQueue(2, policy)
    tickets = [ticket(seq_num) for seq_num in (1, 2, 3, 4)]
    for one in tickets:
        queue.put([one])
    assert [one.id.seq_num for one in queue.take(16, 0)] == kept
    assert [one.id.seq_num for one in tickets if one.done] == [n for n in (1, 2, 3, 4) if n not in kept]
    assert {one.tagging.status for one in tickets if one.done} == {"dropped"}


def test_frames_that_have_their_outcome_give_way_first():
    queue = FrameQueue(2)
    settled, waiting, new = ticket(1), ticket(2), ticket(3)
    queue.put([waiting])
    queue.put([settled])
    settled.settle("late")
    queue.put([new])
    assert queue.take(16, 0) == [waiting, new]


def test_blocking_queue_waits_for_room():
    queue = FrameQueue(1, "block")
    first, second = ticket(1), ticket(2)
    queue.put([first])
    put = threading.Thread(target=queue.put, args=([second],))
    put.start()
    assert queue.take(1, 10) == [first]
    put.join(10)
    assert queue.take(1, 10) == [second]


def test_blocking_queue_gives_up_at_the_deadline():
    queue = FrameQueue(1, "block")
    queue.put([ticket(1)])
    second = ticket(2, seconds=0.05)
    queue.put([second])
    assert second.tagging.status == "dropped"


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


def test_status_ends_when_all_frames_have_their_outcome():
    tickets = [ticket(1), ticket(2)]
    status = TaggingStatus(tickets)
    ended = threading.Event()
    status.add_callback(lambda _: ended.set())
    tickets[0].settle("ok")
    assert not status.done
    tickets[1].settle("failed", "whatever")
    assert ended.is_set() and status.done and status.success
    status.add_callback(lambda again: again.done or pytest.fail("called before the end"))


def test_status_ends_by_the_deadline():
    late = ticket(seconds=0.05)
    status = TaggingStatus([late])
    assert status.exception(timeout=10) is None
    assert late.tagging.status == "late"


def test_status_of_nothing_has_ended():
    assert TaggingStatus([]).success
