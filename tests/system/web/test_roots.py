"""Whoever looks at stored runs of others reads only below the roots that are named: page, report, pictures, labels."""

import sys

import bluesky.plans as bp
import h5py
import pytest
import uvicorn
from support.archives import record, replayed
from support.detectors import FileDetector
from support.models import CountsModel, GradedModel
from support.pages import client, read_all, served
from support.retagged import tag_again
from typer.testing import CliRunner

from bluesky_xtag import XTagValueError
from bluesky_xtag.catalog import open_catalog, read_pixels, tiled_writer
from bluesky_xtag.cli import app
from bluesky_xtag.review import compare, correct, draw_disputed, draw_review, export_labels, review
from bluesky_xtag.web import PageServer, write_report


@pytest.fixture
def runs(RE, catalog, tag, tmp_path):
    """Two tagged runs of files, below `ours` and `theirs`."""
    tag(deadline=60.0, model=CountsModel())
    uids = []
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        uids += RE(bp.count([FileDetector(tmp_path / name, name="files")], 2))
    return uids


def test_labels_of_files_elsewhere_are_not_exported(runs, catalog, tmp_path):
    for uid in runs:
        correct(catalog[uid], 1, add="ring", by="ab")
    done = export_labels(catalog, tmp_path / "labels.h5", runs, roots=tmp_path / "ours")
    (reason,) = done.unreadable.values()
    assert done.frames == 1 and "not below the roots" in reason and f"{tmp_path}/theirs" in reason
    with h5py.File(tmp_path / "labels.h5") as file:
        assert [name.partition("_")[0] for name in file] == [runs[0]]
    with pytest.raises(XTagValueError, match="none of the 1 corrected frames can be read"):
        export_labels(catalog, tmp_path / "none.h5", runs[1], roots=[tmp_path / "ours"])
    assert not (tmp_path / "none.h5").exists()
    assert export_labels(catalog, tmp_path / "all.h5", runs).frames == 2


def test_pictures_of_files_elsewhere_are_not_drawn(runs, catalog, tmp_path, monkeypatch):
    for uid in runs:
        tag_again(catalog, catalog[uid], GradedModel(), lambda row: (0.9, 0.1))
    proposed, disputed = review(catalog, 4, last=2), compare(catalog, "counts", "graded", last=2)
    assert set(proposed["run"]) == set(disputed.frames["run"]) == set(runs)
    read = {}

    def read_and_note(catalog, frames, *roots):
        images = read_pixels(catalog, frames, *roots)
        read.update(zip(frames["run"], images, strict=True))
        return images

    for draw, shown in ((draw_review, proposed), (draw_disputed, disputed)):
        monkeypatch.setattr(sys.modules[draw.__module__], "read_pixels", read_and_note)
        draw(catalog, shown, tmp_path / "picture.png", roots=tmp_path / "ours")
        assert read[runs[0]] is not None and read[runs[1]] is None
        draw(catalog, shown, tmp_path / "picture.png")
        assert read[runs[1]] is not None
    with pytest.raises(XTagValueError, match="is not a directory"):
        draw_review(catalog, proposed, tmp_path / "other.png", roots=tmp_path / "nowhere")


def test_a_report_shows_no_files_elsewhere(runs, catalog, tmp_path):
    for uid, pictures in zip(runs, (1, 0), strict=True):
        report = write_report(catalog[uid], tmp_path / "report.html", roots=tmp_path / "ours").read_text("utf-8")
        assert (report.count("data:image/webp;base64,") > 0) == pictures
        assert ("The pixels cannot be read" in report) != pictures


def test_the_page_shows_no_files_elsewhere(runs, catalog, tmp_path):
    with served(catalog, tmp_path / "kept", roots=tmp_path / "ours") as server, client(server) as browser:
        read_all(browser, 4)
        ours, theirs = (
            [browser.get(f"{path}").status_code for path in (f"/thumbnails/{uid}/0", f"/api/frames/{uid}/0/pixels")]
            for uid in runs
        )
        assert ours == [200, 200] and 200 not in theirs
        assert "not below the roots" in browser.get(f"/api/frames/{runs[1]}/0/pixels").text
    with pytest.raises(XTagValueError, match="is not a directory"):
        PageServer(catalog, tmp_path / "kept", roots=tmp_path / "nowhere")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The directory of a catalogue with a run that two models tagged, and that a person corrected."""
    place = tmp_path_factory.mktemp("kept")
    catalog = open_catalog(place)
    (uid,) = record(tiled_writer(catalog), [10, 45, 95])
    replayed(tiled_writer(catalog), uid, [10, 95, 95])
    correct(catalog[uid], 1, add="ring", by="ab")
    catalog.context.close()
    return place


@pytest.mark.parametrize(
    ("command", "made"),
    [
        (["export-labels", "labels.h5"], "labels.h5"),
        (["review", "--picture", "review.png"], "review.png"),
        (["compare", "--models", "graded 1.0", "graded 2.0", "--picture", "compared.png"], "compared.png"),
        (["report", "report.html"], "report.html"),
        (["web", "--no-browser"], None),
    ],
)
def test_the_commands_take_roots(kept, tmp_path, monkeypatch, command, made):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: [each.close() for each in sockets])
    name, *rest = command
    refused = CliRunner().invoke(app, [name, str(kept), *rest, "--root", "nowhere"])
    assert refused.exit_code == 2 and "'nowhere' is not a directory" in " ".join(refused.output.split())
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(app, [name, str(kept), *rest, "--root", str(tmp_path), "--root", str(kept)])
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ([made] if made else [])
