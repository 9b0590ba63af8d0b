"""Files of labelled frames, as anybody may have written them."""

import h5py
import numpy as np
import pytest

from bluesky_xtag import XTagValueError
from bluesky_xtag.frames import LabelledFrame, each_frame, open_labelled, read_frames


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


@pytest.mark.parametrize(
    ("source", "detector", "origin"),
    [
        ("owner/repository@0a1b2c:folder/file.tif", "Pilatus", "owner/repository"),
        ("beamline 7: run 12", "", "beamline 7"),
        ("beamline@run 12", "", "beamline"),
        (" beamline ", "Pilatus", "beamline"),
        ("https://example.org/12", "Pilatus", "https://example.org/12"),
        ("https://example.org:8080/12@1", "", "https://example.org:8080/12@1"),
        ("s3://bucket/file.h5:3", "", "s3://bucket/file.h5:3"),
        ("beamline: https://example.org/12", "", "beamline"),
        (":file", "Pilatus 1M ", "Pilatus 1M"),
        ("", "", ""),
    ],
)
def test_where_a_frame_comes_from(tmp_path, source, detector, origin):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.zeros((3, 4))
        file["a"].attrs.update({"source": source, "detector": detector})
    (frame,) = each_frame(tmp_path / "a.h5")
    assert frame.origin == LabelledFrame("a", frame.pixels, source=source, detector=detector).origin == origin


def test_masks_belong_to_their_frames_and_are_none(path):
    with h5py.File(path, "a") as file:
        file["masks/tall"] = np.eye(9, 4, dtype=np.uint8)
        file["masks/set/wide"] = np.zeros((4, 9), bool)
    frames = {frame.name: frame for frame in each_frame(path)}
    assert set(frames) == {"set/another", "set/wide", "tall"}
    assert frames["tall"].mask.dtype == bool and frames["tall"].mask.sum() == 4
    assert frames["set/wide"].mask.shape == (4, 9) and frames["set/another"].mask is None


def test_frames_are_read_by_name_and_their_tags_defined(path):
    with open_labelled(path) as file:
        assert len(file) == 3 and file.tags == ("ring", "halo", "spots")
        assert file.read("tall").pixels.shape == (9, 4)
        assert file.definitions == {"ring": "", "halo": "", "spots": ""}
    with h5py.File(path, "a") as file:
        file.attrs["definitions"] = ["a", "b"]
    with open_labelled(path) as file, pytest.raises(XTagValueError, match="3 `tags` but gives 2 `definitions`"):
        _ = file.definitions
