"""Which frames still wait for their row, also after the RunEngine has rewound."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bluesky_xtag.documents import FrameId
from bluesky_xtag.frames import FrameRange
from bluesky_xtag.tagger.ledger import Addresses, Ledger, Part
from bluesky_xtag.tagger.ticket import Ticket


def ticket(seq_num, events=1, images=1, run="run", stream="primary", key="det"):
    frames = FrameRange(run, stream, key, f"{seq_num}", seq_num, events, images, None, None, lambda event: None)
    return Ticket(frames, seconds=100)


def write(ledger, one, *positions):
    return list(ledger.note_written(Part(one, positions or range(len(one)))))


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
    assert write(ledger, one) == [0]
    assert write(ledger, one) == []
    assert numbers(ledger) == [2]


def test_a_number_that_comes_again_forgets_that_one_and_later_ones():
    one, two, three, again = ticket(1), ticket(2), ticket(3), ticket(2)
    ledger = ledger_of(one, two, three)
    assert ledger.add(again) == 2
    assert numbers(ledger) == [1, 2]
    for frames in (ledger.unwritten("run"), tuple(ledger.unwritten("run"))):
        assert [part.ticket for part in ledger.find(frames)] == [one, again]
    assert two.done and three.done and not one.done
    assert two.tagging(0).status == "dropped"


def test_other_streams_cameras_and_runs_are_not_forgotten():
    others = [ticket(5, stream="other"), ticket(5, key="waxs"), ticket(5, run="second")]
    ledger = ledger_of(ticket(2), *others)
    ledger.add(ticket(2))
    assert not any(other.done for other in others)


def test_images_of_one_event_are_all_there():
    ledger = ledger_of(ticket(1, images=3))
    assert [frame.index for frame in ledger.unwritten("run")] == [0, 1, 2]


def test_closing_a_run_tells_what_was_never_written():
    one, two = ticket(1), ticket(2)
    ledger = ledger_of(one, two)
    write(ledger, one)
    assert ledger.unwritten("run")[0] == two.frames.id(0)
    assert ledger.close("run") == 1
    assert ledger.close("run") == 0


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


# Documents with many sequence numbers


def ids(frames):
    return [(frame.seq_num, frame.index) for frame in frames]


def test_rows_of_a_range_are_written_in_any_order():
    one = ticket(11, events=3, images=2)
    ledger = ledger_of(one)
    assert write(ledger, one, 0, 1, 4) == [0, 1, 4]
    assert ids(ledger.unwritten("run")) == [(12, 0), (12, 1), (13, 1)]
    assert write(ledger, one, 1, 2, 3, 4) == [2, 3]
    assert ids(ledger.unwritten("run")) == [(13, 1)]
    assert write(ledger, one) == [5]
    assert not ledger.unwritten("run")


def test_a_range_that_comes_again_from_some_number_on():
    old, again = ticket(1, events=10), ticket(6, events=3)
    ledger = ledger_of(old)
    write(ledger, old, 0, 1)
    before = ledger.unwritten("run")
    assert ledger.add(again) == 5
    assert ids(ledger.unwritten("run")) == [(number, 0) for number in (3, 4, 5, 6, 7, 8)]
    assert [(part.ticket, list(part.positions)) for part in ledger.find(before[:6])] == [
        (old, [2, 3, 4]),
        (again, [0, 1, 2]),
    ]
    assert old.tagging(7).reason == "taken again after a pause"
    assert not old.done


def test_ready_is_what_comes_before_the_first_that_is_not_known():
    one, two = ticket(1, events=4), ticket(5, events=2)
    ledger = ledger_of(one, two)
    assert ids(ledger.ready("run")) == []
    for position in (0, 1, 3):
        one.settle(position, "ok")
    two.settle_rest("dropped")
    assert ids(ledger.ready("run")) == [(1, 0), (2, 0)]
    one.settle(2, "ok")
    assert ids(ledger.ready("run")) == [(number, 0) for number in range(1, 7)]


def test_addresses_are_a_sequence():
    ledger = ledger_of(ticket(1), ticket(2, events=3, images=2), ticket(5, images=2))
    frames = ledger.unwritten("run")
    everything = list(frames)
    assert len(frames) == len(everything) == 9
    assert [frames[place] for place in range(-9, 9)] == everything * 2
    for first in range(10):
        for stop in range(10):
            assert list(frames[first:stop]) == everything[first:stop]
    assert list(frames[:-1]) == everything[:-1]
    assert not Addresses() and repr(frames) == "<9 frames>"


def test_a_range_of_a_billion_costs_nothing_to_note():
    ledger = ledger_of(ticket(1, events=10**9))
    frames = ledger.unwritten("run")
    assert len(frames) == 10**9
    assert ids(frames[10**8 : 10**8 + 2]) == [(10**8 + 1, 0), (10**8 + 2, 0)]
    assert ledger.add(ticket(5, events=10)) == 10**9 - 4
    assert ledger.close("run") == 14


documents = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 5), st.integers(0, 6), st.booleans()), max_size=12)


@settings(max_examples=60, deadline=None)
@given(documents)
def test_however_ranges_come_again(drawn):
    """As a RunEngine rewinds: a document goes on after the last number, or begins at one after the last checkpoint."""
    ledger, model, last, checkpoint = Ledger(), {}, 0, 0
    ledger.open("run")
    for first, events, rows, is_checkpoint in drawn:
        first = max(min(first, last + 1), checkpoint + 1)
        new = ticket(first, events=events)
        gone = [number for number in model if number >= first]
        assert ledger.add(new) == len(gone)
        for number in gone:
            del model[number]
        for number in range(first, first + events):
            model[number] = new
        last = first + events - 1
        for part in ledger.find(ledger.unwritten("run")[:rows]):
            ledger.note_written(part)
        for number in list(model)[:rows]:
            del model[number]
        if is_checkpoint:
            ledger.forget_written()
            checkpoint = last
        assert [frame.seq_num for frame in ledger.unwritten("run")] == list(model)
        found = ledger.find([FrameId("run", "primary", "det", number, 0) for number in model])
        assert [part.ticket for part in found for _ in part.positions] == list(model.values())
