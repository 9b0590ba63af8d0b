"""Which of two models people's corrections prefer, in a real catalogue."""

import bluesky.plans as bp
import pytest
from support.detectors import ArrayDetector, numbered
from support.models import CountsModel
from support.retagged import tag_again
from typer.testing import CliRunner

from bluesky_xtag import NoTagsError, TagModel, XTagValueError
from bluesky_xtag.cli import app
from bluesky_xtag.review import correct, judge_models


class Other(CountsModel):
    name = "other"
    version = "2"
    sha256 = "1" * 64


def run_of(RE, tag, catalog, scores, **metadata):
    """A run of two frames with "ring" by the model beside the scan, tagged again with these scores of "ring"."""
    (uid,) = RE(bp.count([ArrayDetector(numbered())], 2), **metadata)
    tag_again(catalog, catalog[uid], Other(), lambda row: (0.0, scores[row["xtag_frame_seq_num"] - 1]))
    return catalog[uid]


@pytest.fixture(params=["databroker.temp"])
def catalog_of_its_own(request, RE):
    from support.archives import opened

    store = opened(request, request.param)
    RE.subscribe(store.insert)
    return store.catalog


def test_corrections_tell_as_soon_as_there_are_enough(RE, tag, catalog_of_its_own):
    catalog = catalog_of_its_own
    tag()
    with pytest.raises(NoTagsError, match="have corrected no frame that both models scored"):
        judge_models(catalog, "counts", "other")
    for number in range(8):
        run = run_of(RE, tag, catalog, (0.1, 0.9), sample=f"sample {number}")
        correct(run, 1, remove="ring", by="ab")  # the first model is wrong, the second is not
        correct(run, 2, add="ring", by="ab")  # confirmed: both are right
        found = judge_models(catalog, "counts", "other")
        assert (found.frames, found.sources) == (2 * (number + 1), number + 1)
        assert found.errors == (0.5, 0.0) and found.right == (number + 1, 2 * (number + 1))
        assert found.difference == -0.5
        if number < 5:
            assert found.better is None and found.more == 2 * (5 - number)
            assert "not enough corrections" in found.verdict()
    assert found.better == 1 and found.interval[1] < 0 and found.verdict() == "B is better"
    assert judge_models(catalog, "other", "counts").better == 0
    with pytest.raises(XTagValueError, match="both are the model other 2"):
        judge_models(catalog, "other", "1" * 64)


def test_frames_of_one_sample_count_as_one_source(RE, tag, catalog_of_its_own):
    catalog = catalog_of_its_own
    tag()
    for _ in range(8):
        run = run_of(RE, tag, catalog, (0.1, 0.9), sample="always the same")
        correct(run, [1], remove="ring", by="ab")
        correct(run, 2, add="ring", by="ab")
    found = judge_models(catalog, "counts", "other")
    assert (found.frames, found.sources, found.better) == (16, 1, None)


def test_whoever_corrects_only_what_is_wrong_is_told(RE, tag, catalog_of_its_own):
    catalog = catalog_of_its_own
    tag()
    for number in range(7):
        correct(run_of(RE, tag, catalog, (0.1, 0.9), sample=str(number)), 1, remove="ring", by="ab")
    found = judge_models(catalog, "counts", "other")
    assert found.better is None and found.interval[1] < 0
    assert "A is wrong on each of these frames" in found.verdict()


def test_the_command_prints_the_line_and_changes_nothing(RE, tag, tmp_path, monkeypatch):
    from bluesky_xtag.catalog import open_catalog, tiled_writer

    directory = tmp_path / "catalog"
    catalog = open_catalog(directory)
    RE.subscribe(tiled_writer(catalog))
    packaged = TagModel.load()
    mine = type("Mine", (Other,), {"name": packaged.name, "version": packaged.version, "sha256": packaged.sha256})
    tag()
    for number in range(7):
        (uid,) = RE(bp.count([ArrayDetector(numbered())], 2), sample=f"sample {number}")
        tag_again(catalog, catalog[uid], mine(), lambda row: (0.0, (0.1, 0.9)[row["xtag_frame_seq_num"] - 1]))
        correct(catalog[uid], 1, remove="ring", by="ab")
        correct(catalog[uid], 2, add="ring", by="ab")
    count = len(catalog)
    catalog.context.close()
    arguments = ["promote", str(directory), "--models", "own", packaged.name]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "14 corrected frames of 7 sources"
    assert lines[1].startswith("A: counts 1, sha256 000000000000: 0.50 errors a frame, 7 frames without an error")
    assert lines[-2:] == ["B is better", "install(RE)"]
    with_other = ["promote", str(directory), "--models", packaged.name, "own", "--model", str(tmp_path / "none")]
    assert CliRunner().invoke(app, with_other).exit_code == 1
    again = open_catalog(directory)
    assert len(again) == count
    again.context.close()
