"""Streams whose files Bluesky's consolidators and Tiled's adapters read."""

import numpy as np
import pytest
from support.frames_fixtures import (
    STREAMED,
    Documents,
    assert_never,
    frames_of,
    numbered,
    streamed,
    write_file,
)

from bluesky_xtag.errors import FrameNotReady


def test_frame_numbers_agree_with_blueskys_consolidator(tmp_path):
    from bluesky.consolidators import consolidator_factory

    path = write_file(tmp_path / "a.h5", numbered(6))
    run = Documents()
    bundle = run.descriptor({"det": STREAMED | {"shape": [2, 24, 32]}})
    resource = run.stream_resource(f"file://localhost{path}")
    datum = run.stream_datum(resource, bundle, 0, 3)
    consolidator = consolidator_factory(resource.stream_resource_doc, bundle.descriptor_doc)
    consolidator.consume_stream_datum(datum)
    np.testing.assert_array_equal([f.pixels() for f in frames_of(run.all)], consolidator.get_adapter().read())


@pytest.mark.parametrize("mimetype", ["image/tiff", "application/x-npy"])
def test_image_sequences_through_blueskys_consolidators(tmp_path, mimetype):
    import tifffile

    for number, image in enumerate(numbered(3)):
        tifffile.imwrite(tmp_path / f"a_{number:06d}.tiff", image)
        np.save(tmp_path / f"a_{number}.npy", image)
    tiff = mimetype == "image/tiff"
    shape = [1, 24, 32] if tiff else [24, 32]
    parameters = {"template": "a_{:06d}.tiff", "chunk_shape": [1, 24, 32]} if tiff else {"filename": "a"}
    frames = streamed(
        f"{tmp_path.as_uri()}/", STREAMED | {"shape": shape}, 1, 4, f"multipart/related;type={mimetype}", **parameters
    )
    assert [frame.pixels()[1, 1] for frame in frames[:2]] == [1, 2]
    with pytest.raises(FrameNotReady, match="cannot be read yet"):
        frames[2].pixels()


def test_unreadable_formats_and_places_never_come(tmp_path):
    assert_never(streamed("http://localhost/a.h5")[0], "only file URIs")
    assert_never(streamed("file://localhost/a", mimetype="application/x-home-made")[0], "x-home-made")
    assert_never(streamed("file://localhost/a.h5", slice="(:, 0)")[0], "slice")
