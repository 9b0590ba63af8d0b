"""Which frames still wait for their row, also after the RunEngine has rewound."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from bluesky_xtag.documents import FrameId
from bluesky_xtag.tagger.ledger import Ledger
from bluesky_xtag.tagger.ticket import Ticket


def ticket(seq_num, index=0, run="run", stream="primary", key="det"):
    frame = FrameId(run, stream, key, seq_num, index, f"{seq_num}")
    return Ticket(SimpleNamespace(id=frame, beam_centre=None), seconds=100)


def ledger_of(*tickets):
    ledger = Ledger()
    ledger.open("run")
    for one in tickets:
        ledger.add(one)
    return ledger


def numbers(ledger):
    return [frame.seq_num for frame in ledger.unwritten("run")]


def test_frames_wait_in_order_of_arrival_until_written():
    one, two = ticket(1), ticket(2)
    ledger = ledger_of(one, two)
    assert numbers(ledger) == [1, 2]
    assert ledger.note_written(one.id)
    assert not ledger.note_written(one.id)
    assert numbers(ledger) == [2]


def test_a_number_that_comes_again_forgets_that_one_and_later_ones():
    one, two, three, again = ticket(1), ticket(2), ticket(3), ticket(2)
    ledger = ledger_of(one, two, three)
    assert ledger.add(again) == 2
    assert numbers(ledger) == [1, 2]
    assert ledger.tickets(ledger.unwritten("run")) == [one, again]
    assert two.superseded and three.superseded and not one.superseded


def test_other_streams_cameras_and_runs_are_not_forgotten():
    others = [ticket(5, stream="other"), ticket(5, key="waxs"), ticket(5, run="second")]
    ledger = ledger_of(ticket(2), *others)
    ledger.add(ticket(2))
    assert not any(other.superseded for other in others)


def test_images_of_one_event_do_not_forget_each_other():
    ledger = ledger_of(ticket(1, 0), ticket(1, 1), ticket(1, 2))
    assert [frame.index for frame in ledger.unwritten("run")] == [0, 1, 2]


def test_closing_a_run_tells_what_was_never_written():
    one, two = ticket(1), ticket(2)
    ledger = ledger_of(one, two)
    ledger.note_written(one.id)
    assert ledger.close("run") == [two]
    assert ledger.close("run") == []


@given(st.lists(st.integers(1, 8), max_size=30))
def test_however_often_points_come_again(seq_nums):
    ledger = ledger_of(*(ticket(seq_num) for seq_num in seq_nums))
    waiting, seen = [], set()
    for seq_num in seq_nums:
        if seq_num in seen:
            waiting = [earlier for earlier in waiting if earlier < seq_num]
        waiting.append(seq_num)
        seen.add(seq_num)
    assert numbers(ledger) == waiting
