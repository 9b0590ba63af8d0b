"""A replay that was ended by whatever is finished by the same call: no frame is lost, none is tagged twice."""

import os
import resource
import signal
import subprocess
import sys

import bluesky.plans as bp
import h5py
import numpy as np
import pandas as pd
import pytest
from bluesky_tiled_plugins import TiledWriter
from support.detectors import DATASET
from support.frames_fixtures import Hdf5Detector
from support.models import CountsModel
from support.places import ROOT

from bluesky_xtag import Tagging, XTagError
from bluesky_xtag.catalog import as_catalog, as_run, open_any
from bluesky_xtag.documents import FrameId
from bluesky_xtag.errors import CatalogError
from bluesky_xtag.replay import replay, tag_files
from bluesky_xtag.replay.journal import Journal
from bluesky_xtag.search import tags
from bluesky_xtag.search.tagged_runs import derived_runs

FRAMES = 50
PLACE = ["xtag_frame_key", "xtag_frame_seq_num", "xtag_frame_index"]


@pytest.fixture
def catalog(tiled_server, monkeypatch):
    """A client of the server, which does not try again for long."""
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 2)
    client = open_any(tiled_server.uri("sqlite"), tiled_server.key)
    yield client
    client.context.close()


@pytest.fixture
def run(RE, catalog, tmp_path):
    """A stored run of FRAMES frames in one file."""
    RE.subscribe(TiledWriter(catalog))
    (uid,) = RE(bp.count([Hdf5Detector(tmp_path, name="hd", per_point=2)], FRAMES // 2))
    return catalog[uid]


def killed(*arguments):
    """Run dying.py until it has killed itself."""
    command = [sys.executable, ROOT / "tests" / "support" / "dying.py", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == -signal.SIGKILL, done.stderr + done.stdout


def assert_complete(run, catalog):
    """One derived run, with a row for each frame."""
    assert len(derived_runs(as_run(run), as_catalog(catalog), source="replay")) == 1
    table = tags(run, catalog=catalog)
    expected = [("hd_image", number, index) for number in range(1, FRAMES // 2 + 1) for index in (0, 1)]
    assert list(table[PLACE].itertuples(index=False, name=None)) == expected
    assert set(table["xtag_status"]) == {"ok"}


@pytest.mark.parametrize("moment", [("frame", 20), ("documents", 0), ("documents", 2), ("documents", 3)], ids=str)
def test_killed_at_any_moment(run, catalog, tiled_server, tmp_path, moment):
    work = tmp_path / "work"
    killed(*moment, tiled_server.uri("sqlite"), tiled_server.key, run.start["uid"], work)
    assert derived_runs(as_run(run), as_catalog(catalog)) == []
    (journal,) = work.iterdir()
    done = len(journal.read_bytes().splitlines()) - 1
    assert done == (16 if moment[0] == "frame" else FRAMES)
    model = CountsModel()
    (outcome,) = replay(catalog, run.start["uid"], model=model, work=work)["outcome"]
    assert outcome == "tagged" and model.seen == FRAMES - done
    assert_complete(run, catalog)
    assert not list(work.iterdir())


def test_the_server_is_killed_and_started_again(run, catalog, tiled_server, tmp_path):
    def watch(uid, done, total):
        tiled_server.kill()

    with pytest.raises(CatalogError, match="cannot be reached"):
        replay(catalog, run.start["uid"], model=CountsModel(), work=tmp_path / "work", watch=watch)
    tiled_server.start()
    model = CountsModel()
    replay(catalog, run.start["uid"], model=model, work=tmp_path / "work")
    assert model.seen == 0  # all were in the journal
    assert_complete(run, catalog)


def test_the_servers_disk_is_full(run, catalog, tiled_server, tmp_path):
    with tiled_server.full_disk(), pytest.raises(CatalogError, match="no part of it"):
        replay(catalog, run.start["uid"], model=CountsModel(), work=tmp_path / "work")
    assert derived_runs(as_run(run), as_catalog(catalog)) == []
    replay(catalog, run.start["uid"], model=CountsModel(), work=tmp_path / "work")
    assert_complete(run, catalog)


def test_our_own_disk_is_full(run, catalog, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(XTagError, match="journal .* cannot be written .*make room"):
            replay(catalog, run.start["uid"], model=CountsModel(), work=tmp_path / "work")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    model = CountsModel()
    replay(catalog, run.start["uid"], model=model, work=tmp_path / "work")
    assert 0 < model.seen < FRAMES
    assert_complete(run, catalog)


def test_files_killed_and_gone_on(tmp_path):
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file[DATASET] = np.ones((10, 32, 32), np.int32)
    out = tmp_path / "tags.csv"
    killed("files", 20, tmp_path / "*.h5", out)
    assert not out.exists()
    model = CountsModel()
    assert tag_files(str(tmp_path / "*.h5"), out, model=model)["ok"] == 30
    assert model.seen == 30 - 16
    table = pd.read_csv(out)
    assert len(table) == 30 and not table.duplicated(["file", "index"]).any()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.h5", "1.h5", "2.h5", "tags.csv"]


# The journal by itself


@pytest.fixture
def opened(tmp_path):
    journals = []

    def opened(about=None):
        journals.append(Journal(tmp_path / "journal", about or {"run": "a"}))
        return journals[-1]

    yield opened
    for journal in journals:
        journal.close()


def tagged(number):
    """The tagging of a frame."""
    frame = FrameId("run", "primary", "det", number, 0, "event")
    return Tagging(frame, "ok", (0.1 + 1e-17, 1 / 3), ("ring",), 0.5)


def test_a_torn_line_is_dropped_and_the_rest_kept(opened, tmp_path):
    journal = opened()
    journal.add([tagged(1), tagged(2)])
    journal.close()
    whole = (tmp_path / "journal").read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[-1])):
        (tmp_path / "journal").write_bytes(whole[:-cut])
        journal = opened()
        assert journal.taggings == {tagged(1).frame: tagged(1)}
        journal.add([tagged(2)])
        assert len(journal.taggings) == 2
        journal.close()
        assert (tmp_path / "journal").read_bytes() == whole


def test_a_journal_of_something_else_is_begun_anew(opened):
    journal = opened()
    journal.add([tagged(1)])
    journal.close()
    assert opened({"run": "b"}).taggings == {}


def test_only_one_process_works_on_a_journal(opened):
    journal = opened()
    with pytest.raises(XTagError, match="another process works on"):
        opened()
    journal.close()
    opened()
