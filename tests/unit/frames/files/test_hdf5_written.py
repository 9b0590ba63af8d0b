"""Pixels that nobody wrote are never read as an empty frame: virtual, external and shared storage."""

import os

import h5py
import numpy as np
import pytest

from bluesky_xtag.errors import FrameNotReady
from bluesky_xtag.frames.files.hdf5 import read_image

DATA = "/entry/data/data"
SHAPE = (24, 32)


def images(count, first=1):
    return np.stack([np.full(SHAPE, first + number, np.uint16) for number in range(count)])


def source(path, count, first=1, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=images(count, first), **options)
    return path


def virtual(path, layout, fillvalue=0):
    with h5py.File(path, "w", libver="latest") as file:
        file.create_virtual_dataset(DATA, layout, fillvalue=fillvalue)
    return path


def seen(path, count):
    """The value of each image, None where it is not there."""
    found = []
    for index in range(count):
        try:
            found.append(int(read_image(path, DATA, index).max()))
        except FrameNotReady:
            found.append(None)
    return found


def parts(*counts, shape=SHAPE):
    layout, at = h5py.VirtualLayout((sum(counts), *shape), np.uint16), 0
    for number, count in enumerate(counts):
        layout[at : at + count] = h5py.VirtualSource(f"part_{number}.h5", "frames", (count, *shape))
        at += count
    return layout


def test_a_virtual_data_set_is_read_where_its_sources_are(tmp_path):
    master = virtual(tmp_path / "m.h5", parts(2, 3, 1))
    assert seen(master, 6) == [None] * 6
    source(tmp_path / "part_1.h5", 3, 30)
    assert seen(master, 6) == [None, None, 30, 31, 32, None]
    with pytest.raises(FrameNotReady, match="takes it from part_0.h5, which is not there"):
        read_image(master, DATA, 1)
    source(tmp_path / "part_0.h5", 2, 10)
    source(tmp_path / "part_2.h5", 1, 50)
    assert seen(master, 6) == [10, 11, 30, 31, 32, 50]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:1500]), id="torn"),
        pytest.param(lambda path: path.write_text("something else"), id="foreign"),
        pytest.param(lambda path: source(path, 1, 30), id="without that frame"),
        pytest.param(lambda path: h5py.File(path, "w").close(), id="without the data set"),
    ],
)
def test_a_source_that_cannot_be_read_costs_its_own_frames(tmp_path, spoil):
    master = virtual(tmp_path / "m.h5", parts(2, 2))
    source(tmp_path / "part_0.h5", 2, 10)
    spoil(source(tmp_path / "part_1.h5", 2, 30))
    assert seen(master, 4)[:2] == [10, 11] and seen(master, 4)[3] is None


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_source_without_permission(tmp_path):
    master = virtual(tmp_path / "m.h5", parts(1))
    source(tmp_path / "part_0.h5", 1).chmod(0)
    assert seen(master, 1) == [None]


def test_a_source_that_is_still_written_in_swmr_mode(tmp_path):
    master = virtual(tmp_path / "m.h5", parts(3))
    with h5py.File(tmp_path / "part_0.h5", "w", libver="latest") as file:
        frames = file.create_dataset("frames", (0, *SHAPE), np.uint16, maxshape=(None, *SHAPE), chunks=(1, *SHAPE))
        file.swmr_mode = True
        for number in range(3):
            frames.resize(number + 1, axis=0)
            frames[number] = images(1, 7 + number)[0]
            frames.flush()
            assert seen(master, 3) == [7, 8, 9][: number + 1] + [None] * (2 - number)


def test_modules_side_by_side_are_one_frame_when_all_are_there(tmp_path):
    layout = h5py.VirtualLayout((2, 24, 70), np.uint16)
    for number, column in enumerate((0, 38)):  # with a gap between them
        layout[:, :, column : column + 32] = h5py.VirtualSource(f"module_{number}.h5", "frames", (2, *SHAPE))
    master = virtual(tmp_path / "m.h5", layout, fillvalue=65535)
    source(tmp_path / "module_0.h5", 2)
    assert seen(master, 2) == [None, None]
    source(tmp_path / "module_1.h5", 1)
    assert [value is None for value in seen(master, 2)] == [False, True]
    assert (read_image(master, DATA, 0)[:, 32:38] == 65535).all()


