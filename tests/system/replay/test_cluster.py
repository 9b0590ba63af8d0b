"""Frames on Dask workers: the same rows as in this process, for what travels by name and for what travels itself."""

import bluesky.plans as bp
import h5py
import numpy as np
import pandas as pd
import pytest
from bluesky_tiled_plugins import TiledWriter
from support.detectors import ArrayDetector, FileDetector
from support.models import CountsModel, MarkingModel

from bluesky_xtag import XTagError, XTagValueError
from bluesky_xtag.replay import replay, tag_files
from bluesky_xtag.search import tags

pytestmark = pytest.mark.timeout(600)  # workers that share two cores with other tests take long to load TensorFlow

# Dask starts a server of pages at a fixed port otherwise, where another cluster may have its own.
QUIET = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}


@pytest.fixture(scope="module")
def model(packaged_model):
    return packaged_model


@pytest.fixture(scope="module")
def cluster():
    """A cluster that somebody else started: two processes, spawned."""
    import dask.config
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}),
        LocalCluster(n_workers=2, threads_per_worker=1, **QUIET, memory_limit="2 GiB") as cluster,
    ):
        yield cluster


def test_runs_on_an_existing_cluster_get_the_same_rows_bit_for_bit(RE, tiled_sqlite_catalog, cluster, model, tmp_path):
    rng = np.random.default_rng(3)
    catalog = tiled_sqlite_catalog
    arrays = ArrayDetector(lambda: rng.poisson(rng.uniform(1, 20), (32, 32)).astype(np.int32), name="arrays")
    token = RE.subscribe(TiledWriter(catalog))
    (uid,) = RE(bp.count([arrays, FileDetector(tmp_path, name="files")], 20))
    RE.unsubscribe(token)
    (tmp_path / "files_3.h5").unlink()
    here = replay(catalog, uid, model=model, work=tmp_path / "work")
    alone = tags(catalog[here["derived"][0]])
    there = replay(catalog, uid, model=model, work=tmp_path / "work", again=True, backend=cluster.scheduler_address)
    assert dict(there.iloc[0][["frames", "ok", "unreadable"]]) == {"frames": 40, "ok": 39, "unreadable": 1}
    together = tags(catalog[there["derived"][0]])
    assert {place.partition(" at ")[0] for place in together["xtag_device"]} == {*alone["xtag_device"]} == {"CPU", ""}
    varying = ["time", "xtag_latency", "xtag_device"]
    pd.testing.assert_frame_equal(together.drop(columns=varying), alone.drop(columns=varying), check_exact=True)


def test_a_worker_loads_the_model_once(cluster, tmp_path):
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["frames"] = np.ones((64, 32, 32), np.int32)
    marks = tmp_path / "marks"
    marks.mkdir()
    model = MarkingModel(str(marks))
    counts = tag_files(tmp_path / "frames.h5", tmp_path / "tags.csv", model=model, scheduler=cluster.scheduler_address)
    assert counts["ok"] == 64
    loads = [path.name.partition("-")[0] for path in marks.iterdir()]
    assert sorted(loads) == sorted(set(loads)) and 1 <= len(loads) <= 2


def test_what_cannot_be_reached_or_does_not_fit_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr("bluesky_xtag.tagger.backends.dask_cluster._REACH", 1)
    (tmp_path / "a.h5").touch()
    arguments = {"files": tmp_path / "a.h5", "out": tmp_path / "tags.csv", "model": CountsModel()}
    with pytest.raises(XTagError, match="the Dask scheduler tcp://127.0.0.1:9 cannot be reached"):
        tag_files(**arguments, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(XTagValueError, match="not both"):
        tag_files(**arguments, scheduler="tcp://127.0.0.1:9", workers=1)
    with pytest.raises(XTagValueError, match="workers=0"):
        tag_files(**arguments, workers=0)
    with pytest.raises(XTagValueError, match="a place of its own"):
        tag_files(**arguments, workers=1, backend="threads")
    with pytest.raises(XTagValueError, match="backend='clowd' is not known"):
        tag_files(**arguments, backend="clowd")
    with pytest.raises(XTagValueError, match="--insecure"):
        tag_files(**arguments, backend="tcp://scheduler:8786")
