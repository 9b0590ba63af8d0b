"""The live table never holds up the RunEngine and keeps no arrays, whatever its terminal does."""

import gc
import io
import os
import sys
import threading
import time
import weakref

import bluesky.plans as bp
import numpy as np
import pytest
from event_model import compose_run
from rich.console import Console
from support.detectors import ArrayDetector, numbered

from bluesky_xtag.view import LiveTags
from bluesky_xtag.view.background import Background
from bluesky_xtag.view.outlet import Outlet


class Stuck(io.StringIO):
    """A file whose `write` waits until it is released."""

    def __init__(self):
        super().__init__()
        self.released = threading.Event()

    def write(self, text):
        self.released.wait(60)
        return super().write(text)


class Pipe:
    """A pipe that nobody reads until `read` is called."""

    def __init__(self):
        self._reading, writing = os.pipe()
        self.file = open(writing, "w")  # noqa: SIM115

    def fill(self):
        os.set_blocking(self.file.fileno(), False)
        while True:
            try:
                os.write(self.file.fileno(), b"." * 4096)
            except BlockingIOError:
                break
        os.set_blocking(self.file.fileno(), True)

    def read(self):
        os.set_blocking(self._reading, False)
        text = b""
        try:
            while part := os.read(self._reading, 65536):
                text += part
        except BlockingIOError:
            return text.decode()
        return text.decode()

    def close(self):
        os.close(self._reading)
        self.file.close()


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    pipe.read()
    pipe.close()


def test_a_terminal_that_stands_still_does_not_stop_a_scan(RE, seen, tag):
    tag()
    file = Stuck()
    live = LiveTags(console=Console(file=file))
    RE.subscribe(live)
    for _ in range(3):
        RE(bp.count([ArrayDetector(numbered())], 10))
    assert [stop["num_events"]["tags"] for stop in seen.of("stop")] == [10, 10, 10]
    assert file.getvalue() == ""
    assert not live.flush(0.01)
    file.released.set()
    assert live.flush()
    assert file.getvalue().count(" ok ") == 30


def test_lines_that_a_full_pipe_does_not_take_are_counted(RE, tag, pipe):
    tag()
    pipe.fill()
    live = LiveTags(console=Console(file=pipe.file))
    RE.subscribe(live)
    RE(bp.count([ArrayDetector(numbered((600, 16, 16)), shape=(600, 16, 16))], 1))
    assert not live.flush(0.5)
    pipe.read()
    assert live.flush()
    lines = pipe.read().splitlines()
    left_out = next(line for line in lines if "left out" in line)
    assert left_out == f"({602 - 500} lines were left out: the terminal took no output)"
    assert lines[-1].startswith("600 frames: 600 ok")
    assert sum(" ok " in line for line in lines) == 499


def test_a_pipe_that_was_closed_ends_the_table_only(RE, seen, tag, caplog):
    tag()
    pipe = Pipe()
    live = LiveTags(console=Console(file=pipe.file))
    RE.subscribe(live)
    os.close(pipe._reading)
    RE(bp.count([ArrayDetector(numbered())], 3))
    live.flush()
    seen.assert_scan_went_well(3)
    assert "the live table cannot be written" in caplog.text
    with pytest.raises(BrokenPipeError):
        pipe.file.close()


def test_a_pipe_that_was_closed_leaves_the_stdout_of_the_session_alone(tmp_path, monkeypatch):
    pipe = Pipe()
    os.close(pipe._reading)
    console = Console(file=pipe.file)
    outlet = Outlet(console)
    with (tmp_path / "stdout").open("w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        outlet.print("a line")
        with pytest.raises(BrokenPipeError):
            outlet.write()
        stdout.write("the session goes on")
    assert (tmp_path / "stdout").read_text() == "the session goes on"
    assert "on_broken_pipe" not in vars(console), "the console is as it was"
    with pytest.raises(BrokenPipeError):
        pipe.file.close()


def refuse(self):
    raise RuntimeError("can't start new thread")


def test_no_more_threads(RE, seen, tag, monkeypatch, caplog):
    tag()
    RE.subscribe(LiveTags(console=Console(file=io.StringIO())))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    RE(bp.count([ArrayDetector(numbered())], 3))
    monkeypatch.undo()
    seen.assert_scan_went_well(3)
    assert caplog.text.count("no thread can be started for the live table") == 1


class Image(np.ndarray):
    """An array whose end a test can see, also where it is a scalar's neighbour."""


def images(value):
    """Documents of a run that has an array in every place."""
    run = compose_run(metadata={"motors": ["x"], "flat": value, "num_points": 3})
    yield "start", run.start_doc
    keys = {"x": {"dtype": "number", "shape": [], "source": ""}, "det": {"dtype": "array", "shape": [], "source": ""}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    yield "descriptor", stream.descriptor_doc
    for _ in range(3):
        yield (
            "event",
            stream.compose_event(
                data={"x": 1.0, "det": value}, timestamps={"x": 0, "det": 0}, filled={"det": True}, validate=False
            ),
        )
    page = {"data": {"x": [1.0, value], "det": [value, value]}, "timestamps": {"x": [0, 0], "det": [0, 0]}}
    yield (
        "event_page",
        page | {"descriptor": stream.descriptor_doc["uid"], "uid": ["a", "b"], "seq_num": [4, 5], "time": [0, 0]},
    )


def test_the_table_keeps_no_arrays():
    live = LiveTags(console=Console(file=io.StringIO()))

    def session():
        value = np.ones((32, 32)).view(Image)
        for name, doc in images(value):
            live(name, doc)
        return weakref.ref(value)

    gone = session()
    assert live.flush()
    gc.collect()
    assert gone() is None


def test_readings_of_events_that_get_no_row_are_bounded(monkeypatch):
    monkeypatch.setattr("bluesky_xtag.view.live._KEPT", 10)
    live = LiveTags(console=Console(file=io.StringIO()))
    run = compose_run()
    live("start", run.start_doc)
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"dtype": "number", "shape": [], "source": ""}})
    live("descriptor", stream.descriptor_doc)
    for number in range(50):
        live("event", stream.compose_event(data={"x": number}, timestamps={"x": 0.0}))
    assert live.flush()
    assert (len(live._table._readings), len(live._table._events)) == (10, 10)


