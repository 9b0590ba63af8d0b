import io
import logging
import re

import pytest
from event_model import compose_run, pack_event_page
from rich.console import Console

from bluesky_xtag import DEFAULT_TAXONOMY
from bluesky_xtag.documents import FrameId, Tagging, data_keys, row
from bluesky_xtag.view import Labels, LiveTags
from bluesky_xtag.view.lines import Lines

TAXONOMY = DEFAULT_TAXONOMY.subset(["beamstop", "halo", "ring", "spots"])
NUMBER = {"dtype": "number", "shape": [], "source": "test"}


class Run:
    """The documents of a run whose frames get these scores, or a status; None stands for one that came too late."""

    def __init__(self, *scores, points=None, name="xtag", paged=False, motors=("x",)):
        run = compose_run(metadata={"motors": list(motors)} | ({"num_points": points} if points else {}))
        self.documents = [("start", run.start_doc)]
        primary = self.stream(run, "primary", dict.fromkeys(motors, NUMBER))
        tags = self.stream(run, "tags", data_keys(name, TAXONOMY)) if scores else None
        for number, of in enumerate(scores, start=1):
            data, timestamps = dict.fromkeys(motors, 0.5 * number), dict.fromkeys(motors, 0.0)
            event = primary.compose_event(data=data, timestamps=timestamps)
            status = "late" if of is None else of if isinstance(of, str) else "ok"
            more = {"scores": of, "tags": TAXONOMY.accepted(of, [0.5] * 4), "latency": 0.031} if status == "ok" else {}
            tagging = Tagging(FrameId("", "", "image", number, 0, event["uid"]), status, **more)
            data = row(name, TAXONOMY, tagging)
            tagged = tags.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0))
            self.documents += [("event", event)]
            self.documents += [("event_page", pack_event_page(tagged))] if paged else [("event", tagged)]
        self.documents.append(("stop", run.compose_stop()))

    def stream(self, run, name, keys):
        bundle = run.compose_descriptor(name=name, data_keys=keys)
        self.documents.append(("descriptor", bundle.descriptor_doc))
        return bundle


def shown(*runs, labels=None, progress=False, **console):
    """What a table shows of runs whose documents come in turn."""
    file = io.StringIO()
    live = LiveTags(labels=labels, progress=progress, console=Console(file=file, highlight=False, **console))
    for documents in zip(*(run.documents for run in runs), strict=True):
        for name, doc in documents:
            live(name, doc)
    assert live.flush()
    return file.getvalue()


def test_each_frame_has_its_line():
    lines = shown(Run((0.9, 0.1, 0.7, 0.3), (0.9, 0.8, 0.2, 0.1))).splitlines()
    heading, first, second, summary = lines
    assert heading.split()[:3] == ["#", "x", "tags"]
    assert first.split() == ["1", "0.500", "▆", "ring", "▃", "spots", "█", "beamstop", "ok", "31", "ms"]
    assert second.split()[:5] == ["2", "1.000", "▇", "halo", "▂"]
    assert summary == "2 frames: 2 ok; median latency 31 ms"


def test_a_frame_without_scores_shows_its_status():
    assert shown(Run(None)).splitlines()[1].split() == ["1", "0.500", "late"]


def test_agreement_with_labels_is_marked():
    known = Labels("powder", frozenset({"ring", "halo"}), frozenset({"spots"}))
    line = shown(Run((0.0, 0.1, 0.9, 0.8)), labels=lambda data: known).splitlines()[1]
    assert "powder" in line
    assert "ring✓" in line
    assert "spots✗" in line
    assert "halo missed" in line


def test_labels_are_asked_with_the_data_of_the_frame():
    asked = []
    shown(Run((0, 0, 0, 0), (0, 0, 0, 0)), labels=lambda data: asked.append(data["x"]))
    assert asked == [0.5, 1.0]


def test_rows_may_come_in_pages_and_under_another_name():
    text = shown(Run((0.9, 0.1, 0.7, 0.3), name="other", paged=True))
    assert text.splitlines()[1].split()[2:4] == ["▆", "ring"]


