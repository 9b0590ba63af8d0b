"""Bluesky's 0MQ bus: rows travel on it, and a tagger at its other end says that its own go nowhere."""

import pickle
import threading
import time

import bluesky.plans as bp
import pytest
from bluesky.callbacks.zmq import Publisher, RemoteDispatcher
from support.buses import running_proxy
from support.cameras import Camera, flat
from support.models import CountsModel

from bluesky_xtag import Tagger


@pytest.fixture
def bus():
    """The ports of a running proxy: where documents go in, and where they come out."""
    with running_proxy() as ports:
        yield ports


@pytest.fixture
def listen(bus):
    """Let callbacks hear what comes out of the bus, in a thread of their own."""
    dispatcher = RemoteDispatcher(f"127.0.0.1:{bus[1]}", deserializer=pickle.loads)
    thread = threading.Thread(target=_serve, args=[dispatcher])

    def listen(*callbacks):
        for callback in callbacks:
            dispatcher.subscribe(callback)
        thread.start()

    yield listen
    dispatcher.loop.call_soon_threadsafe(dispatcher._task.cancel)
    thread.join(30)


def _serve(dispatcher):
    try:
        dispatcher.start()
    except BaseException:  # asyncio's, when it is cancelled
        pass


def is_whole(heard):
    """Tell whether a run was heard from its first document to its last."""
    names = [name for name, _ in heard]
    return bool(names) and (names[0], names[-1]) == ("start", "stop") and names.count("start") == 1


def test_rows_travel_on_the_bus_and_a_tagger_at_its_end_says_that_its_own_do_not(RE, tag, bus, listen, caplog):
    far, heard = Tagger(CountsModel(), name="far"), []
    listen(lambda name, doc: heard.append((name, doc)), far)
    publisher = Publisher(f"127.0.0.1:{bus[0]}")
    RE.subscribe(publisher)
    tag()
    end = time.monotonic() + 60
    while not is_whole(heard):  # 0MQ drops what is sent before the listener has joined
        assert time.monotonic() < end
        heard.clear()
        RE(bp.count([Camera(lambda seconds: flat(500))], 3))
        time.sleep(0.3)
    streams = {doc["uid"]: doc["name"] for name, doc in heard if name == "descriptor"}
    names = [streams[doc["descriptor"]] for name, doc in heard if name == "event"]
    assert names.count("tags") == names.count("primary") == 3
    assert "far hears of run" in caplog.text and "rows are emitted nowhere" in caplog.text
    assert caplog.text.count("emitted nowhere") == 1
    publisher.close()
    far.uninstall()
