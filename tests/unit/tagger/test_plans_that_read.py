"""Plans that read the tagger themselves: they get the row of the frame they mean, and nothing is written twice."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel

from bluesky_xtag import Tagger

WAITS = ("overlap", "point")


@pytest.mark.parametrize("wait", WAITS)
def test_plan_that_reads_the_tagger_gets_no_second_row(RE, seen, tag, wait):
    tagger = tag(wait=wait)
    det = ArrayDetector(numbered())
    read = []

    @bpp.run_decorator()
    def plan():
        for _ in range(4):
            yield from bps.trigger_and_read([det])
            row = yield from bps.trigger_and_read([tagger], name="tags")
            read.append(row["xtag_frame_seq_num"]["value"])

    RE(plan())
    assert read == [1, 2, 3, 4]
    seen.assert_every_frame_has_its_row()
    assert seen.statuses() == {"ok": 4}


def test_tagger_without_preprocessor_is_a_device_that_plans_read(RE, seen):
    tagger = Tagger(CountsModel())
    RE.subscribe(tagger)
    det = ArrayDetector(numbered())

    @bpp.run_decorator()
    def plan():
        for _ in range(3):
            yield from bps.trigger_and_read([det])
            yield from bps.trigger_and_read([tagger], name="tags")

    RE(plan())
    tagger.uninstall()
    seen.assert_every_frame_has_its_row()
    assert seen.statuses() == {"ok": 3}


def test_tagger_read_before_there_is_a_frame_does_not_hang(RE, seen, tag, caplog):
    tagger = tag()
    RE(bp.count([tagger], 1))
    (event,) = seen.events("primary")
    assert event["data"]["xtag_status"] == "failed"
    assert "read the detector first" in caplog.text


@pytest.mark.parametrize("wait", WAITS)
def test_plan_that_reads_what_it_triggered_a_point_ago(RE, seen, tag, wait):
    """It hides inference behind the next exposure."""
    tagger = tag(wait=wait)
    det = ArrayDetector(numbered())
    read = []

    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        for _ in range(3):
            yield from bps.trigger(tagger, group="tag")
            yield from bps.trigger_and_read([det])
            yield from bps.sleep(0.02)
            yield from bps.wait("tag")
            yield from bps.create("tags")
            row = yield from bps.read(tagger)
            yield from bps.save()
            read.append(row["xtag_frame_seq_num"]["value"])

    RE(plan())
    assert read == [1, 2, 3]
    seen.assert_every_frame_has_its_row()


@pytest.mark.parametrize("wait", WAITS)
def test_plan_reads_its_own_run_among_interleaved_ones(RE, seen, tag, wait):
    tagger = tag(wait=wait)
    a, b = ArrayDetector(numbered(), name="a"), ArrayDetector(numbered(), name="b")

    def in_run(key, plan):
        return bpp.set_run_key_wrapper(plan, key)

    def plan():
        for key in ("first", "second"):
            yield from in_run(key, bps.open_run())
        for _ in range(3):
            yield from in_run("first", bps.trigger_and_read([a]))
            yield from in_run("first", bps.trigger(tagger, group="tag"))
            yield from in_run("second", bps.trigger_and_read([b]))
            yield from bps.sleep(0.02)
            yield from bps.wait("tag")
            yield from in_run("first", bps.create("tags"))
            yield from in_run("first", bps.read(tagger))
            yield from in_run("first", bps.save())
        for key in ("first", "second"):
            yield from in_run(key, bps.close_run())

    RE(plan())
    first, second = (doc["uid"] for doc in seen.of("start"))
    seen.assert_every_frame_has_its_row(run=first)
    seen.assert_every_frame_has_its_row(run=second)


@pytest.mark.parametrize("wait", WAITS)
def test_plan_that_reads_without_trigger_waits_for_the_newest_frame(RE, seen, tag, wait):
    tagger = tag(wait=wait)
    det = ArrayDetector(numbered())

    @bpp.run_decorator()
    def plan():
        for _ in range(3):
            yield from bps.trigger_and_read([det])
            yield from bps.create("tags")
            yield from bps.read(tagger)
            yield from bps.save()

    RE(plan())
    if wait == "overlap":
        seen.assert_every_frame_has_its_row()
    assert set(seen.statuses()) == {"ok"}


def test_tagger_among_detectors_is_said_to_be_one_frame_behind(RE, seen, tag, caplog):
    tagger = tag()
    RE(bp.count([ArrayDetector(numbered()), tagger], 3))
    assert seen.stop()["exit_status"] == "success"
    assert caplog.text.count("in an event of its own, after the detector's") == 1
