"""Files without a catalogue: every image is a row, whatever format; what cannot be read is a row too."""

import fabio
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest
from support.models import CountsModel
from typer.testing import CliRunner

from bluesky_xtag import FrameError, XTagValueError
from bluesky_xtag.cli import app
from bluesky_xtag.frames import data_sets, read
from bluesky_xtag.replay import tag_files


def image(number, shape=(24, 32), dtype=np.int32):
    """An image whose first pixel says which it is."""
    pixels = np.ones(shape, dtype)
    pixels[0, 0] = number
    return pixels


@pytest.fixture
def directory(tmp_path):
    """One file of each kind, with images 1, 2 ... in the order of their names, and three that cannot be read."""
    fabio.cbfimage.CbfImage(data=image(1)).write(str(tmp_path / "a.cbf"))
    fabio.edfimage.EdfImage(data=image(2)).write(str(tmp_path / "b.edf"))
    nexus(tmp_path / "c.nxs", tmp_path / "data_1.hdf5")
    fabio.tifimage.TifImage(data=image(5)).write(str(tmp_path / "d.tif"))
    (tmp_path / "e.h5").write_text("no HDF5")
    whole = (tmp_path / "a.cbf").read_bytes()
    (tmp_path / "f.cbf").write_bytes(whole[: len(whole) // 2])
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["spectrum"] = np.arange(100)
    return tmp_path


def nexus(path, data):
    """A master file as detectors write it: images by an external link, reached by two names, and a mask."""
    with h5py.File(data, "w") as file:
        file.create_dataset("entry/data/data", data=np.stack([image(3), image(4)]), **hdf5plugin.Bitshuffle())
    with h5py.File(path, "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink(data.name, "entry/data/data")
        file["entry/instrument/detector/data"] = h5py.SoftLink("/entry/data/data_000001")
        file["entry/instrument/detector/pixel_mask"] = np.zeros((24, 32), np.uint32)
        file["entry/instrument/detector/flatfield"] = np.ones((24, 32), np.float32)
        file["entry/data/gone"] = h5py.ExternalLink("gone.h5", "data")


def patterns(directory):
    return [directory / "[a-d].*", directory / "[e-g].*"]


class Seeing(CountsModel):
    """Says in its score of "ring" which image it was."""

    def score(self, image):
        return [0.0, float(image.flat[0]) / 10]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_each_image_of_each_kind_of_file_is_a_row(directory, suffix):
    out = directory / f"tags{suffix}"
    counts = tag_files(patterns(directory), out, model=Seeing())
    assert counts == {"ok": 5, "late": 0, "dropped": 0, "unreadable": 3, "failed": 0}
    table = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    good, bad = table[:5], table[5:]
    np.testing.assert_allclose(good["xtag_p_ring"], [0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-6)
    assert [path.rpartition("/")[2] for path in good["file"]] == ["a.cbf", "b.edf", "c.nxs", "c.nxs", "d.tif"]
    assert list(good["index"]) == [0, 0, 0, 1, 0] and set(good["xtag_status"]) == {"ok"}
    assert set(bad["xtag_status"]) == {"unreadable"} and bad["xtag_p_ring"].isna().all()
    assert "no data set that looks like images" in bad["xtag_reason"].iloc[2]
    assert set(table["xtag_model"]) == {"counts 1"}


def test_data_sets_are_found_by_what_they_hold(directory):
    assert list(data_sets(str(directory / "c.nxs"))) == [("/entry/data/data_000001", 2)]
    mask = "entry/instrument/detector/pixel_mask"
    assert list(data_sets(str(directory / "c.nxs"), mask)) == [(f"/{mask}", 1)]
    with pytest.raises(FrameError, match="has no data set 'elsewhere'"):
        list(data_sets(str(directory / "c.nxs"), "elsewhere"))
    with h5py.File(directory / "flat.h5", "w") as file:
        file["one"], file["two"] = image(1), image(2)
    assert list(data_sets(str(directory / "flat.h5"))) == [("/one", 1), ("/two", 1)]


def test_pixels_come_as_they_were_written(directory):
    for name in ("a.cbf", "b.edf", "d.tif"):
        pixels = read(str(directory / name), "", 0)
        assert pixels.dtype == np.int32 and pixels.shape == (24, 32)
    with pytest.raises(FrameError, match="gone.cbf does not exist"):
        read(str(directory / "gone.cbf"), "", 0)


def test_what_does_not_fit_is_explained(directory):
    with pytest.raises(XTagValueError, match="must end in .csv or .parquet"):
        tag_files(directory / "a.cbf", directory / "tags.txt", model=Seeing())
    with pytest.raises(XTagValueError, match="no file matches .*nothing"):
        tag_files(directory / "nothing*", directory / "tags.csv", model=Seeing())
    with pytest.raises(XTagValueError, match="there is no directory"):
        tag_files(directory / "a.cbf", directory / "nowhere" / "tags.csv", model=Seeing())
    tag_files(directory / "a.cbf", directory / "tags.csv", model=Seeing())
    with pytest.raises(XTagValueError, match="tags.csv exists: choose another name"):
        tag_files(directory / "a.cbf", directory / "tags.csv", model=Seeing())


def test_the_command_tags_files(directory):
    out = directory / "tags.csv"
    done = CliRunner().invoke(app, ["tag-files", *map(str, sorted(directory.glob("*.cbf"))), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "2 frames: ok 1, unreadable 1" in done.output
    assert len(pd.read_csv(out)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replay"], "Missing argument 'catalog'"),
        (["replay", "nowhere"], "there is no catalogue 'nowhere'"),
        (["tag-files", "a.h5"], "Missing option '--out'"),
        (["tag-files", "a.h5", "--out", "a.txt"], "a.txt must end in .csv or .parquet"),
        (["decisions", "nowhere"], "there is no catalogue 'nowhere'"),
    ],
)
def test_wrong_arguments_are_explained(arguments, message):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and message in " ".join(done.output.split())
