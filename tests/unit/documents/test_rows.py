from event_model import compose_run

from bluesky_xtag import DEFAULT_TAXONOMY, Tagging
from bluesky_xtag.documents import FrameId, TagRows, data_keys, row

TAGS = DEFAULT_TAXONOMY.subset(["ring"])


class Heard(TagRows):
    def __init__(self):
        super().__init__()
        self.heard = []

    def begin(self, doc):
        self.heard.append(("begin", doc["uid"]))

    def declare(self, run, doc):
        self.heard.append(("declare", run))

    def add(self, run, number, data):
        self.heard.append((run, number, data["xtag_status"]))

    def end(self, run):
        self.heard.append(("end", run))


def values(number, status="ok"):
    return row("xtag", TAGS, Tagging(FrameId("", "", "det", number, 0), status))


class Run:
    def __init__(self, listener):
        self.run = compose_run()
        self.uid = self.run.start_doc["uid"]
        self.listener = listener
        listener("start", self.run.start_doc)

    def stream(self, name="tags"):
        keys = data_keys("xtag", TAGS)
        stream = self.run.compose_descriptor(name=name, data_keys=keys, object_keys={"xtag": list(keys)})
        self.listener("descriptor", stream.descriptor_doc)
        return stream

    def event(self, stream, number, status="ok"):
        data = values(number, status)
        self.listener("event", stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), seq_num=number))

    def page(self, stream, numbers):
        rows = [values(number) for number in numbers]
        data = {column: [each[column] for each in rows] for column in rows[0]}
        times = {column: [0.0] * len(rows) for column in data}
        self.listener("event_page", stream.compose_event_page(data=data, timestamps=times, seq_num=list(numbers)))

    def close(self):
        self.listener("stop", self.run.compose_stop())


def test_rows_of_interleaved_runs_are_told_apart():
    heard = Heard()
    one, two = Run(heard), Run(heard)
    first, second = one.stream(), two.stream()
    one.event(first, 1)
    two.event(second, 1, "late")
    one.close()
    two.event(second, 2)
    two.close()
    assert heard.heard == [
        ("begin", one.uid),
        ("begin", two.uid),
        ("declare", one.uid),
        ("declare", two.uid),
        (one.uid, 1, "ok"),
        (two.uid, 1, "late"),
        ("end", one.uid),
        (two.uid, 2, "ok"),
        ("end", two.uid),
    ]
    assert not heard._tagged


def test_pages_and_points_that_are_taken_again_come_row_by_row():
    heard = Heard()
    run = Run(heard)
    stream = run.stream()
    run.page(stream, range(1, 4))
    run.event(stream, 3, "failed")
    assert heard.heard[2:] == [
        (run.uid, 1, "ok"),
        (run.uid, 2, "ok"),
        (run.uid, 3, "ok"),
        (run.uid, 3, "failed"),
    ]


def test_other_streams_are_left_alone():
    heard = Heard()
    run = Run(heard)
    stream = run.stream("primary")
    run.event(stream, 1)
    run.page(stream, [2])
    assert heard.heard == [("begin", run.uid)]
