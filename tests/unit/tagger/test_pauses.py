"""Pauses, rewinds, aborts, and coming and going during a pause: every frame that counts has its row."""

import threading
import time

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.suspenders import SuspendBoolHigh
from bluesky.utils import RunEngineInterrupted
from ophyd import Signal
from support.detectors import ArrayDetector, numbered
from support.models import HangingModel
from support.pausing import pausing

WAITS = pytest.mark.parametrize("wait", ["overlap", "point"])


PLACES = pytest.mark.parametrize("where", ["after the checkpoint", "after the move", "after the frame"])


@WAITS
@PLACES
def test_pause_and_resume_with_rewind(RE, seen, tag, wait, where):
    tagger = tag(wait=wait)
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(ArrayDetector(numbered()), 5, where))
    RE.resume()
    seen.assert_scan_went_well(5)
    assert seen.statuses() == {"ok": 5}
    assert tagger.frames == sum(tagger.counts.values())


@WAITS
def test_second_pause_of_the_same_point(RE, seen, tag, wait):
    tag(wait=wait)
    det = ArrayDetector(numbered())

    @bpp.run_decorator()
    def plan():
        for _ in range(2):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read([det])
            yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    with pytest.raises(RunEngineInterrupted):
        RE.resume()
    RE.resume()
    seen.assert_scan_went_well(2)


@WAITS
def test_suspender_rewinds_too(RE, seen, tag, wait):
    """The beam is lost after the third frame; the RunEngine goes back to the checkpoint when it returns."""
    tag(wait=wait)
    beam_lost = Signal(name="beam_lost", value=0)
    RE.install_suspender(SuspendBoolHigh(beam_lost))
    det = ArrayDetector(numbered())
    lost = iter([True])

    @bpp.run_decorator()
    def plan():
        for point in range(1, 6):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read([det])
            if point == 3 and next(lost, False):
                beam_lost.put(1)
                threading.Timer(0.2, beam_lost.put, [0]).start()
                yield from bps.sleep(0.5)

    RE(plan())
    seen.assert_scan_went_well(5)
    assert len(seen.of("event")) > 10  # the third was taken twice


@WAITS
@PLACES
@pytest.mark.parametrize("how", ["abort", "stop"])
def test_abort_and_stop_during_a_pause(RE, seen, tag, wait, where, how):
    tag(wait=wait)
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(ArrayDetector(numbered()), 5, where))
    getattr(RE, how)()
    points = 3 if where == "after the frame" else 2
    assert seen.stop()["exit_status"] == {"abort": "abort", "stop": "success"}[how]
    assert seen.stop()["num_events"] == {"primary": points, "tags": points}
    seen.assert_every_frame_has_its_row()


def test_abort_while_a_point_waits_for_its_tags(RE, seen, tag):
    """The abort goes through; the row of the frame that waited comes when the model does, or at its deadline."""
    model = HangingModel()
    tag(model=model, wait="point", deadline=30)

    def abort():
        model.started.wait(30)
        RE.abort("enough")

    def release():
        while RE.state != "aborting":
            time.sleep(0.01)
        model.released.set()

    threads = [threading.Thread(target=work) for work in (abort, release)]
    for thread in threads:
        thread.start()
    with pytest.raises(RunEngineInterrupted):
        RE(bp.count([ArrayDetector(numbered())], 5))
    for thread in threads:
        thread.join()
    assert seen.stop()["exit_status"] == "abort"
    assert seen.stop()["num_events"] == {"primary": 1, "tags": 1}
    assert seen.statuses() == {"ok": 1}


def test_halt_leaves_no_row_uncounted(RE, seen, tag, capsys):
    """A halt forbids every further message, so rows that were not written yet can only be reported."""
    tagger = tag(model=HangingModel(), deadline=30)
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(ArrayDetector(numbered()), 5, "after the frame"))
    RE.halt()
    tagger.report()
    assert "no row    3" in capsys.readouterr().out


@WAITS
def test_uninstall_during_a_pause(RE, seen, tag, wait):
    tagger = tag(wait=wait, deadline=0.5)
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(ArrayDetector(numbered()), 5, "after the frame"))
    tagger.uninstall()
    RE.resume()
    assert seen.stop()["exit_status"] == "success"
    assert seen.stop()["num_events"] == {"primary": 5, "tags": 3}
    assert [row["frame_seq_num"] for row in seen.rows()] == [1, 2, 3]


@WAITS
def test_install_during_a_pause_waits_for_the_next_run(RE, seen, tag, wait):
    det = ArrayDetector(numbered())
    with pytest.raises(RunEngineInterrupted):
        RE(pausing(det, 5, "after the move"))
    tag(wait=wait)
    RE.resume()
    assert seen.stop()["num_events"] == {"primary": 5}
    RE(bp.count([det], 2))
    assert seen.of("stop")[1]["num_events"] == {"primary": 2, "tags": 2}
