"""A Dask cluster keeps what every backend promises."""

import h5py
import hdf5plugin
import numpy as np
import pytest
from distributed.protocol import serialize_bytelist
from support.backend_contract import *  # noqa: F403

from bluesky_xtag.catalog.values import FileValue
from bluesky_xtag.documents import FrameId
from bluesky_xtag.frames import FORMATS, Frame
from bluesky_xtag.frames.sources import FileImages, InlineImages
from bluesky_xtag.model import TagModel
from bluesky_xtag.tagger import make_backend

# Dask starts a server of pages at a fixed port otherwise, where another cluster may have its own.
QUIET = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}


@pytest.fixture(scope="module")
def scheduler():
    import dask.config
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}),
        LocalCluster(n_workers=1, threads_per_worker=1, **QUIET, memory_limit="2 GiB") as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture
def make(scheduler):
    made = []

    def make(model):
        made.append(make_backend("dask", model, scheduler=scheduler, patience=60, required=True))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


SHAPE = (160, 140)
HIDDEN = np.zeros(SHAPE, bool)
HIDDEN[20:70, 10:120] = True


def ring(number):
    rows, columns = np.indices(SHAPE)
    light = 3 + 40 * np.exp(-((np.hypot(rows - 80, columns - 70) - 40) ** 2) / 4)
    return np.where(HIDDEN, 30_000, np.random.default_rng(number).poisson(light)).astype(np.uint32)


def master(path, **options):
    """A file with bright pixels below the detector's own mask."""
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data/data", data=np.stack([ring(1), ring(2)]), **options)
        file["entry/instrument/detector/pixel_mask"] = HIDDEN.astype(np.uint32)
    return str(path)


def test_masks_of_the_detectors_and_of_users_mean_the_same_on_workers(make, tmp_path):
    """Frames that travel by the names of their files, and frames that travel themselves."""
    data, hdf5 = "/entry/data/data", FORMATS["hdf5"]
    plain = master(tmp_path / "plain.h5")
    packed = master(tmp_path / "packed.h5", chunks=(1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4"))
    sources = {
        "by name": FileImages(hdf5, plain, data, 0, SHAPE),
        "by name, compressed": FileImages(hdf5, packed, data, 0, SHAPE),
        "of a stored run": InlineImages(FileValue((packed,), data, 0, None, (1, *SHAPE)), SHAPE),
        "in the event": InlineImages(np.ma.MaskedArray(ring(1), HIDDEN), SHAPE),
        "one of several in the event": InlineImages(np.ma.MaskedArray(ring(1)[None], HIDDEN[None]), SHAPE),
    }
    users = np.zeros(SHAPE, bool)
    users[:, :9] = True
    frames = [
        Frame(FrameId("run", "primary", key, 1, 0), None, mask, source)
        for key, source in sources.items()
        for mask in (None, users)
    ]
    model = TagModel.load()
    here, there = make_backend("inline", model), make(model)
    alone, away = list(here.tag(frames)), list(there.tag(frames))
    here.close()
    assert {outcome.status for outcome in alone} == {"ok"}
    assert [outcome.scores for outcome in away] == [outcome.scores for outcome in alone]
    assert [outcome.tags for outcome in away] == [outcome.tags for outcome in alone]
    assert len({outcome.scores for outcome in alone[::2]}) == 1  # the mask is there, however a frame comes
    (bare,) = model.predict([ring(1)], [None], [None])
    assert np.abs(bare - np.array(alone[0].scores)).max() > 0.1


def test_of_a_frame_that_the_workers_cannot_read_only_what_the_network_sees_travels(make, monkeypatch, tmp_path):
    """A million pixels in an event, and a file at a place that every process sees differently."""
    master(tmp_path / "frames.h5")
    monkeypatch.chdir(tmp_path)
    sources = [
        InlineImages(np.random.default_rng(1).poisson(20, (1043, 981)).astype(np.int32), (1043, 981)),
        FileImages(FORMATS["hdf5"], "/proc/self/cwd/frames.h5", "/entry/data/data", 0, SHAPE),
    ]
    frames = [Frame(FrameId("run", "primary", "det", n, 0), None, None, each) for n, each in enumerate(sources, 1)]
    model = TagModel.load()
    there, sizes = make(model), []
    send = there._cluster.send

    def measured(worker, function, *arguments):
        if function.__name__ == "tag":
            sizes.append(sum(map(len, serialize_bytelist(arguments))))
        return send(worker, function, *arguments)

    monkeypatch.setattr(there._cluster, "send", measured)
    away = list(there.tag(frames))
    alone = list(make_backend("inline", model).tag(frames))
    assert [outcome.scores for outcome in away] == [outcome.scores for outcome in alone]
    assert all(outcome.device.startswith("CPU at tcp://") for outcome in away)
    assert max(sizes) < 2 * 120_000
    assert (there.there, there.here) == (2, 0)
