"""The main job over Channel Access, with ophyd-async's motor and areaDetector classes."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from support.cameras import GradedModel
from support.spot_ioc import counts

from bluesky_xtag.plans import expose_until, skip_empty, tag_adaptive_scan

SECONDS = 60.0


@pytest.fixture
def devices(beamline, RE, tmp_path):
    """The devices of `xtag demo --epics-async`."""
    pytest.importorskip("aioca")
    from bluesky_xtag.cli.demo.demo_devices import _leave, _ophyd_async

    made = _ophyd_async(tmp_path)
    yield made
    _leave(made)  # before the loop of this test's RunEngine ends


@pytest.mark.parametrize("wait", ["overlap", "point"])
def test_each_frame_has_its_tags_while_the_scan_runs(RE, seen, tag, devices, wait):
    det, x, _ = devices
    RE(bps.abs_set(det.driver.acquire_time, 0.25, wait=True))
    tag(model=GradedModel(), wait=wait, deadline=SECONDS)
    RE(bp.scan([det], x, 0, 10, 6))
    assert seen.stop()["exit_status"] == "success"
    assert seen.statuses() == {"ok": 6}
    assert [row["p_ring"] for row in seen.rows()] == pytest.approx(
        [counts(at, 0.25) / 1000 for at in (0, 2, 4, 6, 8, 10)], abs=0.003
    )


def test_the_plans_that_tags_steer(RE, seen, tag, devices):
    det, x, y = devices
    tagger = tag(model=GradedModel(), wait="point", deadline=SECONDS)
    RE(bps.mv(x, 0, det.driver.acquire_time, 0.05))
    (exposed,) = RE(expose_until([det], tagger, limits=(0.01, 1.0)))
    assert [row["tags"] for row in seen.rows(exposed)] == ["weak_scattering", ""]
    RE(bps.mv(det.driver.acquire_time, 0.5))
    scan = bp.scan([det], x, 0, 10, 3)
    (skipped,) = RE(skip_empty(scan, tagger, 0.05, empty="weak_scattering"))
    assert seen.statuses(skipped) == {"ok": 4}
    (mapped,) = RE(tag_adaptive_scan([det], tagger, "random", x, 0, 10, y, 0, 10, tag="ring", max_points=4))
    assert seen.statuses(mapped) == {"ok": 4}


def test_check_finds_what_ophyd_async_does_by_itself(tag, devices):
    found = {(finding.kind, finding.about) for finding in tag(model=GradedModel()).check(devices[0])}
    assert found == {("good", "SWMR"), ("good", "exposure"), ("good", "beam centre")}
