"""A file that its writer holds open without SWMR is known for what it is, whatever HDF5 says of it."""

import os

import h5py
import numpy as np
import pytest
from support.held import DATA, HeldFile

from bluesky_xtag.errors import FileHeld, FrameError, FrameNotReady
from bluesky_xtag.frames import data_sets
from bluesky_xtag.frames.files.hdf5 import read_image

LARGE = (600, 1000)  # beyond HDF5's cache: pixels are on disk, and nothing that leads to them


@pytest.fixture
def hold(tmp_path):
    files = []

    def hold(name="a.h5", frames=2, **options):
        files.append(HeldFile(tmp_path / name, **options))
        for _ in range(frames):
            files[-1].append()
        return tmp_path / name, files[-1]

    yield hold
    for file in files:
        file.close()


@pytest.mark.parametrize("shape", [(24, 32), LARGE], ids=["small", "large"])
@pytest.mark.parametrize("locking", [True, False], ids=["locked", "unlocked"])
@pytest.mark.parametrize(
    ("libver", "flush"), [(None, False), ("v108", False), ("latest", False), ("latest", True)], ids=str
)
def test_a_held_file_says_so_and_opens_once_it_is_closed(hold, libver, flush, locking, shape):
    path, writer = hold(libver=libver, flush=flush, locking=locking, shape=shape)
    with pytest.raises(FileHeld, match="without SWMR.*stage `swmr_mode` before `capture`") as caught:
        read_image(path, "", 1)
    assert caught.value.path == str(path)
    assert "h5clear" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    writer.close()
    assert read_image(path, "", 1)[0, 0] == 2


@pytest.mark.parametrize("locking", [True, False], ids=["locked", "unlocked"])
@pytest.mark.parametrize("libver", [None, "v108"])
def test_a_file_whose_writer_flushes_it_can_be_read_in_formats_that_do_not_forbid_it(hold, libver, locking):
    path, writer = hold(libver=libver, flush=True, locking=locking)
    assert read_image(path, "", 1)[0, 0] == 2
    with pytest.raises(FrameNotReady) as caught:
        read_image(path, "", 2)
    assert not isinstance(caught.value, FileHeld)  # the next flush may bring it


def test_a_file_whose_writer_switches_swmr_on_is_held_only_until_then(hold):
    path, writer = hold(libver="latest", flush=True)
    with pytest.raises(FileHeld):
        read_image(path, "", 0)
    assert writer.switch_swmr_on() == "done"
    assert read_image(path, "", 1)[0, 0] == 2


def test_a_swmr_file_is_never_held(hold):
    path, _ = hold(libver="latest", swmr=True)
    assert read_image(path, "", 1)[0, 0] == 2
    with pytest.raises(FrameNotReady) as caught:
        read_image(path, "", 2)
    assert not isinstance(caught.value, FileHeld)


@pytest.mark.parametrize("libver", [None, "latest"])
def test_what_a_killed_writer_left_counts_as_held_only_while_it_is_young(hold, libver):
    path, writer = hold(libver=libver, flush=libver == "latest")
    writer.kill()
    with pytest.raises(FileHeld):
        read_image(path, "", 0)
    os.utime(path, (0, 0))
    with pytest.raises(FrameNotReady) as caught:
        read_image(path, "", 0)
    assert not isinstance(caught.value, FileHeld)
    assert "h5clear" not in str(caught.value)


def test_the_source_of_a_virtual_data_set_may_be_held(hold, tmp_path):
    source, writer = hold("part.h5", libver="latest", flush=True)
    layout = h5py.VirtualLayout((2, 24, 32), "i4")
    layout[:] = h5py.VirtualSource(str(source), DATA, (2, 24, 32))
    with h5py.File(tmp_path / "m.h5", "w", libver="latest") as file:
        file.create_virtual_dataset(DATA, layout)
    with pytest.raises(FileHeld, match="part.h5 is held"):
        read_image(tmp_path / "m.h5", "", 1)
    writer.close()
    assert read_image(tmp_path / "m.h5", "", 1)[0, 0] == 2


@pytest.mark.parametrize("libver", [None, "latest"])
def test_a_held_file_that_is_named_by_a_person_says_so(hold, libver):
    path, writer = hold(libver=libver, flush=libver == "latest")
    with pytest.raises(FileHeld):
        list(data_sets(str(path)))
    writer.close()
    assert list(data_sets(str(path))) == [(f"/{DATA}", 2)]


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("libver", [None, "latest"])
def test_a_file_on_its_way_by_copying_is_not_held(tmp_path, libver, part):
    whole = tmp_path / "whole.h5"
    with h5py.File(whole, "w", libver=libver) as file:
        file.create_dataset(DATA, data=np.ones((4, 24, 32), "i4"), chunks=(1, 24, 32))
    path = tmp_path / "copy.h5"
    path.write_bytes(whole.read_bytes()[: int(part * whole.stat().st_size)])
    with pytest.raises(FrameError) as caught:
        read_image(path, "", 3)
    assert not isinstance(caught.value, FileHeld)
