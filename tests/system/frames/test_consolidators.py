"""Streams whose files Bluesky's consolidators and Tiled's adapters read."""

import subprocess
import sys

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


def test_a_sequence_of_files_with_several_images_each(tmp_path):
    import tifffile

    for number in range(3):
        tifffile.imwrite(tmp_path / f"a_{number:06d}.tiff", numbered(6)[2 * number : 2 * number + 2])
    parameters = {"template": "a_{:06d}.tiff", "chunk_shape": [2, 24, 32], "join_method": "concat"}
    kind = "multipart/related;type=image/tiff"
    frames = streamed(f"{tmp_path.as_uri()}/", STREAMED | {"shape": [2, 24, 32]}, 0, 3, kind, **parameters)
    np.testing.assert_array_equal([frame.pixels() for frame in frames], numbered(6))


def test_a_sequence_of_jpegs_and_a_torn_one(tmp_path):
    import imagecodecs

    for number in range(3):
        whole = imagecodecs.jpeg_encode(np.full((24, 32, 3), 40 * number, np.uint8), level=95)
        (tmp_path / f"a_{number}.jpg").write_bytes(whole if number < 2 else whole[: len(whole) // 8])
    parameters = {"template": "a_{:d}.jpg", "chunk_shape": [1, 24, 32]}
    kind = "multipart/related;type=image/jpeg"
    frames = streamed(f"{tmp_path.as_uri()}/", STREAMED | {"shape": [1, 24, 32]}, 0, 3, kind, **parameters)
    assert [int(frame.pixels().mean()) for frame in frames[:2]] == [0, 120]  # colours are added up
    with pytest.raises(FrameNotReady, match="cannot be read yet"):
        frames[2].pixels()


def test_pickles_in_npy_files_are_never_opened(tmp_path):
    np.save(tmp_path / "a_0.npy", np.array([[{}]], object), allow_pickle=True)
    kind = "multipart/related;type=application/x-npy"
    (frame,) = streamed(f"{tmp_path.as_uri()}/", STREAMED | {"shape": [24, 32]}, 0, 1, kind, filename="a")
    with pytest.raises(FrameNotReady, match="Python objects"):
        frame.pixels()


SESSION = """
import sys, threading, time
import numpy as np, tifffile
from event_model import compose_run
from support.models import CountsModel
from bluesky_xtag.tagger import Tagger

place = sys.argv[1]
for number in range(2):
    tifffile.imwrite(f"{place}/a_{number}.tiff", np.full((24, 32), number + 1, np.uint16))
del sys.modules["tifffile"]
tagger, run = Tagger(CountsModel(), deadline=60), compose_run()
tagger("start", run.start_doc)
assert "bluesky.consolidators" not in sys.modules
key = {"source": "x", "dtype": "array", "shape": [1, 24, 32], "external": "STREAM:", "dtype_numpy": "<u2"}
stream = run.compose_descriptor(name="primary", data_keys={"det": key})
tagger("descriptor", stream.descriptor_doc)
begin = time.monotonic()
while any(thread.name == "xtag-imports" for thread in threading.enumerate()) and time.monotonic() - begin < 60:
    time.sleep(0.01)
assert {"tifffile", "imagecodecs", "bluesky.consolidators"} <= set(sys.modules), "not imported at the descriptor"
before = set(sys.modules)
resource = run.compose_stream_resource(
    mimetype="multipart/related;type=image/tiff", uri=f"file://localhost{place}/", data_key="det",
    parameters={"template": "a_{:d}.tiff", "chunk_shape": [1, 24, 32]},
)
tagger("stream_resource", resource.stream_resource_doc)
span = {"indices": {"start": 0, "stop": 2}, "seq_nums": {"start": 1, "stop": 3}}
ids = {"uid": "x", "stream_resource": resource.stream_resource_doc["uid"], "descriptor": stream.descriptor_doc["uid"]}
tagger("stream_datum", span | ids)
tagger.prepare(tagger.unwritten(run.start_doc["uid"]))
tagger.trigger().exception(60)
(page,) = tagger.collect_pages()
assert page["data"]["xtag_status"] == ["ok", "ok"], page["data"]
assert not [name for name in sys.modules if name.startswith("tiled.adapters")], "Tiled's adapters were imported"
"""


def test_a_stream_of_tiffs_imports_what_it_needs_at_its_descriptor(tmp_path):
    script = f"import sys; sys.path[:0] = {sys.path!r}\n{SESSION}"
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr


def test_unreadable_formats_and_places_never_come(tmp_path):
    assert_never(streamed("http://localhost/a.h5")[0], "only file URIs")
    assert_never(streamed("file://localhost/a", mimetype="application/x-home-made")[0], "x-home-made")
    assert_never(streamed("file://localhost/a.h5", slice="(:, 0)")[0], "slice")