def test_a_long_page_shows_its_end_and_counts_all():
    run = Run((0, 0, 1, 0))
    name, page = run.documents[-2]
    assert name == "event"
    count = 500
    many = {
        **page,
        **{part: {key: [value] * count for key, value in page[part].items()} for part in ("data", "timestamps")},
        **{part: [page[part]] * count for part in ("uid", "time", "seq_num")},
        "filled": {},
    }
    many["data"]["xtag_frame_index"] = list(range(count))
    run.documents[-2] = ("event_page", many)
    lines = shown(run).splitlines()
    assert len(lines) == 22
    assert lines[1].split()[0] == "481"
    assert lines[-1].startswith("500 frames: 500 ok")


def test_a_frame_that_was_taken_again_keeps_its_number():
    run = Run((0, 0, 1, 0), None)
    *start, first, tagged, second, late, stop = run.documents
    run.documents = [*start, first, tagged, second, late, second, late, stop]
    lines = shown(run).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "2"]
    assert lines[-1].startswith("2 frames: 1 ok, 1 late")


def test_interleaved_runs_are_counted_apart():
    text = shown(Run((0, 0, 1, 0), (0, 0, 1, 0)), Run((0, 1, 0, 0), None))
    assert "2 frames: 2 ok;" in text
    assert "2 frames: 1 ok, 1 late;" in text


def test_a_run_without_tags_shows_nothing():
    assert shown(Run()) == ""


@pytest.mark.parametrize("motors", [["x"], ["x", "other", "third"]])
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("width", [40, 60, 80, 100, 150])
def test_lines_fit_the_terminal_with_number_tags_and_status(width, labelled, motors):
    terminal = {"width": width, "force_terminal": True, "color_system": None}
    labels = (lambda data: Labels("powder 17")) if labelled else None
    text = shown(Run((0.9, 0.9, 0.9, 0.1), "unreadable", "dropped", motors=motors), labels=labels, **terminal)
    heading, first, *others, summary = text.splitlines()
    assert max(map(len, (heading, first, *others))) <= width
    assert heading.split()[0] == "#" and " tags" in heading and " status" in heading
    assert re.match(r" +1 .*█ ring .* ok\b", first)
    assert [line.split()[0] for line in others] == ["2", "3"]
    assert [line.split()[-1] for line in others] == ["unreadable", "dropped"]
    needed = 80 + 20 * labelled + 20 * (len(motors) > 1)
    assert heading.endswith(" latency") == first.endswith(" 31 ms") == (width >= needed)


def test_what_is_left_out_first_on_a_narrow_terminal():
    def columns(width, labelled=True):
        heading = Lines(Console(width=width, force_terminal=True), ["x", "y"], labelled).heading().plain
        return [name for name in ("x", "y", "known", "tags", "status", "latency") if f" {name} " in f" {heading} "]

    assert columns(100) == ["x", "y", "known", "tags", "status", "latency"]
    assert columns(90) == ["x", "y", "known", "tags", "status"]
    assert columns(80) == ["x", "y", "tags", "status"]
    assert columns(80, labelled=False) == ["x", "y", "tags", "status", "latency"]
    assert columns(60) == ["x", "tags", "status"]
    assert columns(50) == ["tags", "status"]


def test_a_number_of_many_digits_is_whole():
    lines = Lines(Console(width=80, force_terminal=True), ["x"], labelled=False)
    line = lines.frame(123_456, {"x": 1.0}, {"status": "ok", "tags": "", "latency": 0.01}, None).plain
    assert line.startswith("123456    1.000 ") and line.endswith(" ok         10 ms") and len(line) <= 80


def test_plain_ascii_does_where_nothing_else_can_be_written():
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    live = LiveTags(console=Console(file=file, highlight=False), labels=lambda data: Labels("", frozenset({"ring"})))
    for name, doc in Run((0.9, 0.1, 0.7, 0.3)).documents:
        live(name, doc)
    assert live.flush()
    file.flush()
    assert "ring+" in file.buffer.getvalue().decode()


def test_a_progress_bar_stands_on_a_terminal_only():
    run = Run((0, 0, 1, 0), (0, 0, 1, 0), points=2)
    assert "2/2" in shown(run, progress=True, width=80, force_terminal=True, color_system=None)
    assert "2/2" not in shown(run, progress=True)


def test_an_error_ends_the_table_but_never_the_scan(caplog):
    def labels(data):
        raise KeyError("y")

    with caplog.at_level(logging.ERROR, "bluesky_xtag"):
        text = shown(Run((0, 0, 1, 0), (0, 0, 1, 0)), labels=labels)
    assert len(text.splitlines()) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the live table stops at this event document; the scan goes on"
    ]
