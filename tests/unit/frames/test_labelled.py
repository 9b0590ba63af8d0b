import h5py
import numpy as np
import pytest

from bluesky_xtag import XTagValueError
from bluesky_xtag.frames import read_frames


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "frames.h5"
    with h5py.File(path, "w") as file:
        file.attrs["tags"] = ["ring", "halo", "spots"]
        wide = file.create_dataset("set/wide", data=np.ones((4, 9), np.uint16))
        wide.attrs["truth"] = [1, 0, -1]
        wide.attrs["beam_centre_xy"] = [4.5, -2.0]
        file.create_dataset("set/another", data=np.full((4, 9), 2, np.uint16))
        file.create_dataset("tall", data=np.zeros((9, 4), np.int32))
        file.create_dataset("spectrum", data=np.zeros(7))
    return path


def test_frames_of_one_shape_and_type_belong_together(path):
    groups = read_frames(path)
    assert [(group.shape, group.dtype.name, len(group.frames)) for group in groups] == [
        ((4, 9), "uint16", 2),
        ((9, 4), "int32", 1),
    ]


def test_attributes_become_beam_centre_and_labels(path):
    another, wide = read_frames(path)[0].frames
    assert wide.beam_centre == (4.5, -2.0)
    assert (wide.present, wide.absent) == ({"ring"}, {"halo"})
    assert another.beam_centre is None
    assert not another.present | another.absent


def test_the_position_chooses_the_frame(path):
    group = read_frames(path)[0]
    assert [int(group.expose(x, 0.0, 0.1).max()) for x in (0.0, 1.0, 2.0)] == [2, 1, 2]
    assert group.beam_centre(1.0, 0.0) == (4.5, -2.0)


def test_what_is_wrong_with_a_file_is_named(tmp_path, path):
    with pytest.raises(XTagValueError, match="there is no file .*missing.h5"):
        read_frames(tmp_path / "missing.h5")
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    with pytest.raises(XTagValueError, match="text.h5 cannot be read as HDF5"):
        read_frames(text)
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["spectrum"] = np.zeros(7)
    with pytest.raises(XTagValueError, match="none.h5 holds no two-dimensional data set"):
        read_frames(tmp_path / "none.h5")
    with h5py.File(path, "a") as file:
        file["tall"].attrs["truth"] = [1, 0]
    with pytest.raises(XTagValueError, match="'tall' has 2 values of `truth`.* 3 `tags`"):
        read_frames(path)
