"""The disk is full, or the process is killed, where files, models and simulated frames are written.

What is there is valid, and the next call completes it.
"""

import importlib.util
import time
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from support.disks import temporary_disk
from support.failing_catalogs import PROVEN, of
from support.faults import DISK, FAULTS, FILES, KILLED, SIMULATE, TRAIN
from support.killed import kill_when
from support.models import CountsModel

from bluesky_xtag import TagModel, XTagError
from bluesky_xtag.replay import tag_files
from bluesky_xtag.simulate import simulate
from bluesky_xtag.train import data, train
from bluesky_xtag.train.fit import training as fit
from bluesky_xtag.train.fit.network import build

KIB = 1024


@pytest.fixture(scope="module")
def disk():
    with temporary_disk() as disk:
        yield disk


def with_full_disk(disk, room, call):
    """Call; return the error, which is one of this package."""
    with disk.full(room):
        try:
            call()
        except XTagError as error:
            return error
    return None


# Keras 3.15 saves its variables through an old signature of __array__, which NumPy 2.4 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
FRAMES = 40


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "a.h5"
    with h5py.File(path, "w") as file:
        file["frames"] = np.ones((FRAMES, 32, 32), np.int32)
    return path


def check_table(out, images):
    table = pd.read_csv(out)
    assert list(table["index"]) == list(range(FRAMES)) and set(table["xtag_status"]) == {"ok"}
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@of(FILES, DISK)
def test_tag_files(disk, images, fault):
    out, model, told = disk.path / "tables" / "table.csv", CountsModel(), []
    out.parent.mkdir()
    for room in range(0, 20 * KIB, 4 * KIB):
        error = with_full_disk(disk, room, lambda: tag_files(images, out, model=model))
        if error is None:
            break
        told.append(str(error))
        assert "make room" in told[-1] and not out.exists()
    assert f"the journal {out.parent / '.table.csv.journal'} cannot be written" in told[0]
    assert all(f"the table {out} could not be written" in each or "the journal" in each for each in told)
    assert model.seen < 2 * FRAMES
    check_table(out, images)


def tag_slowly(images, out):
    class Slow(CountsModel):
        def score(self, image):
            time.sleep(0.005)
            return super().score(image)

    tag_files(images, out, model=Slow())


@of(FILES, KILLED)
def test_tag_files_is_killed(images, tmp_path, fault, rng):
    out = tmp_path / "table.csv"
    journal = tmp_path / ".table.csv.journal"
    for lines in sorted(rng.integers(1, FRAMES, 2)):
        kill_when(lambda lines=lines: _lines(journal) > lines or out.exists(), tag_slowly, images, out)
        assert journal.exists() or out.exists()
    tag_files(images, out, model=CountsModel())
    check_table(out, images)


def _lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


SCENES, SEED = 3, 7


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("whole") / "frames.h5", SCENES, SEED, workers=1)


def is_whole(part):
    with h5py.File(part) as file:
        return file[part.stem][()].any() and "truth" in file[part.stem].attrs


@of(SIMULATE, DISK)
def test_simulate(disk, whole, fault):
    out = disk.path / "simulated" / "frames.h5"
    out.parent.mkdir()
    parts = out.with_name("frames.h5.parts")
    size = whole.stat().st_size
    for room in (0, 8 * KIB, size // 2, size + size // 2):
        error = with_full_disk(disk, room, lambda: simulate(out, SCENES, SEED, workers=1))
        assert "mend that and call again" in str(error)
        assert not out.exists() and all(map(is_whole, parts.glob("*.h5")))
    assert simulate(out, SCENES, SEED, workers=1).read_bytes() == whole.read_bytes()
    assert list(out.parent.iterdir()) == [out]


@of(SIMULATE, KILLED)
def test_simulate_is_killed(whole, tmp_path, fault, rng):
    out, parts = tmp_path / "frames.h5", tmp_path / "frames.h5.parts"
    for moment in (parts.exists, lambda: any(parts.glob("*.h5")), out.exists):
        kill_when(moment, simulate, out, SCENES, SEED, workers=1)
        assert out.exists() or parts.exists()
        assert not out.exists() or out.read_bytes() == whole.read_bytes()
    if not out.exists() or parts.exists():
        simulate(out, SCENES, SEED, workers=1)
    assert out.read_bytes() == whole.read_bytes() and list(tmp_path.iterdir()) == [out]


def test_a_file_that_was_whole_when_its_writer_was_killed(whole, tmp_path):
    out = tmp_path / "frames.h5"
    out.write_bytes(whole.read_bytes())
    parts = tmp_path / "frames.h5.parts"
    parts.mkdir()  # its settings are gone already
    with pytest.raises(XTagError, match="exists: choose another name"):
        simulate(out, SCENES, SEED + 1)
    assert simulate(out, SCENES, SEED) == out and list(tmp_path.iterdir()) == [out]
    with pytest.raises(XTagError, match="exists: choose another name"):
        simulate(out, SCENES, SEED)


SMALL = {"samples": 16, "validation": 4, "test": 4, "epochs": 2, "batch": 8, "chunk": 4}
SMALL |= {"width": 0.5, "image_width": 0.25, "workers": 1}


def train_small(out):
    """Train a network that looks at the profile only, which is quick to build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "build", partial(build, views=("profile",)))
        train(out, **SMALL)


@pytest.fixture(scope="module")
def digest_of_samples(tmp_path_factory):
    """The hash of the samples of a training without a fault."""
    directory = tmp_path_factory.mktemp("samples")
    data.generate(directory, 4, seed=1, workers=1, size=4)  # the training's seed 1 gives its samples the seed 1
    return data.digest(data.load(directory, 4))


def check_model(out, digest):
    """The model was trained to the end, with the samples of a training without a fault."""
    model = TagModel.load(out)
    training = model.card.stored["training"]
    assert training["data_sha256"] == digest
    assert [each["epoch"] for each in training["history"]] == [1, 2]
    assert np.isfinite(model.predict(np.ones((1, 64, 64), np.int32))).all()
    assert (out / "training.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in out.parent.iterdir()} == {out.name, f"{out.name}.work"}


@of(TRAIN, DISK)
def test_train(disk, digest_of_samples, fault, monkeypatch):
    out = disk.path / "trained" / "small"
    out.parent.mkdir()
    for room in (0, 300 * KIB):  # at the settings, at the samples
        told = with_full_disk(disk, room, lambda: train_small(out))
        assert "mend that and call again" in str(told) and not out.exists()
    for owner in (fit._Fit, TagModel):  # at a checkpoint, at the model
        save = owner.save

        def save_on_full_disk(*arguments, save=save):
            with disk.full(4 * KIB):
                return save(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(owner, "save", save_on_full_disk)
            with pytest.raises(XTagError, match="mend that and call again"):
                train_small(out)
        assert not out.exists()
    train_small(out)
    check_model(out, digest_of_samples)


@of(TRAIN, KILLED)
def test_train_is_killed(digest_of_samples, tmp_path, fault):
    out, work = tmp_path / "small", tmp_path / "small.work"
    for there in (work, work / "samples" / "done" / "00001", work / "checkpoint.npz"):
        assert kill_when(there.exists, train_small, out)
        assert not out.exists()
    train_small(out)
    check_model(out, digest_of_samples)


def test_each_fault_of_the_table_has_its_test():
    for name in ("test_faults.py", "test_faults_of_disks.py", "test_faults_of_servers.py"):
        spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), Path(__file__).with_name(name))
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    table = [(each.step, each.fault) for each in FAULTS]
    assert len(set(table)) == len(table)
    assert PROVEN == set(table)
