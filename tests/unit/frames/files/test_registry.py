"""A format that is in the registry, and nowhere else, serves live frames, archives, stored runs and masks."""

import pickle

import numpy as np
import pandas as pd
import pytest
from support.frames_fixtures import STREAMED, numbered, streamed
from support.models import CountsModel

from bluesky_xtag.catalog.values import FileValue
from bluesky_xtag.errors import FrameError, FrameNotReady
from bluesky_xtag.frames import FORMATS, FileFormat, can_read, data_sets, load_mask
from bluesky_xtag.frames.files import format_of_mimetype
from bluesky_xtag.replay import tag_files


class Toy(FileFormat):
    """Lines of numbers; an empty line ends an image."""

    suffixes = frozenset({".toy"})
    mimetypes = frozenset({"application/x-toy"})

    def data_sets(self, path, wanted=None):
        yield "", len(self._parts(path))

    def read(self, path, dataset, index, size=None):
        try:
            return np.loadtxt(self._parts(path)[index].splitlines(), dtype=np.uint16, ndmin=2)
        except (FileNotFoundError, IndexError) as error:
            raise FrameNotReady(f"{path} does not hold image {index} yet") from error

    def _parts(self, path):
        with open(path) as file:
            return [part for part in file.read().split("\n\n") if part.strip()]


def write(path, images):
    path.write_text("\n\n".join("\n".join(" ".join(map(str, row)) for row in image) for image in images))
    return path


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(FORMATS, "toy", Toy())


@pytest.fixture
def path(toy, tmp_path):
    return write(tmp_path / "scan 1.toy", numbered(3))


def test_live_frames(toy, tmp_path):
    path = tmp_path / "scan 1.toy"
    frames = streamed(path.as_uri(), start=1, stop=3, mimetype="application/x-toy")
    with pytest.raises(FrameNotReady, match="image 1 yet"):
        frames[0].pixels()
    write(path, numbered(3))
    np.testing.assert_array_equal([frame.pixels() for frame in frames], numbered(3)[1:])
    per_event = streamed(path.as_uri(), STREAMED | {"shape": [3, 24, 32]}, mimetype="application/x-toy")
    np.testing.assert_array_equal([frame.pixels() for frame in per_event], numbered(3))
    again = pickle.loads(pickle.dumps(frames[1]))  # as frames travel to other processes
    np.testing.assert_array_equal(again.pixels(), numbered(3)[2])


def test_archives(path):
    class Numbers(CountsModel):
        def score(self, image):
            return [0.0, float(image.flat[0]) / 10]

    table = path.with_name("tags.csv")
    assert tag_files(path, table, model=Numbers())["ok"] == 3
    np.testing.assert_allclose(pd.read_csv(table)["xtag_p_ring"], [0.0, 0.1, 0.2], rtol=1e-6)


def test_stored_runs(path, tmp_path):
    other = write(tmp_path / "scan 2.toy", numbered(2, first=3))
    assert can_read(str(path))
    value = FileValue((str(path), str(other)), "", 2, None, (2, 24, 32))
    np.testing.assert_array_equal([value[0], value[1]], numbered(2, first=2))


def test_masks(toy, tmp_path):
    mask = np.eye(6, 8, dtype=bool)
    np.testing.assert_array_equal(load_mask(write(tmp_path / "mask.toy", [mask.astype(int)])), mask)


def test_without_the_registry_nobody_knows_it(tmp_path):
    path = write(tmp_path / "a.toy", numbered(3))
    assert not can_read(str(path)) and format_of_mimetype("application/x-toy") is None
    with pytest.raises(FrameError, match="Fabio could not identify"):
        list(data_sets(str(path)))


def test_the_later_of_two_formats_reads_a_file_that_both_know(monkeypatch, tmp_path):
    class Mine(Toy):
        suffixes = frozenset({".tif"})

    monkeypatch.setitem(FORMATS, "mine", Mine())
    mask = np.eye(6, 8, dtype=bool)
    np.testing.assert_array_equal(load_mask(write(tmp_path / "mask.tif", [mask.astype(int)])), mask)
