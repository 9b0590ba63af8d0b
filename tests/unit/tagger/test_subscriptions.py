"""A tagger that hears nothing is noticed; a tagger that nobody holds leaves nothing."""

import gc
import threading
import time
import weakref
from functools import partial
from queue import SimpleQueue

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd import Signal
from support.detectors import ArrayDetector, numbered
from support.documents_seen import DocumentsSeen
from support.models import CountsModel

from bluesky_xtag import Tagger, install
from bluesky_xtag.tagger import preprocessor

FORGET = {
    "reset": lambda RE: RE.reset(),
    "unsubscribe_all": lambda RE: RE.dispatcher.unsubscribe_all(),
    "every token": lambda RE: [RE.unsubscribe(token) for token in range(100)],
}
forgotten = pytest.mark.parametrize("forget", FORGET.values(), ids=FORGET)
WAITS = pytest.mark.parametrize("wait", ["overlap", "point"])


@pytest.fixture
def others():
    """RunEngines that end with the test."""
    engines = []

    def make():
        engines.append(RunEngine({}, context_managers=[]))
        return engines[-1]

    yield make
    for engine in engines:
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join(timeout=10)
        engine.loop.close()


def watch(RE):
    seen = DocumentsSeen()
    RE.subscribe(seen)
    return seen


@forgotten
@WAITS
def test_a_subscription_that_was_removed_is_made_again(RE, tag, forget, wait, caplog):
    tagger = tag(wait=wait)
    det = ArrayDetector(numbered())
    RE(bp.count([det], 2))
    forget(RE)
    seen = watch(RE)
    RE(bp.count([det], 3))
    RE(bp.count([det], 2))
    first, second = seen.of("stop")
    seen.assert_every_frame_has_its_row(run=first["run_start"])
    seen.assert_every_frame_has_its_row(run=second["run_start"])
    assert caplog.text.count("it is subscribed again") == 1
    tagger.uninstall()
    RE(bp.count([det], 1))
    assert seen.of("stop")[-1]["num_events"] == {"primary": 1}


class CentresModel(CountsModel):
    """Keeps the beam centres that it is given."""

    def __init__(self):
        super().__init__()
        self.centres = []

    def predict(self, images, beam_centres=None, masks=None):
        self.centres += beam_centres or []
        return super().predict(images)


def test_metadata_of_the_start_is_known_all_the_same(RE, tag):
    model = CentresModel()
    tag(model=model, beam_centre=("x0", "y0"))
    RE.reset()
    RE.md.update(x0=7.0)
    RE(bp.count([ArrayDetector(numbered())], 1, md={"y0": 9.0}))
    assert model.centres == [(7.0, 9.0)]


def test_a_subscription_that_is_removed_during_a_run(RE, tag, caplog):
    """The event that nobody heard has no row, and it is said; the others have theirs."""
    tag()
    det = ArrayDetector(numbered())
    seen = DocumentsSeen()

    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        RE.dispatcher.unsubscribe_all()
        RE.subscribe(seen)
        for _ in range(3):
            yield from bps.trigger_and_read([det])

    RE(plan())
    assert seen.stop()["num_events"] == {"primary": 4, "tags": 3}
    assert "an event of run" in caplog.text


@WAITS
def test_preprocessors_handed_to_another_run_engine(RE, others, tag, wait, caplog):
    tagger = tag(wait=wait)
    other = others()
    other.preprocessors = RE.preprocessors
    seen = watch(other)
    for _ in range(2):
        other(bp.count([ArrayDetector(numbered())], 3))
    assert [stop["num_events"] for stop in seen.of("stop")] == [{"primary": 3, "tags": 3}] * 2
    assert caplog.text.count("call install(RE) for the new RunEngine") == 1
    assert tagger.frames == 6


def test_a_plan_without_reads_in_its_events_is_not_warned_of(RE, tag, caplog):
    tag()

    @bpp.run_decorator()
    def plan():
        yield from bps.create("primary")
        yield from bps.save()

    RE(plan())
    assert not caplog.records


def ours():
    return {thread for thread in threading.enumerate() if thread.name.startswith("xtag")}


