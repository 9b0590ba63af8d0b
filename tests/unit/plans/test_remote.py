"""A tagger that a plan brings with it, for RunEngines that a server owns."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from support.cameras import Camera, GradedModel, flat
from support.models import CountsModel

from bluesky_xtag import Tagger
from bluesky_xtag.plans import remote
from bluesky_xtag.tagger import tag_wrapper


@pytest.fixture
def tagger():
    tagger = Tagger(CountsModel())
    yield tagger
    tagger.uninstall()


@pytest.fixture
def camera():
    return Camera(lambda seconds: flat(500))


def test_every_frame_has_its_row(RE, seen, tagger, camera):
    RE(tag_wrapper(bp.count([camera], 3), tagger))
    assert len(seen.events("tags")) == 3
    seen.assert_every_frame_has_its_row()


def test_it_is_gone_after_the_plan(RE, seen, tagger, camera):
    RE(tag_wrapper(bp.count([camera], 2), tagger))
    RE(bp.count([camera], 2))
    assert len(seen.events("tags")) == tagger.frames == 2


def test_two_plans_one_after_the_other_in_one_call(RE, seen, tagger, camera):
    def plan():
        yield from tag_wrapper(bp.count([camera], 2), tagger)
        yield from bp.count([camera], 2)
        yield from tag_wrapper(bp.count([camera], 1), tagger)

    RE(plan())
    assert len(seen.events("tags")) == tagger.frames == 3


def test_an_installed_tagger_does_it_alone(RE, seen, tag, camera):
    tagger = tag()
    RE(tag_wrapper(bp.count([camera], 3), tagger))
    assert len(seen.events("tags")) == tagger.frames == 3
    tagger.uninstall()
    RE(tag_wrapper(bp.count([camera], 2), tagger))
    assert tagger.frames == 5


def test_a_plan_that_fails_keeps_its_rows_and_leaves_nothing_behind(RE, seen, tagger, camera):
    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([camera])
        raise RuntimeError("the plan's own")

    with pytest.raises(RuntimeError, match="the plan's own"):
        RE(tag_wrapper(plan(), tagger))
    assert len(seen.events("tags")) == 1
    RE(bp.count([camera], 2))
    assert len(seen.events("tags")) == tagger.frames == 1


def test_the_plan_returns_what_it_returns(RE, tagger, camera):
    returned = []

    def plan():
        returned.append((yield from tag_wrapper(remote.count([camera], tagger), tagger)))

    (uid,) = RE(plan())
    assert returned == [uid]


def test_plans_for_servers_bring_their_tagger(RE, seen, camera, axis, tagger):
    for plan in (
        remote.count([camera], tagger, num=2),
        remote.scan([camera], tagger, [(axis, 0, 1)], num=2),
        remote.grid_scan([camera], tagger, [(axis, 0, 1, 2)]),
    ):
        (run,) = RE(plan)
        seen.assert_every_frame_has_its_row(run=run)
    assert len(seen.events("tags")) == 6


def test_steered_plans_for_servers_bring_their_tagger(RE, seen, axis, other, camera):
    tagger = Tagger(GradedModel())
    RE(remote.scan_until([camera], tagger, axis, 0, 3, 1, until="ring>0.9"))
    RE(remote.tag_adaptive_scan([camera], tagger, "random", [(axis, 0, 3), (other, 0, 1)], tag="ring", max_points=3))
    RE(remote.expose_until([camera], tagger, good="ring>0.4"))
    camera.cam.acquire_time.put(1.0)
    RE(remote.skip_empty_grid([camera], tagger, 0.1, [(axis, 0, 1, 2), (other, 0, 1, 2)], empty="not ring"))
    assert len(seen.events("tags")) == len(seen.events("primary")) >= 4 + 3 + 1 + 4
    assert len(seen.events("decisions")) >= 4
    tagger.uninstall()


def test_a_device_manager_makes_devices_when_it_is_asked():
    def broken():
        raise OSError("no such model")

    made = remote.Devices(lambda: Tagger(CountsModel(), name="tags"), broken).build_and_connect(mock=False, fixtures={})
    assert list(made.devices) == ["tags"]
    assert list(made.build_errors) == ["broken"] and not made.connection_errors
    made.devices["tags"].uninstall()
