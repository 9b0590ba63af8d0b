"""A replay reads only below the roots that its user names; a run of others is refused as a whole."""

import bluesky.plans as bp
import pytest
from support.archives import opened
from support.detectors import FileDetector
from support.models import CountsModel
from typer.testing import CliRunner

from bluesky_xtag import XTagValueError
from bluesky_xtag.catalog import open_catalog, tiled_writer
from bluesky_xtag.cli import app
from bluesky_xtag.replay import replay


@pytest.fixture
def runs(request, RE, tmp_path):
    """A catalogue with two runs of files, below `one` and `two`."""
    store = opened(request, request.param)
    RE.subscribe(store.insert)
    uids = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        uids += RE(bp.count([FileDetector(tmp_path / name, name="files")], 3))
    return store, uids


@pytest.mark.parametrize("runs", ["tiled sqlite", "databroker.temp"], indirect=True)
def test_a_run_of_files_elsewhere_is_refused_and_the_others_are_replayed(runs, tmp_path, caplog):
    store, uids = runs
    work = {"model": CountsModel(), "work": tmp_path / "work"}
    found = replay(store.catalog, uids, roots=tmp_path / "two", **work)
    assert found["outcome"][0].startswith("failed: the documents name ") and f"{tmp_path}/one" in found["outcome"][0]
    assert found["outcome"][1] == "tagged" and found["ok"][1] == 3
    assert found["derived"][0] == ""
    again = replay(store.catalog, uids, roots=[tmp_path / "one", tmp_path / "two"], **work)
    assert list(again["outcome"]) == ["tagged", "tagged before"] and again["ok"][0] == 3


def test_the_command_takes_roots(RE, tmp_path):
    catalog = open_catalog(tmp_path / "catalog")
    RE.subscribe(tiled_writer(catalog))
    (tmp_path / "one").mkdir()
    (uid,) = RE(bp.count([FileDetector(tmp_path / "one", name="files")], 2))
    catalog.context.close()
    command = ["replay", str(tmp_path / "catalog"), "--runs", uid, "--work", str(tmp_path / "work")]
    refused = CliRunner().invoke(app, [*command, "--root", str(tmp_path / "catalog")])
    assert refused.exit_code == 1 and "not below the roots" in " ".join((refused.stdout + refused.stderr).split())
    assert CliRunner().invoke(app, [*command, "--root", str(tmp_path / "one")]).exit_code == 0


@pytest.mark.parametrize("runs", ["databroker.temp"], indirect=True)
def test_without_roots_nothing_changes(runs, tmp_path):
    store, uids = runs
    found = replay(store.catalog, uids, model=CountsModel(), work=tmp_path / "work")
    assert list(found["outcome"]) == ["tagged", "tagged"]
    with pytest.raises(XTagValueError, match="roots"):
        replay(store.catalog, uids, model=CountsModel(), roots=tmp_path / "nowhere")