def test_frames_taken_in_turn_from_several_sources(tmp_path):
    layout = h5py.VirtualLayout((6, *SHAPE), np.uint16)
    for number in range(3):
        layout[number::3] = h5py.VirtualSource(f"turn_{number}.h5", "frames", (2, *SHAPE))
    master = virtual(tmp_path / "m.h5", layout)
    source(tmp_path / "turn_0.h5", 2, 10)
    source(tmp_path / "turn_2.h5", 1, 30)
    assert seen(master, 6) == [10, None, 30, 11, None, None]


def test_sources_with_numbers_in_their_names(tmp_path):
    layout = h5py.h5s.create_simple((2, *SHAPE), (h5py.h5s.UNLIMITED, *SHAPE))
    layout.select_hyperslab((0, 0, 0), (h5py.h5s.UNLIMITED, 1, 1), (2, 1, 1), (2, *SHAPE))
    one = h5py.h5s.create_simple((2, *SHAPE))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_virtual(layout, b"block_%b.h5", b"frames", one)
    with h5py.File(tmp_path / "m.h5", "w", libver="latest") as file:
        space = h5py.h5s.create_simple((2, *SHAPE), (h5py.h5s.UNLIMITED, *SHAPE))
        h5py.h5d.create(file.create_group("/entry/data").id, b"data", h5py.h5t.NATIVE_UINT16, space, properties)
    assert seen(tmp_path / "m.h5", 2) == [None, None]
    source(tmp_path / "block_0.h5", 2, 10)
    source(tmp_path / "block_1.h5", 2, 20)
    assert seen(tmp_path / "m.h5", 5) == [10, 11, 20, 21, None]


def test_a_virtual_data_set_of_virtual_data_sets(tmp_path):
    with h5py.File(tmp_path / "middle.h5", "w", libver="latest") as file:
        file.create_virtual_dataset("frames", parts(2))
    layout = h5py.VirtualLayout((2, *SHAPE), np.uint16)
    layout[:] = h5py.VirtualSource("middle.h5", "frames", (2, *SHAPE))
    master = virtual(tmp_path / "m.h5", layout)
    assert seen(master, 2) == [None, None]
    source(tmp_path / "part_0.h5", 2, 5)
    assert seen(master, 2) == [5, 6]


def test_raw_files_outside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with h5py.File("m.h5", "w") as file:
        size = 2 * 24 * 32 * 2
        file.create_dataset(DATA, (4, *SHAPE), np.uint16, external=[("one.raw", 0, size), ("two.raw", 0, size)])
    assert seen("m.h5", 4) == [None] * 4
    images(2, 10).tofile("one.raw")
    images(2, 20)[:1].tofile("two.raw")
    assert seen("m.h5", 4) == [10, 11, 20, None]
    with pytest.raises(FrameNotReady, match="two.raw ends before it"):
        read_image("m.h5", DATA, 3)


@pytest.mark.parametrize("fill", [0, 65535])
def test_a_chunk_of_many_frames_that_is_being_filled(tmp_path, fill):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        frames = file.create_dataset(DATA, (8, *SHAPE), np.uint16, chunks=(4, *SHAPE), fillvalue=fill)
        file.swmr_mode = True
        frames[0] = 5
        frames[2] = 6
        frames.flush()
        # Frame 1 was written: one behind it is. Of frame 3 nobody knows.
        assert seen(path, 8) == [5, fill, 6, None, None, None, None, None]
    # Nobody writes any more: frame 3 is what it is, and those that were never written are not there.
    assert seen(path, 8) == [5, fill, 6, fill, None, None, None, None]


def test_a_block_that_is_being_filled_without_swmr(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        frames = file.create_dataset(DATA, (3, *SHAPE), np.uint16)
        frames[0] = 5
        file.flush()
        assert seen(path, 3) == [5, None, None]
    assert seen(path, 3) == [5, 0, 0]


def test_empty_frames_that_have_chunks_of_their_own_are_never_waited_for(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        frames = file.create_dataset(DATA, (2, *SHAPE), np.uint16, chunks=(1, *SHAPE))
        file.swmr_mode = True
        frames[0] = np.zeros(SHAPE)
        frames.flush()
        assert seen(path, 2) == [0, None]
