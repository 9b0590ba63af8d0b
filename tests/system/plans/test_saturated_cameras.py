"""Plans see the same truth about pixels as the rows: cameras whose brightest pixels hold the maximum of their type."""

import bluesky.plans as bp
import numpy as np
import pytest
from ophyd.sim import SynAxis
from support.cameras import Camera

from bluesky_xtag.model import TagModel
from bluesky_xtag.plans import expose_until, skip_empty

SHAPE = (514, 512)


@pytest.fixture(scope="module")
def model():
    return TagModel.load()


def light():
    """A ring and a bright centre, in counts a second."""
    y, x = np.indices(SHAPE)
    r = np.hypot(x - 250, y - 260)
    return 40 * np.exp(-0.5 * ((r - 120) / 4) ** 2) + 0.3 + 400 * np.exp(-0.5 * (r / 10) ** 2)


def camera(dtype, rate, noise=0.0, most=None):
    """A camera that is saturated at `most` counts, or at the maximum of its type; with `noise` about zero."""
    most = np.iinfo(dtype).max if most is None else most
    rng = np.random.default_rng(1)

    def image(seconds):
        counts = rng.poisson(rate * seconds * light()) + rng.normal(0, noise, SHAPE)
        return np.minimum(np.rint(counts), most).astype(dtype)

    return Camera(image, exposure=4.0, shape=SHAPE)


CAMERAS = {
    "8 bits": camera("uint8", 5),
    "16 bits": camera("uint16", 1000),
    "16 bits, signed": camera("int16", 1000),
    "16 bits in 32": camera("uint32", 1000, most=2**16 - 1),
    "12 bits in 16": camera("uint16", 60, most=2**12 - 1),
    "16 bits, dark subtracted": camera("float32", 1000, noise=5.0, most=2**16 - 1),
}


def tagged(seen):
    return [event["data"]["xtag_tags"].split() for event in seen.events("tags")]


@pytest.mark.parametrize("kind", CAMERAS)
def test_a_saturated_camera_is_exposed_for_shorter(RE, seen, tag, model, decisions, kind):
    det, found = CAMERAS[kind], []
    det.cam.acquire_time.put(4.0)

    def plan():
        found.append((yield from expose_until([det], tag(model=model, deadline=60), good="not saturated")))

    RE(plan())
    reasons = [row["reason"] for row in decisions()]
    assert reasons[1].endswith("4 s is too long"), reasons
    assert f"good at {found[0]:.3g} s" in reasons[-1] and found[0] < 4.0
    assert all("saturated" in tags for tags in tagged(seen)[:-1]) and "saturated" not in tagged(seen)[-1]
    assert not any("detector_gaps" in tags for tags in tagged(seen))
    seen.assert_every_frame_has_its_row()


def test_a_frame_without_an_unsaturated_pixel_says_so_and_is_not_called_good(RE, seen, tag, model, decisions):
    """All pixels at the maximum: saturated, or a detector without an image. It cannot be told, so no tag is given."""
    det, found = CAMERAS["16 bits"], []
    det.cam.acquire_time.put(10_000.0)

    def plan():
        limits = (0.01, 10_000.0)
        found.append((yield from expose_until([det], tag(model=model, deadline=60), limits=limits)))

    RE(plan())
    assert found == [None]
    rows = [event["data"] for event in seen.events("tags")]
    assert {row["xtag_status"] for row in rows} == {"unreadable"}
    assert decisions()[-1]["action"] == "stop"


@pytest.mark.parametrize("kind", CAMERAS)
def test_a_place_with_a_saturated_ring_is_not_left_out_as_empty(RE, seen, tag, model, decisions, kind):
    det, axis = CAMERAS[kind], SynAxis(name="axis")
    det.cam.acquire_time.put(4.0)
    RE(skip_empty(bp.scan([det], axis, 0, 1, 2), tag(model=model, deadline=60), 1.0))
    assert [row["action"] for row in decisions()] == ["expose", "expose"]
    assert all({"saturated", "ring"} <= set(tags) and "empty" not in tags for tags in tagged(seen))
