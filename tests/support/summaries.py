"""A catalogue that a test can take away, and the documents of a tagged run, without a RunEngine."""

import threading

import httpx
from event_model import compose_run

from bluesky_xtag import Tagging
from bluesky_xtag.documents import FrameId
from bluesky_xtag.documents import columns as documents
from support.models import CountsModel

MODEL = CountsModel()
# The summary of a run of one frame without tags.
SUMMARY = {
    "model_sha256": "0" * 64,
    "source": "live",
    "derived": False,
    "frames": 1,
    "failed": 0,
    "count": {},
    "fraction": {},
    "max_p": {},
    "model": "m",
    "model_version": "1",
    "name": "xtag",
}


class Away(httpx.ConnectError):
    """What a client raises when its server is gone."""

    def __init__(self):
        super().__init__("no server")


class FakeRun:
    def __init__(self, uid, stop=True):
        self.uid, self.start, self.stop = uid, {"uid": uid}, {"exit_status": "success"} if stop else {}

    def update_start(self, changes):
        self.start |= changes


class FakeCatalog:
    """Runs by uid; `trouble` is raised by every call, `gate` holds every call up."""

    name = "fake"

    def __init__(self, *uids):
        self.held = {uid: FakeRun(uid) for uid in uids}
        self.trouble = None
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    def find(self, uid):
        self.calls += 1
        self.gate.wait(30)
        if self.trouble is not None:
            raise self.trouble
        return self.held[uid]

    def get(self, uid):
        try:
            return self.find(uid)
        except KeyError:
            return None

    def summaries(self):
        return {uid for uid, run in self.held.items() if "xtag" in run.start}


def one_run(insert, uid, rows=2, numbers=None):
    """Give the documents of a run with so many rows."""
    run = compose_run(uid=uid)
    insert("start", run.start_doc)
    config = documents.configuration("xtag", MODEL)
    stream = run.compose_descriptor(
        name="tags",
        data_keys=documents.data_keys("xtag", MODEL.taxonomy),
        object_keys={"xtag": []},
        configuration={"xtag": {"data": config, "timestamps": dict.fromkeys(config, 0.0), "data_keys": {}}},
        hints={},
        validate=False,
    ).descriptor_doc
    insert("descriptor", stream)
    for number in numbers or range(1, rows + 1):
        tagging = Tagging(FrameId(uid, "primary", "det", number, 0, "event"), "ok", (0.1, 0.9), ("ring",))
        row = documents.row("xtag", MODEL.taxonomy, tagging)
        insert("event", {"uid": str(number), "descriptor": stream["uid"], "seq_num": number, "data": row, "time": 0.0})
    insert("stop", run.compose_stop())