def wait_until(condition, seconds=30):
    """Whether the condition comes true; after thousands of other tests, a collection takes a second."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        gc.collect()
        time.sleep(0.2)
    return condition()


@pytest.mark.timeout(60)
def test_a_tagger_that_nobody_holds_leaves_no_thread_and_no_memory():
    before = ours()
    tagger = Tagger(CountsModel())
    gone = weakref.ref(tagger)
    assert len(ours() - before) == 2
    del tagger
    assert wait_until(lambda: gone() is None and not ours() - before)


@pytest.mark.timeout(60)
def test_taggers_of_a_run_engine_that_was_replaced(others):
    before = ours()
    gone = []

    def session():
        RE = others()
        gone.append(weakref.ref(install(RE, model=CountsModel())))
        RE(bp.count([ArrayDetector(numbered())], 2))
        RE.reset()
        RE.preprocessors.clear()

    for _ in range(3):
        session()
    assert wait_until(lambda: not any(ref() for ref in gone) and not ours() - before)


# What is monitored


class Beam:
    """Puts images into a signal as fast as it can, until it is told to stop."""

    def __init__(self, *signals):
        self._signals = signals
        self._going = True
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        number = 0
        while self._going:
            number += 1
            for signal in self._signals:
                signal.put(np.full((32, 32), number % 1000))
            time.sleep(0.002)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *exception):
        self._going = False
        self._thread.join(10)


def image(name="image"):
    return Signal(name=name, value=np.ones((32, 32)))


def assert_every_monitored_frame_has_its_row(seen, streams):
    for stop in seen.of("stop"):
        counts = stop["num_events"]
        assert all(counts[stream] for stream in streams)
        assert counts["tags"] == sum(counts[stream] for stream in streams)


@WAITS
def test_every_monitored_image_has_its_row(RE, seen, tag, wait):
    tagger = tag(wait=wait, deadline=5)
    one, two, number = image("one"), image("two"), Signal(name="number", value=1.0)

    def plan():
        yield from bps.open_run()
        yield from bps.monitor(number, name="number")
        yield from bps.monitor(one, name="one")
        yield from bps.monitor(two, name="two")
        yield from bps.sleep(0.05)
        yield from bps.close_run()

    with Beam(one, two):
        for _ in range(4):
            RE(plan())
    assert_every_monitored_frame_has_its_row(seen, ("one", "two"))
    assert tagger.statistics.unwritten == 0


class SlowSignal(Signal):
    """Calls what is subscribed in a thread of its own, as layers of EPICS do, and is slow to be read when told so."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.is_slow, self.entered, self.unmonitored = False, threading.Event(), threading.Event()
        self._calls, self._wrapped = SimpleQueue(), {}
        threading.Thread(target=lambda: [call() for call in iter(self._calls.get, None)], daemon=True).start()

    def subscribe(self, callback, event_type=None, run=True):
        self._wrapped[callback] = lambda *args, **kwargs: self._calls.put(partial(callback, *args, **kwargs))
        return super().subscribe(self._wrapped[callback], event_type, run)

    def clear_sub(self, callback, event_type=None):
        super().clear_sub(self._wrapped.pop(callback), event_type)

    def read(self):
        if self.is_slow:
            self.entered.set()
            self.unmonitored.wait(5)
            time.sleep(0.5)
        return super().read()


@WAITS
def test_events_on_their_way_when_the_run_is_closed(RE, seen, tag, wait, monkeypatch):
    monkeypatch.setattr(preprocessor, "_LONGEST_FLIGHT", 8.0)  # however busy the machine is
    tag(wait=wait, deadline=5)
    signal = SlowSignal(name="slow", value=np.ones((32, 32)))
    RE.msg_hook = lambda msg: signal.unmonitored.set() if msg.command == "unmonitor" else None

    def plan():
        yield from bps.open_run()
        yield from bps.monitor(signal, name="camera")
        signal.is_slow = True
        signal.put(np.full((32, 32), 2))
        assert signal.entered.wait(5)
        yield from bps.close_run()

    RE(plan())
    assert seen.stop()["num_events"]["camera"] == 1
    assert_every_monitored_frame_has_its_row(seen, ("camera",))
    assert not signal._wrapped  # nothing of ours is left on the device
    signal._calls.put(None)


def test_monitors_that_the_plan_ends_itself(RE, seen, tag):
    tag(deadline=5)
    signal = image()
    with Beam(signal):
        RE(bpp.monitor_during_wrapper(bp.count([], 3, delay=0.02), [signal]))
    assert_every_monitored_frame_has_its_row(seen, ("image_monitor",))


@WAITS
def test_monitored_images_of_a_plan_that_fails(RE, seen, tag, wait):
    tag(wait=wait, deadline=5)
    signal = image()

    def plan():
        yield from bps.open_run()
        yield from bps.monitor(signal, name="camera")
        yield from bps.sleep(0.05)
        raise RuntimeError("enough")

    with Beam(signal), pytest.raises(RuntimeError, match="enough"):
        RE(plan())
    assert_every_monitored_frame_has_its_row(seen, ("camera",))


def test_monitors_without_images_go_on_to_the_end(RE, seen, tag):
    """What is not ours is left alone: the RunEngine ends it, as without us."""
    tag()
    messages = []
    RE.msg_hook = messages.append
    number = Signal(name="number", value=1.0)

    def plan():
        yield from bps.open_run()
        yield from bps.monitor(number, name="number")
        yield from bps.trigger_and_read([ArrayDetector(numbered())])
        yield from bps.close_run()

    RE(plan())
    assert "unmonitor" not in {msg.command for msg in messages}
    assert seen.stop()["num_events"]["tags"] == 1
