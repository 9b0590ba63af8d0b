"""Messages to live pages: numbered, bounded, and whole again for a page that missed too much."""

import orjson

from bluesky_xtag.documents import FrameId, Tagging
from bluesky_xtag.web.live_log import LiveLog
from bluesky_xtag.web.live_notes import FramesNote
from bluesky_xtag.web.live_run import STATE, TIMES, LiveRun


def log_of(messages=4, size=2**20):
    return LiveLog(lambda: {"all": True}, messages, size)


def read(log, number):
    upto, messages = log.since(number) or (log.whole()[0], [log.whole()[1]])
    return upto, [orjson.loads(message) for message in messages]


def test_a_page_goes_on_after_its_last_message():
    log = log_of()
    for place in range(3):
        log.add({"place": place})
    assert log.start_of(log.session, 1) == 1
    upto, messages = read(log, 1)
    assert upto == 3 and [(each["number"], each["place"], each["whole"]) for each in messages] == [
        (2, 1, False),
        (3, 2, False),
    ]
    assert read(log, 3) == (3, [])


def test_a_page_that_missed_too_much_or_knows_another_list_gets_all():
    log = log_of()
    for place in range(9):
        log.add({"place": place})
    assert [each["number"] for each in read(log, 5)[1]] == [6, 7, 8, 9]
    for number in (4, 0, -1):
        upto, (whole,) = read(log, number)
        assert upto == 9 and whole["whole"] and whole["all"] and whole["number"] == 9
    assert log.start_of("another", 5) == -1 and log.start_of(log.session, 10) == -1


def test_the_list_is_bounded_in_bytes_too():
    log = log_of(messages=1000, size=1000)
    for _ in range(50):
        log.add({"text": "x" * 300})
    assert len(log.since(48)[1]) == 2 and read(log, 40)[1][0]["whole"]


NOTE = {"uid": "u", "scan_id": 1, "plan": "p", "sample": "", "time": 0.0, "points": None, "motors": (), "fields": ()}


def test_an_outcome_of_a_frame_that_is_taken_again_says_nothing_about_the_new_one():
    run = LiveRun(NOTE | {"extents": None, "shape": None}, ["ring"], [0.5])

    def tagging(event):
        return Tagging(FrameId("u", "primary", "det", 1, 0, event), "ok", (0.9,), ("ring",), 0.1)

    run.add_frames(FramesNote("u", "primary", "det", "before", 1, 1, 1, 10.0))
    assert run.add_tagging(tagging("before")) == 0
    run.add_frames(FramesNote("u", "primary", "det", "again", 1, 1, 1, 11.0))
    (place,) = run.whole()["places"]
    assert place[STATE] == 0 and place[TIMES] == 2  # without an outcome again
    assert run.add_tagging(tagging("before")) is None
    assert run.whole()["counts"]["waiting"] == 1
    assert run.add_tagging(tagging("again")) == 0 and run.whole()["counts"]["ok"] == 1
