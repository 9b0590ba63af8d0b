"""Pause with rewind, abort and stop, at every place of a plan: the run ends clean and its decisions hold."""

import bluesky.plans as bp
import pytest
from bluesky.utils import RunEngineInterrupted
from support.cameras import Camera, flat
from support.steered import pause_after

from bluesky_xtag.plans import expose_until, scan_until, skip_empty, tag_adaptive_scan

STREAMS = pytest.mark.parametrize("stream", ["primary", "tags", "decisions"])
PLANS = ["adaptive", "line", "exposure", "skip"]


@pytest.fixture
def plan(graded, axis, other, peak):
    """A plan by name, with a tagger of either way of waiting."""

    def plan(name, wait):
        tagger = graded(wait=wait)
        match name:
            case "adaptive":
                return tag_adaptive_scan([peak], tagger, "random", axis, 0, 6, other, -1, 1, tag="ring", max_points=5)
            case "line":
                return scan_until([peak], tagger, axis, 0, 9, 1, until="ring>0.9 for 3")
            case "exposure":
                det = Camera(lambda seconds: flat(int(1000 * seconds)), exposure=0.001)
                return expose_until([det], tagger, limits=(0.001, 10))
        return skip_empty(bp.scan([peak], axis, 0, 4, 5), tagger, 0.1, empty="ring<0.3")

    return plan


@STREAMS
@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_pause_and_resume(RE, seen, computed_again, plan, name, stream, wait):
    undisturbed = plan(name, wait)
    RE(undisturbed)
    expected = seen.stop()["num_events"]
    pause_after(RE, stream, 2)
    with pytest.raises(RunEngineInterrupted):
        RE(plan(name, wait))
    (uid,) = RE.resume()
    assert seen.stop(uid)["exit_status"] == "success"
    assert seen.stop(uid)["num_events"] == expected
    seen.assert_every_frame_has_its_row(run=uid)
    assert computed_again(uid) == ""


@STREAMS
@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize(("how", "status"), [("abort", "abort"), ("stop", "success")])
def test_abort_and_stop(RE, seen, computed_again, plan, name, stream, how, status):
    pause_after(RE, stream, 2)
    with pytest.raises(RunEngineInterrupted):
        RE(plan(name, "overlap"))
    getattr(RE, how)()
    assert seen.stop()["exit_status"] == status
    seen.assert_every_frame_has_its_row()
    assert computed_again(seen.start()["uid"]) == ""


def test_a_frame_taken_again_is_the_one_that_decides(RE, seen, graded, computed_again, axis):
    """After a pause the detector sees something else: the plan goes by the row that is stored, not by the first."""
    counts = iter([0, 0, 0, 950, 0, 0, 0, 0, 0, 0, 0])  # ophyd takes the first before the scan
    det = Camera(lambda seconds: flat(next(counts)))
    pause_after(RE, "tags", 3)
    with pytest.raises(RunEngineInterrupted):
        RE(scan_until([det], graded(), axis, 0, 5, 1, until="ring"))
    (uid,) = RE.resume()
    assert seen.stop()["num_events"] == {"primary": 6, "tags": 6, "decisions": 7}
    assert computed_again(uid) == ""
