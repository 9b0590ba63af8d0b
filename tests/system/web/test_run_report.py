"""The report of a run: one file, true, and safe whatever names are in it."""

import re
import subprocess
import sys
from html import escape

import bluesky.plans as bp
import pytest
from ophyd.sim import SynAxis, motor1, motor2
from support.cameras import Camera, GradedModel, flat
from support.detectors import ArrayDetector, numbered
from support.models import RaisingModel

from bluesky_xtag.errors import NoTagsError
from bluesky_xtag.plans import tag_adaptive_scan
from bluesky_xtag.review import correct
from bluesky_xtag.web import write_report

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def det():
    return ArrayDetector(numbered())


def text_of(path):
    return path.read_text("utf-8")


def test_the_map_the_tags_and_pictures_are_in_the_file(RE, catalog, tag, det, tmp_path):
    tag(deadline=60.0, model=RaisingModel(on=[2]))
    (uid,) = RE(bp.grid_scan([det], motor1, 0, 1, 2, motor2, 0, 2, 3, snake_axes=True, md={"sample": "gold"}))
    correct(catalog[uid], 4, add=["empty"], by="ab")
    path = write_report(catalog[uid], tmp_path / "report.html")
    report = text_of(path)
    titles = re.findall(r"<title>(Point [^<]*)</title>", report)
    assert titles[:3] == [
        "Point 1 at motor1 0, motor2 0: ring",
        "Point 2 at motor1 0, motor2 1: failed",
        "Point 3 at motor1 0, motor2 2: ring",
    ]
    assert titles[3].endswith("(corrected by ab)") and "empty" in titles[3]
    assert "<td>ring</td>" in report and ">gold<" in report and "<td>failed</td>" in report
    assert report.count("data:image/webp;base64,") == 2  # of each tag one
    assert len(re.findall(r'fill="url\(#none\)"', report)) == 1  # the place without tags


def test_decisions_are_told_with_their_reasons(RE, seen, catalog, tag, tmp_path):
    axis = SynAxis(name="axis")
    tagger = tag(deadline=60.0, model=GradedModel())
    camera = Camera(lambda seconds: flat(900 if axis.position < 4 else 200))
    (uid,) = RE(tag_adaptive_scan([camera], tagger, "boundary", axis, 0, 10, tag="ring", max_points=5))
    report = text_of(write_report(catalog[uid], tmp_path / "report.html"))
    assert "<h2>Decisions</h2>" in report and report.count("<td>move</td>") == 5
    for event in seen.events("decisions", uid):
        assert f"<td>{escape(event['data']['decision_reason'])}</td>" in report


def test_names_are_text_and_nothing_is_loaded(RE, catalog, tag, det, tmp_path):
    tag(deadline=60.0)
    strange = SynAxis(name="m<b>&")
    (uid,) = RE(bp.scan([det], strange, 0, 1, 2, md={"sample": HOSTILE, "plan_name": HOSTILE}))
    report = text_of(write_report(catalog[uid], tmp_path / "report.html"))
    assert "<script" not in report and "&lt;script&gt;" in report and "m<b>" not in report
    assert "://" not in report and "default-src 'none'" in report
    assert re.findall(r'\b(?:src|href)="(?!data:)', report) == []


def test_a_run_without_tags_has_no_report(RE, catalog, det, tmp_path):
    (uid,) = RE(bp.count([det], 1))
    with pytest.raises(NoTagsError):
        write_report(catalog[uid], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_count_and_many_frames_are_drawn_in_the_order_of_time(RE, catalog, tag, det, tmp_path):
    tag(deadline=60.0)
    (uid,) = RE(bp.count([det], 700))
    report = text_of(write_report(catalog[uid], tmp_path / "report.html"))
    assert "frame, in the order of time" in report and report.count("<title>Point") == 700


def test_the_command_writes_the_report_of_the_newest_run(RE, tag, det, tmp_path):
    from bluesky_xtag.catalog import open_catalog, tiled_writer

    place = tmp_path / "catalog"
    client = open_catalog(place)
    RE.subscribe(tiled_writer(client))
    tag(deadline=60.0)
    RE(bp.count([det], 1))
    RE(bp.count([det], 2, md={"sample": "the last one"}))
    client.context.close()
    code = "from bluesky_xtag.cli import app; app(prog_name='xtag')"
    command = [sys.executable, "-W", "ignore", "-c", code, "report", str(place)]
    out = tmp_path / "report.html"
    done = subprocess.run([*command, str(out)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out) and "the last one" in text_of(out)
    done = subprocess.run([*command, str(tmp_path / "missing" / "x.html")], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "there is no directory" in done.stderr
    done = subprocess.run([*command, str(out), "--run", "zzz999"], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "Traceback" not in done.stderr
