"""A new HDF5 file on a disk that becomes full: the disk's error, and a process that lives on.

HDF5 cannot close a file that it cannot write, and what it keeps of it ends the process later. So each attempt is
followed by more work with HDF5 in the same process.
"""

import gc

import h5py
import numpy as np
import pytest
from support.disks import temporary_disk

from bluesky_xtag import XTagError
from bluesky_xtag.frames import LabelledFrame, each_frame, write_labelled
from bluesky_xtag.frames.files import new_hdf5

ROOM = (0, 3000, 50_000, 300_000)


@pytest.fixture(scope="module", params=["a file system", "a limit of this process"])
def disk(request):
    with temporary_disk() as disk:
        if request.param == "a file system" and not disk.mounted:
            pytest.skip("no file system can be mounted here")
        disk.mounted = request.param == "a file system"
        yield disk


def frames(count=12):
    rng = np.random.default_rng(1)
    for number in range(count):
        yield LabelledFrame(f"frame{number:02d}", rng.integers(0, 1 << 20, (100, 100), np.int32), {"ring": True})


@pytest.mark.parametrize("room", ROOM)
def test_there_is_a_whole_file_or_none(disk, room):
    out = disk.path / f"{room}.h5"
    with disk.full(room), pytest.raises(XTagError, match=r"cannot be written.*(No space|too large).*no file was left"):
        write_labelled(out, ["ring"], frames())
    gc.collect()
    assert not list(disk.path.iterdir())
    assert write_labelled(out, ["ring"], frames()) == 12
    for read, written in zip(each_frame(out), frames(), strict=True):
        np.testing.assert_array_equal(read.pixels, written.pixels)
    out.unlink()


def test_what_is_written_is_read_again_and_no_longer_than_hdf5_makes_it(tmp_path):
    images = np.arange(90_000).reshape(3, 100, 300)
    with h5py.File(tmp_path / "plain.h5", "w") as plain, new_hdf5(tmp_path / "new.h5") as new:
        for file in (plain, new.hdf5):
            file.attrs["about"] = "text"
            file.create_dataset("deep/images", data=images, chunks=(1, 100, 300))
    with h5py.File(tmp_path / "new.h5") as file:
        assert file.attrs["about"] == "text"
        np.testing.assert_array_equal(file["deep/images"], images)
    assert (tmp_path / "new.h5").stat().st_size < 1.01 * (tmp_path / "plain.h5").stat().st_size


def test_a_writer_of_many_frames_hears_of_the_full_disk_at_once(disk):
    taken = 0
    with disk.full(8192), pytest.raises(OSError, match="No space|too large"), new_hdf5(disk.path / "a.h5") as new:
        for number in range(100):
            new.hdf5.create_dataset(str(number), data=np.ones((64, 64)))
            new.check()
            taken += 1
    assert taken < 3
    (disk.path / "a.h5").unlink()


def test_an_error_of_the_writer_is_raised_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), new_hdf5(tmp_path / "a.h5") as new:
        new.hdf5.attrs["a"] = 1 / 0
    with h5py.File(tmp_path / "a.h5") as file:
        assert not file.attrs
