"""Arrays inside events become frames."""

import itertools

import bluesky.plans as bp
import numpy as np
import pytest
from event_model import pack_event_page
from ophyd.sim import SynSignal
from support.frames_fixtures import (
    IMAGE,
    Documents,
    Seen,
    frames_of,
    inline,
    numbered,
)

from bluesky_xtag.frames.sources import InlineImages


@pytest.mark.parametrize("leading", [(), (3,), (3, 1), (2, 2)])
def test_scan_with_arrays_in_its_events(RE, leading):  # noqa: N803
    count = itertools.count()
    per_event = int(np.prod(leading))

    def image():
        return numbered(per_event, first=per_event * next(count)).reshape(*leading, 24, 32)

    detector = SynSignal(func=image, name="det")
    first = next(count) * per_event  # ophyd takes a value when it makes the signal
    seen = Seen()
    (run,) = RE(bp.count([detector], 3), seen)
    assert seen.where() == [("det", s, i) for s in (1, 2, 3) for i in range(per_event)]
    assert {(frame.id.run, frame.id.stream, frame.beam_centre) for frame in seen.frames} == {(run, "primary", None)}
    events = {doc["seq_num"]: doc["uid"] for name, doc in seen.documents if name == "event"}
    assert all(frame.id.event == events[frame.id.seq_num] for frame in seen.frames)
    for frame, number in zip(seen.frames, itertools.count(first + per_event), strict=False):
        np.testing.assert_array_equal(frame.pixels(), numbered(1, first=number)[0])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "float32", ">u2"])
def test_dtypes_are_kept_in_native_byte_order(dtype):
    (frame,) = inline(numbered(1, dtype=dtype)[0])
    pixels = frame.pixels()
    assert pixels.dtype == np.dtype(dtype).newbyteorder("=") and pixels.dtype.isnative
    np.testing.assert_array_equal(pixels, numbered(1)[0])


def test_nested_lists_of_a_transported_document():
    frames = inline(numbered(3).tolist())
    assert [frame.pixels()[1, 1] for frame in frames] == [0, 1, 2]
    assert frames[0].pixels().shape == (24, 32)


def test_array_is_referred_to_and_not_copied():
    image = numbered(1)[0]
    assert np.shares_memory(inline(image)[0].pixels(), image)


def test_event_page():
    run = Documents()
    bundle = run.descriptor({"det": IMAGE, "x": {"dtype": "number", "shape": []}})
    events = [run.event(bundle, {"det": image, "x": 1.0}) for image in numbered(4)]
    frames = frames_of([*run.all[:2], ("event_page", pack_event_page(*events))])
    assert [(frame.id.event, frame.id.seq_num, frame.pixels()[1, 1]) for frame in frames] == [
        (event["uid"], event["seq_num"], number) for number, event in enumerate(events)
    ]


@pytest.mark.parametrize("leading", [(), (3,), (3, 1), (1, 3)])
@pytest.mark.parametrize("colours", [(), (3,)])
def test_a_mask_that_comes_with_the_pixels_stays_with_them(leading, colours):
    pixels = np.ones((*leading, 24, 32, *colours), np.int32)
    hidden = np.zeros(pixels.shape, bool)
    hidden[(..., slice(3, 9), slice(4, 20), *(slice(None) for _ in colours))] = True
    expected = np.zeros((24, 32), bool)
    expected[3:9, 4:20] = True
    image = InlineImages(np.ma.MaskedArray(pixels, hidden), (24, 32)).read(0)
    assert image.shape == (24, 32)
    np.testing.assert_array_equal(np.ma.getmaskarray(image), expected)
