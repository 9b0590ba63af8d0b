"""What is assumed of numbers that are no counts is said once a run, for each key, and costs no frame its tags."""

import h5py
import hdf5plugin
import numpy as np
import pytest
from support.models import CountsModel

from bluesky_xtag.documents import FrameId
from bluesky_xtag.frames import FORMATS, Frame
from bluesky_xtag.frames.sources import FileImages, InlineImages
from bluesky_xtag.tagger.scoring import tag_together

SHAPE = (96, 128)


def counts(seed=0):
    return np.random.default_rng(seed).poisson(5.0, SHAPE)


def frame(image, run, key="det", seq_num=1, stream="primary"):
    return Frame(FrameId(run, stream, key, seq_num, 0), None, None, InlineImages(image, None))


def words(caplog):
    return [record.getMessage() for record in caplog.records if "The numbers of" in record.getMessage()]


def test_once_a_run_and_key(caplog):
    divided = (counts() / 5000).astype(np.float32)
    for run in ("numbers-1", "numbers-2"):
        for key in ("det", "other"):
            for seq_num in range(1, 30):
                (outcome,) = tag_together(CountsModel(), [frame(divided, run, key, seq_num)])
                assert outcome.status == "ok"
    said = words(caplog)
    assert len(said) == 4
    assert all("multiplied by 5000" in each for each in said)
    assert "The numbers of other in run numbers-2 were divided" in said[3]


def test_a_first_frame_that_tells_nothing_is_not_the_last_one_looked_at(caplog):
    dark = np.zeros(SHAPE, np.float32)
    tag_together(CountsModel(), [frame(dark, "numbers-3", seq_num=1)])
    tag_together(CountsModel(), [frame((counts() / 5000).astype(np.float32), "numbers-3", seq_num=2)])
    assert len(words(caplog)) == 1


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_nothing_is_said_of_counts(caplog, dtype):
    tag_together(CountsModel(), [frame(counts(n).astype(dtype), f"numbers-4-{dtype}", seq_num=n) for n in range(1, 9)])
    assert words(caplog) == []


def test_files_of_a_directory_are_one_run(caplog):
    divided = (counts() / 5000).astype(np.float32)
    for number in range(5):
        tag_together(CountsModel(), [frame(divided, f"/numbers-5/{number}.cbf", "", stream="")])
    assert len(words(caplog)) == 1


@pytest.mark.parametrize("shape", [SHAPE, (1, 40), (40, 1), (2, 2)])
@pytest.mark.parametrize("value", [np.nan, -1.0, 0.0, 1e30, np.inf])
def test_whatever_the_numbers_are_the_frame_keeps_its_outcome(caplog, shape, value):
    image = np.full(shape, value, np.float32)
    (outcome,) = tag_together(CountsModel(), [frame(image, f"numbers-6-{shape}-{value}")])
    assert outcome.status == ("ok" if value >= 0 and np.isfinite(value) else "unreadable")


class Unpacking(CountsModel):
    """Takes images that are still compressed."""

    unpacks = True

    def predict(self, images, beam_centres=None, masks=None):
        return super().predict([image.unpack() for image in images], beam_centres, masks)


def test_of_images_that_are_still_compressed(caplog, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        images = 4 * np.stack([counts(n) for n in range(2)]).astype(np.uint32)
        file.create_dataset("images", data=images, chunks=(1, *SHAPE), **hdf5plugin.Bitshuffle(cname="lz4"))
    source = FileImages(FORMATS["hdf5"], str(tmp_path / "a.h5"), "/images", 0, None)
    packed = Frame(FrameId("numbers-7", "primary", "det", 1, 0), None, None, source)
    assert not isinstance(packed.packed(), np.ndarray)
    (outcome,) = tag_together(Unpacking(), [packed])
    assert outcome.status == "ok"
    assert "whole multiples of 4" in words(caplog)[0]
