"""Which frames are taken, and what their user knows of them: checked once, when it is said."""

import dataclasses

import numpy as np
import pytest

from bluesky_xtag import XTagValueError
from bluesky_xtag.frames import FrameSelection

MASK = np.eye(6, 8, dtype=bool)
IMAGE = {"dtype": "array", "shape": [24, 32]}
KEYS = {"det": IMAGE, "motor": {"dtype": "number", "shape": []}, "camera": IMAGE}


def test_without_a_word_all_images_but_those_of_dark_baseline_and_tags_are_taken():
    selection = FrameSelection()
    assert selection.choose_keys(KEYS) == ["det", "camera"]
    assert [selection.takes_stream(name) for name in ("primary", "fly", "dark", "baseline", "tags")] == [1, 1, 0, 0, 0]
    assert selection.mask_of("det") is None and selection.fixed_centre is None


@pytest.mark.parametrize(
    "name",
    """dark darks Dark DARKS dark_field dark_fields darkfield dark-frames dark_frame dark_images dark_current darknoise
    flat flats flat_field flat_fields flatfield flat-field flat_images white whites white_field white_frames bright
    bright_field background backgrounds background_images bkg blank blanks baseline""".split(),
)
def test_streams_of_the_detector_alone_are_left_out_unless_they_are_named(name):
    assert not FrameSelection().takes_stream(name)
    assert FrameSelection(streams=[name]).takes_stream(name)


@pytest.mark.parametrize(
    "name",
    """primary fly darkness dark_matter sample_dark bright_spots flatness whiteline background_corrected blank_holder
    dark_sample frames images fields flat_top_sample tomo label_sync_darks_with_sample""".split(),
)
def test_streams_that_only_sound_alike_are_taken(name):
    assert FrameSelection().takes_stream(name)


@pytest.mark.parametrize("names", ["dark", ["dark"], ("dark", "tags"), {"dark"}, iter(["dark"])])
def test_named_streams_are_taken_but_never_the_tags(names):
    selection = FrameSelection(streams=names)
    assert [selection.takes_stream(name) for name in ("primary", "dark", "tags")] == [False, True, False]


@pytest.mark.parametrize("names", ["motor", ["motor", "absent"]])
def test_named_keys_are_taken_whatever_they_look_like(names):
    assert FrameSelection(key=names).choose_keys(KEYS) == ["motor"]


def test_a_mask_is_of_all_keys_or_of_one(tmp_path):
    np.save(tmp_path / "mask.npy", MASK)
    np.testing.assert_array_equal(FrameSelection(mask=tmp_path / "mask.npy").mask_of("det"), MASK)
    selection = FrameSelection(mask={"det": tmp_path / "mask.npy", "camera": MASK * 2})
    for key in ("det", "camera"):
        np.testing.assert_array_equal(selection.mask_of(key), MASK)
    assert selection.mask_of("other") is None


def test_files_have_no_keys_that_could_tell_a_beam_centre():
    assert FrameSelection(beam_centre=(3, 4)).fixed_centre == (3.0, 4.0)
    with pytest.raises(XTagValueError, match="files have no such keys"):
        _ = FrameSelection(beam_centre=("x", "y")).fixed_centre


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"key": 5}, "key=5: give a name or several names"),
        ({"streams": ["primary", None]}, "streams=.*: give a name or several names"),
        ({"beam_centre": (1,)}, "beam_centre="),
        ({"mask": "absent.npy"}, "the mask file absent.npy cannot be read"),
        ({"mask": {"det": MASK[0]}}, r"shape \(8,\)"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_said(wrong, match):
    with pytest.raises(XTagValueError, match=match):
        FrameSelection(**wrong)


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FrameSelection().key = "det"  # pyright: ignore[reportAttributeAccessIssue]
