"""Stored runs and files are tagged by the process that tags live frames: the same rows, and nothing dies with it."""

import os
import signal

import bluesky.plans as bp
import h5py
import numpy as np
import pandas as pd
import pytest
from support.archives import opened
from support.detectors import ArrayDetector, FileDetector, numbered
from support.models import CountsModel
from typer.testing import CliRunner

from bluesky_xtag import XTagValueError
from bluesky_xtag.catalog import as_catalog
from bluesky_xtag.cli import app
from bluesky_xtag.replay import replay, tag_files
from bluesky_xtag.search import tags

IRRELEVANT = ["time", "xtag_latency", "xtag_decided_by"]


class Deadly(CountsModel):
    """Ends its process over the second image."""

    def score(self, image):
        if image.flat[0] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(image)


@pytest.fixture
def store(request, RE):
    found = opened(request, "databroker.temp")
    RE.subscribe(found.insert)
    return found


def test_a_frame_over_which_the_process_ends_costs_itself_only(RE, store, tmp_path):
    """Below roots, too, which the process looks at again."""
    uids = RE(bp.count([FileDetector(tmp_path)], 4))
    assert list(replay(store.catalog, uids, model=CountsModel(), work=tmp_path / "work")["ok"]) == [4]
    (found,) = replay(
        store.catalog, uids, model=Deadly(), work=tmp_path / "work", backend="process", roots=tmp_path, again=True
    ).to_dict("records")
    assert (found["ok"], found["failed"]) == (3, 1)
    run = as_catalog(store.catalog).find(uids[0])
    table = tags(run)
    assert list(table["xtag_status"]) == ["ok", "failed", "ok", "ok"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    refused = replay(
        store.catalog, uids, model=Deadly(), work=tmp_path / "work", backend="process", roots=elsewhere, again=True
    )
    assert refused["outcome"][0].startswith("failed: the documents name ")


def test_the_rows_are_those_of_threads_for_frames_in_files_and_in_events(RE, store, tmp_path):
    (tmp_path / "late").mkdir()
    uids = RE(bp.count([FileDetector(tmp_path, name="files"), ArrayDetector(numbered())], 3))
    os.remove(tmp_path / "files_2.h5")
    found = {}
    for where in ("threads", "process"):
        done = replay(store.catalog, uids, model=CountsModel(), work=tmp_path / "work", backend=where, again=True)
        assert (done["ok"][0], done["unreadable"][0]) == (5, 1)
        table = tags(as_catalog(store.catalog).find(done["derived"][0]), "own")
        found[where] = table.drop(columns=IRRELEVANT, errors="ignore")
    pd.testing.assert_frame_equal(found["threads"], found["process"])


def test_the_command_tags_files_in_a_process(tmp_path):
    """With the packaged model, whose network this process does not load."""
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["entry/data/data"] = np.random.default_rng(1).poisson(2, (3, 64, 64)).astype(np.uint16)
    (tmp_path / "torn.h5").write_text("no HDF5")
    tables = []
    for where in ("process", "inline"):
        out = tmp_path / f"{where}.csv"
        done = CliRunner().invoke(app, ["tag-files", str(tmp_path / "*.h5"), "--out", str(out), "--backend", where])
        assert done.exit_code == 0 and "ok 3, unreadable 1" in done.output, done.output
        tables.append(pd.read_csv(out))
    pd.testing.assert_frame_equal(*tables)


def test_two_places_are_refused(tmp_path):
    with pytest.raises(XTagValueError, match="backend='process', or a scheduler"):
        tag_files(__file__, tmp_path / "tags.csv", model=CountsModel(), backend="process", workers=2)
    with pytest.raises(XTagValueError, match="backend='clowd' is not known"):
        tag_files(__file__, tmp_path / "tags.csv", model=CountsModel(), backend="clowd")
