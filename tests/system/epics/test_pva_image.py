"""Images over pvAccess, from a real server of p4p: each event has one that was taken after its trigger."""

import threading

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.utils import FailedStatus
from ophyd.utils import WaitTimeoutError

from bluesky_xtag import XTagError
from bluesky_xtag.frames import PvaImage

pytest.importorskip("p4p", reason='pvAccess needs p4p: pip install "bluesky_xtag[epics]"')
from p4p.client.thread import Context  # noqa: E402
from p4p.nt import NTNDArray, NTScalar  # noqa: E402
from p4p.server import Server, StaticProvider  # noqa: E402
from p4p.server.thread import SharedPV  # noqa: E402


class Camera:
    """A channel of images, and one that takes an image when 1 is written to it."""

    def __init__(self):
        self.number = 0
        self.image = SharedPV(initial=NTNDArray().wrap(self.frame()))
        self.acquire = SharedPV(nt=NTScalar("i"), initial=0)
        self.acquire.put(self._acquire)
        self.other = SharedPV(nt=NTScalar("d"), initial=1.0)
        provider = StaticProvider("camera")
        for name in ("image", "acquire", "other"):
            provider.add(f"CAM:{name}", getattr(self, name))
        self.server = Server(providers=[provider], isolate=True)
        self.context = Context("pva", conf=self.server.conf(), useenv=False, nt=False)

    def frame(self):
        pixels = np.zeros((12, 10), np.uint16)
        pixels.flat[0] = self.number
        return pixels

    def expose(self):
        self.number += 1
        value = NTNDArray().wrap(self.frame())
        value.uniqueId = self.number
        self.last = value
        self.image.post(value)

    def _acquire(self, channel, operation):
        channel.post(operation.value())
        operation.done()
        threading.Timer(0.02, self.expose).start()

    def close(self):
        self.context.close()
        self.server.stop()


@pytest.fixture
def camera():
    camera = Camera()
    yield camera
    camera.close()


def device(camera, channel="CAM:image", **options):
    return PvaImage(channel, "det", context=camera.context, **{"timeout": 10.0} | options)


def test_each_event_has_the_image_of_its_trigger_and_a_row(RE, seen, tag, camera):
    tagger = tag()
    RE(bp.count([device(camera, acquire="CAM:acquire")], 4))
    seen.assert_scan_went_well(4)
    events = [event for event in seen.of("event") if "det" in event["data"]]
    assert [event["data"]["det_unique_id"] for event in events] == [1, 2, 3, 4]
    assert [int(event["data"]["det"][0, 0]) for event in events] == [1, 2, 3, 4]
    (described,) = [each["data_keys"] for each in seen.of("descriptor") if "det" in each["data_keys"]]
    assert described["det"]["shape"] == [12, 10] and described["det"]["source"] == "pva://CAM:image"
    assert tagger.counts["ok"] == 4


def test_of_a_camera_that_runs_by_itself_the_exposure_begins_after_the_trigger(RE, camera):
    running = threading.Event()

    def run():
        while not running.wait(0.05):
            camera.expose()

    thread = threading.Thread(target=run)
    thread.start()
    begun, got = [], []

    def plan(detector):
        yield from bps.stage(detector)
        for _ in range(3):
            begun.append(camera.number)
            yield from bps.trigger(detector, wait=True)
            got.append(detector.read()["det_unique_id"]["value"])
        yield from bps.unstage(detector)

    try:
        RE(plan(device(camera)))
    finally:
        running.set()
        thread.join()
    assert all(image >= at + 2 for image, at in zip(got, begun, strict=True))


def test_a_camera_that_gives_no_image_fails_its_trigger_with_the_reason(RE, camera):
    with pytest.raises(FailedStatus) as failed:
        RE(bp.count([device(camera, timeout=0.5)]))
    assert "CAM:image gave no new image within 0.5 s after the trigger" in str(failed.value.__cause__ or failed.value)


@pytest.mark.parametrize(
    ("channel", "message"), [("CAM:none", "does not answer"), ("CAM:other", "NTScalar.* not an NTNDArray")]
)
def test_a_channel_without_images_is_told_when_it_is_staged(camera, channel, message):
    with pytest.raises(XTagError, match=f"{channel} gave no image within 1 s .*{message}"):
        device(camera, channel, timeout=1.0).stage()


def test_a_compressed_image_is_refused(camera):
    value = NTNDArray().wrap(camera.frame())
    value.codec.name = "blosc"
    camera.image.post(value)
    with pytest.raises(XTagError, match="compressed with blosc: set the plugin"):
        device(camera, timeout=2.0).stage()


def test_what_is_not_staged_says_so(camera):
    with pytest.raises(XTagError, match="det is not staged"):
        device(camera).trigger()
    with pytest.raises(XTagError, match="det has no image yet"):
        device(camera).read()


def test_the_last_image_that_comes_again_after_a_restart_is_not_a_new_one(camera):
    detector = device(camera, skip=0)
    camera.expose()
    detector.stage()
    camera.image.close()
    status = detector.trigger()
    camera.image.open(camera.last)
    with pytest.raises(WaitTimeoutError):
        status.wait(1)
    camera.expose()
    status.wait(10)
    assert detector.read()["det_unique_id"]["value"] == 2
    detector.unstage()
