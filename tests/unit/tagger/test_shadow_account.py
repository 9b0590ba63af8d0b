"""What a shadow knows of the frames of a run, also of those that are taken again."""

from bluesky_xtag.documents import SHADOW, STREAM, FrameId, Tagging
from bluesky_xtag.frames import FrameRange, FrameSelection
from bluesky_xtag.tagger.shadow_account import ShadowAccount


def frames(first, events=1, event="e", key="det", images=1):
    return FrameRange("run", "primary", key, event, first, events, images, None, None, lambda place: None)


def frame(seq_num, event="e", key="det", index=0):
    return FrameId("run", "primary", key, seq_num, index, event)


def test_frames_without_a_row_are_counted_and_the_last_is_named():
    account = ShadowAccount()
    assert account.without_row() == (0, None)
    account.take(frames(1, 5, images=2))
    assert account.without_row() == (10, frame(5, index=1))
    account.rows |= {frame(5, index=1), frame(2)}
    assert account.without_row() == (8, frame(5))


def test_what_is_taken_again_takes_the_place_of_what_was_before():
    account = ShadowAccount()
    for number in range(1, 5):
        account.take(frames(number, event=f"first {number}"))
        account.take(frames(number, event=f"other {number}", key="other"))
        account.found[frame(number)] = Tagging(frame(number, f"first {number}"), "ok")
        account.rows.add(frame(number))
    account.waiting.append(frame(4))
    account.take(frames(3, event="again 3"))
    assert account.has(frame(3, "again 3")) and not account.has(frame(3, "first 3"))
    assert account.has(frame(2, "first 2")) and account.has(frame(4, "other 4", "other"))
    assert set(account.found) == {frame(1), frame(2)} and account.rows == {frame(1), frame(2)} and not account.waiting
    assert account.without_row() == (5, frame(3))


def test_a_rewind_cuts_documents_of_many_frames():
    account = ShadowAccount()
    account.take(frames(1, 10, event="first"))
    account.take(frames(6, 5, event="again"))
    assert account.without_row() == (10, frame(10))
    assert [len(each) for each in account.taken] == [5, 5]


def test_no_pixels_are_kept():
    account = ShadowAccount()
    held = FrameRange("run", "primary", "det", "e", 1, 1, 1, None, object(), lambda place: object())
    account.take(held)
    (kept,) = account.taken
    assert kept.mask is None and kept.source is not held.source


def test_the_streams_of_tags_are_no_streams_of_frames():
    assert [FrameSelection().takes_stream(name) for name in (STREAM, SHADOW, "primary")] == [False, False, True]
