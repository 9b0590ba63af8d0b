import io
import logging

import pytest
from event_model import compose_run, pack_event_page
from rich.console import Console

from bluesky_xtag import DEFAULT_TAXONOMY
from bluesky_xtag.documents import FrameId, Tagging, data_keys, row
from bluesky_xtag.view import Labels, LiveTags

TAXONOMY = DEFAULT_TAXONOMY.subset(["beamstop", "halo", "ring", "spots"])
NUMBER = {"dtype": "number", "shape": [], "source": "test"}


class Run:
    """The documents of a run whose frames get these scores; None stands for a frame that came too late."""

    def __init__(self, *scores, points=None, name="xtag", paged=False):
        run = compose_run(metadata={"motors": ["x"]} | ({"num_points": points} if points else {}))
        self.documents = [("start", run.start_doc)]
        primary = self.stream(run, "primary", {"x": NUMBER})
        tags = self.stream(run, "tags", data_keys(name, TAXONOMY)) if scores else None
        for number, of in enumerate(scores, start=1):
            event = primary.compose_event(data={"x": 0.5 * number}, timestamps={"x": 0.0})
            accepted = TAXONOMY.accepted(of or (0, 0, 0, 0), [0.5] * 4)
            more = {"scores": of, "tags": accepted, "latency": 0.031} if of else {}
            tagging = Tagging(FrameId("", "", "image", number, 0, event["uid"]), "ok" if of else "late", **more)
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


@pytest.mark.parametrize("width", [60, 100, 160])
def test_lines_fit_the_terminal(width):
    text = shown(Run((0.9, 0.9, 0.9, 0.9)), width=width, force_terminal=True, color_system=None)
    assert max(map(len, text.splitlines())) <= width


def test_plain_ascii_does_where_nothing_else_can_be_written():
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    live = LiveTags(console=Console(file=file, highlight=False), labels=lambda data: Labels("", frozenset({"ring"})))
    for name, doc in Run((0.9, 0.1, 0.7, 0.3)).documents:
        live(name, doc)
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
