import h5py
import numpy as np
import pytest

from bluesky_xtag.errors import FrameNotReady, XTagError, XTagValueError
from bluesky_xtag.frames import each_frame
from bluesky_xtag.review.export import LabelledFrame, write_labelled
from bluesky_xtag.train.adapt.examples_of_frames import source


def frames(count=2):
    for number in range(count):
        yield LabelledFrame(
            f"frame{number}",
            np.full((12, 10), number, np.uint16),
            {"ring": number == 0},
            (4.5, 6.0) if number else None,
            {"source": "run 1: point 2"},
        )


def test_what_was_written_is_what_training_and_evaluation_read(tmp_path):
    out = tmp_path / "mine.h5"
    assert write_labelled(out, ["halo", "ring"], frames()) == 2
    first, second = each_frame(out)
    assert (first.present, first.absent, first.beam_centre) == ({"ring"}, set(), None)
    assert (second.present, second.absent, second.beam_centre) == (set(), {"ring"}, (4.5, 6.0))
    assert second.pixels.dtype == np.uint16 and (second.pixels == 1).all()
    with h5py.File(out) as file:
        assert list(file["frame0"].attrs["truth"]) == [-1, 1]
        assert source("frame0", file["frame0"].attrs) == "run 1"
    assert list(tmp_path.iterdir()) == [out]


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
