"""Bluesky's 0MQ proxy as a program of its own, and what a test sends to it and hears from it."""

import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from event_model import unpack_event_page

from bluesky_xtag.tagger import WireFormat, ZeroMQBus
from support.queue_server import free_port


@contextmanager
def running_proxy():
    """Run the proxy; yield its ports: where documents go in, and where they come out."""
    ports = free_port(), free_port()
    program = Path(sys.executable).parent / "bluesky-0MQ-proxy"
    proxy = subprocess.Popen([program, *map(str, ports)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield ports
    finally:
        proxy.terminate()
        proxy.wait(30)


def zeromq(ports, wire="msgpack", **options):
    """A place on the bus, which has not joined yet."""
    return ZeroMQBus(f"127.0.0.1:{ports[1]}", f"127.0.0.1:{ports[0]}", WireFormat.named(wire), **options)


class Heard:
    """What a listener on a bus heard, run by run."""

    def __init__(self, bus):
        self.bus = bus
        self.documents = []

    def listen(self, until, *others, seconds=60):
        """Listen, and let others do their part meanwhile, until something holds."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, f"it never came; heard {Counter(name for name, _ in self.documents)}"
            self.documents += self.bus.receive(0.02)
            for other in others:
                other()

    def derived(self, original):
        """The start documents of derived runs of a run."""
        return [doc for name, doc in self.documents if name == "start" and doc.get("original_run_uid") == original]

    def stop(self, run):
        """The stop document of a run, or None."""
        return next((doc for name, doc in self.documents if name == "stop" and doc["run_start"] == run), None)

    def rows(self, run):
        """The rows of a run by their numbers; the last one counts."""
        uids = [doc["uid"] for name, doc in self.documents if name == "descriptor" and doc["run_start"] == run]
        pages = [doc for name, doc in self.documents if name == "event_page" and doc["descriptor"] in uids]
        events = [event for page in pages for event in unpack_event_page(page)]
        rows = {event["seq_num"]: event["data"] for event in events}
        return [rows[number] for number in sorted(rows)]