def test_documents_that_wait_for_the_table_are_bounded(monkeypatch):
    monkeypatch.setattr("bluesky_xtag.view.live._WAITING", 10)
    entered, leave = threading.Event(), threading.Event()

    class Slow(io.StringIO):
        def write(self, text):
            entered.set()
            leave.wait(10)
            return super().write(text)

    live = LiveTags(console=Console(file=Slow()))
    live._background.put(("start", {"uid": "", "motors": (), "fields": (), "points": None}))
    live._table._outlet.print("a line")
    live._background.put(("stop", {"run_start": ""}))
    assert entered.wait(10)
    event = {"uid": "e", "descriptor": "nowhere", "seq_num": 1, "data": {"x": 1.0}}
    for _ in range(50):
        live("event", event)
    assert len(live._background._items) == 10
    leave.set()
    assert live.flush()


def test_a_table_that_nobody_holds_leaves_no_thread(RE, tag):
    tag()
    before = set(threading.enumerate())
    live = LiveTags(console=Console(file=io.StringIO()))
    token = RE.subscribe(live)
    RE(bp.count([ArrayDetector(numbered())], 3))
    assert live.flush()
    RE.unsubscribe(token)
    gone = weakref.ref(live)
    del live
    end = time.monotonic() + 9
    while time.monotonic() < end and (gone() or set(threading.enumerate()) - before):
        gc.collect()
        time.sleep(0.05)
    assert gone() is None
    assert not set(threading.enumerate()) - before


def test_a_stream_of_others_that_is_called_tags_is_left_alone():
    file = io.StringIO()
    live = LiveTags(console=Console(file=file))
    run = compose_run()
    live("start", run.start_doc)
    stream = run.compose_descriptor(name="tags", data_keys={"mood": {"dtype": "string", "shape": [], "source": ""}})
    live("descriptor", stream.descriptor_doc)
    live("event", stream.compose_event(data={"mood": "fine"}, timestamps={"mood": 0.0}))
    live("stop", run.compose_stop())
    assert live.flush()
    assert file.getvalue() == ""


def test_documents_that_make_no_sense_are_logged(caplog):
    live = LiveTags(console=Console(file=io.StringIO()))
    live("event", {})
    live("unheard of", {})
    assert "could not use a document (event)" in caplog.text


# The parts


def test_a_background_drops_what_is_too_much_but_never_what_must_be_handled():
    handled, begun, goes_on = [], threading.Event(), threading.Event()

    def handle(item):
        begun.set()
        goes_on.wait(10)
        handled.append(item)

    background = Background(handle, lambda: False, lambda: False, size=3)
    background.put(0)
    assert begun.wait(10)
    for item in range(1, 8):
        background.put(item, must=item == 7)
    goes_on.set()
    assert background.wait(10)
    assert handled == [0, 1, 2, 3, 7]
    assert (background.take_dropped(), background.take_dropped()) == (3, 0)


def test_a_background_goes_on_after_an_error_and_after_its_thread_has_ended(monkeypatch, caplog):
    monkeypatch.setattr("bluesky_xtag.view.background._IDLE", 0.01)
    handled = []

    def handle(item):
        handled.append(item)
        if item == 1:
            raise KeyError("whatever")

    background = Background(handle, lambda: False, lambda: False, size=3)
    for item in (1, 2):
        background.put(item)
    assert background.wait(10)
    background._thread and background._thread.join(10)
    background.put(3)
    assert background.wait(10)
    assert handled == [1, 2, 3]
    assert "whatever" in caplog.text


def test_an_outlet_keeps_the_order_of_lines_and_actions():
    console = Console(file=io.StringIO())
    outlet = Outlet(console)
    outlet.print("one")
    outlet.do(lambda: console.print("two"))
    outlet.print("three")
    assert outlet.waits
    outlet.write()
    assert not outlet.waits
    assert console.file.getvalue().split() == ["one", "two", "three"]
