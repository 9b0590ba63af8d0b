"""What a RunEngine emitted, validated, and how frames and rows stand to each other in it."""

from collections import Counter

import event_model
from event_model import DocumentNames, schema_validators

IMAGE_FREE = ("tags", "baseline", "dark")


class DocumentsSeen:
    """Validates and keeps every document."""

    def __init__(self):
        self.documents = []

    def __call__(self, name, doc):
        schema_validators[DocumentNames[name]].validate(dict(doc))
        self.documents.append((name, doc))

    def names(self):
        return [name for name, _ in self.documents]

    def of(self, kind):
        return [doc for name, doc in self.documents if name == kind]

    def start(self):
        (start,) = self.of("start")
        return start

    def stop(self, run=None):
        (stop,) = [stop for stop in self.of("stop") if run in (None, stop["run_start"])]
        return stop

    def descriptors(self, stream, run=None):
        return [doc for doc in self.of("descriptor") if doc["name"] == stream and run in (None, doc["run_start"])]

    def events(self, stream, run=None):
        """The events of a stream as they stand in the end: where a number came again, the last one."""
        uids = {doc["uid"] for doc in self.descriptors(stream, run)}
        events = {}
        for name, doc in self.documents:
            if name == "event_page":
                unpacked = list(event_model.unpack_event_page(doc))
            else:
                unpacked = [doc] if name == "event" else []
            for event in unpacked:
                if event["descriptor"] in uids:
                    events[event["descriptor"], event["seq_num"]] = event
        return [events[key] for key in sorted(events, key=lambda key: key[1])]

    def rows(self, run=None):
        """The rows of the stream "tags" as dictionaries, without the tagger's name in their keys."""
        return [
            {key.removeprefix("xtag_"): value for key, value in event["data"].items()}
            for event in self.events("tags", run)
        ]

    def statuses(self, run=None):
        return Counter(row["status"] for row in self.rows(run))

    def order(self):
        """The stream names of the events, in the order in which they came."""
        streams = {doc["uid"]: doc["name"] for doc in self.of("descriptor")}
        return [streams[doc["descriptor"]] for name, doc in self.documents if name in ("event", "event_page")]

    def assert_every_frame_has_its_row(self, stream="primary", run=None):
        """One row for every event of `stream` (one image each), in order, and counted in the stop document."""
        frames = [(event["uid"], event["seq_num"]) for event in self.events(stream, run)]
        rows = [(row["frame_event"], row["frame_seq_num"]) for row in self.rows(run)]
        assert rows == frames
        assert self.stop(run)["num_events"].get("tags", 0) == len(rows)

    def assert_scan_went_well(self, points, run=None):
        """The run ended as it would have without us, and each of its points has its row."""
        assert self.stop(run)["exit_status"] == "success"
        assert self.stop(run)["num_events"] == {"primary": points, "tags": points}
        self.assert_every_frame_has_its_row(run=run)
