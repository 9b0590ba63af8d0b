"""Files of labelled frames that are written here: what was written is read again, and a file is whole or not there."""

import h5py
import numpy as np
import pytest

from bluesky_xtag.errors import FrameNotReady, XTagError, XTagValueError
from bluesky_xtag.frames import LabelledFrame, as_source, each_frame, join_labelled, write_labelled, write_part


def frames(count=2):
    for number in range(count):
        yield LabelledFrame(
            f"frame{number}",
            np.full((12, 10), number, np.uint16),
            {"ring": number == 0},
            (4.5, 6.0) if number else None,
            mask=np.eye(12, 10, dtype=bool) if number else None,
            source="run 1: point 2",
            detector="Pilatus" if number else "",
            attributes={"note": "flat", "distance": 1.5},
        )


def test_what_was_written_is_read_again(tmp_path):
    out = tmp_path / "mine.h5"
    assert write_labelled(out, ["halo", "ring"], frames()) == 2
    first, second = each_frame(out)
    assert (first.present, first.absent, first.beam_centre, first.mask) == ({"ring"}, set(), None, None)
    assert (second.present, second.absent, second.beam_centre) == (set(), {"ring"}, (4.5, 6.0))
    assert second.pixels.dtype == np.uint16 and (second.pixels == 1).all()
    np.testing.assert_array_equal(second.mask, np.eye(12, 10, dtype=bool))
    assert (second.source, second.detector) == ("run 1: point 2", "Pilatus")
    assert second.attributes == {"note": "flat", "distance": 1.5}
    assert list(tmp_path.iterdir()) == [out]


def test_the_layout_is_the_one_that_is_stored(tmp_path):
    write_labelled(tmp_path / "mine.h5", ["halo", "ring"], frames())
    with h5py.File(tmp_path / "mine.h5") as file:
        assert list(file.attrs["tags"]) == ["halo", "ring"]
        assert set(file) == {"frame0", "frame1", "masks"} and set(file["masks"]) == {"frame1"}
        assert file["masks/frame1"].dtype == bool
        assert set(file["frame0"].attrs) == {"truth", "source", "note", "distance"}
        about = file["frame1"].attrs
        assert set(about) == {"truth", "beam_centre_xy", "source", "detector", "note", "distance"}
        assert about["truth"].dtype == np.int8 and list(about["truth"]) == [-1, 0]
        assert about["beam_centre_xy"].dtype == np.float32 and list(about["beam_centre_xy"]) == [4.5, 6.0]


OWN, USERS = np.eye(12, 10, dtype=bool), np.zeros((12, 10), bool)
USERS[:, 3] = True


@pytest.mark.parametrize(
    ("own", "users", "wanted"),
    [
        (OWN, None, OWN),
        (OWN, USERS, OWN | USERS),
        (None, USERS, USERS),
        (np.zeros_like(OWN), None, None),
        (np.zeros_like(OWN), USERS, USERS),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_the_mask_that_came_with_the_pixels_is_written_and_read_again(tmp_path, own, users, wanted, dtype):
    counts = np.arange(120).reshape(12, 10).astype(dtype)
    pixels = counts if own is None else np.ma.MaskedArray(counts, own)
    write_labelled(tmp_path / "mine.h5", ["ring"], [LabelledFrame("deep/frame", pixels, {"ring": True}, mask=users)])
    (frame,) = each_frame(tmp_path / "mine.h5")
    assert type(frame.pixels) is np.ndarray and frame.pixels.dtype == dtype
    np.testing.assert_array_equal(frame.pixels, counts)  # also below the mask
    assert (frame.mask is None) == (wanted is None)
    if wanted is not None:
        assert frame.mask.dtype == bool
        np.testing.assert_array_equal(frame.mask, wanted)


def test_joined_files_hold_what_one_would(tmp_path):
    parts = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for part, frame in zip(parts, frames(), strict=True):
        write_part(part, frame, ["halo", "ring"])
    join_labelled(tmp_path / "joined.h5", parts, ["halo", "ring"], {"seed": 3})
    with h5py.File(tmp_path / "joined.h5") as file:
        assert file.attrs["seed"] == 3 and list(file.attrs["tags"]) == ["halo", "ring"]
    first, second = each_frame(tmp_path / "joined.h5")
    assert (first.name, first.present, second.name, second.absent) == ("frame0", {"ring"}, "frame1", {"ring"})
    np.testing.assert_array_equal(second.mask, np.eye(12, 10, dtype=bool))


def test_all_of_a_name_counts_as_source():
    frame = LabelledFrame("a", np.zeros((2, 2)), source=as_source("batch 7: sample@home"))
    assert frame.origin == "batch 7  sample home"


def failing(error):
    yield from frames(1)
    raise error


@pytest.mark.parametrize(
    ("error", "expected", "match"),
    [
        (OSError(28, "No space left on device"), XTagError, "cannot be written.*No space left.*no file was left"),
        (FrameNotReady("gone"), FrameNotReady, "gone"),
        (KeyboardInterrupt("stopped"), KeyboardInterrupt, "stopped"),
    ],
)
def test_whatever_fails_there_is_a_whole_file_or_none(tmp_path, error, expected, match):
    with pytest.raises(expected, match=match):
        write_labelled(tmp_path / "mine.h5", ["ring"], failing(error))
    assert not list(tmp_path.iterdir())


def test_nothing_is_replaced_and_no_empty_file_is_made(tmp_path):
    out = tmp_path / "mine.h5"
    out.write_text("mine")
    with pytest.raises(XTagValueError, match="mine.h5 exists"):
        write_labelled(out, ["ring"], frames())
    assert out.read_text() == "mine"
    with pytest.raises(XTagValueError, match="no directory"):
        write_labelled(tmp_path / "nowhere" / "mine.h5", ["ring"], frames())
    with pytest.raises(XTagValueError, match="no labelled frame"):
        write_labelled(tmp_path / "other.h5", ["ring"], [])
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    out = tmp_path / "mine.h5"

    def slow():
        yield from frames(1)
        out.write_text("another's")

    with pytest.raises(XTagValueError, match="exists"):
        write_labelled(out, ["ring"], slow())
    assert out.read_text() == "another's" and list(tmp_path.iterdir()) == [out]
