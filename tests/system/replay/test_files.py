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


@pytest.fixture
def moved(tmp_path):
    """A master whose images were in /gone/mount, as it says, and are in "here" now."""
    (tmp_path / "here" / "2019").mkdir(parents=True)
    nexus(tmp_path / "master.nxs", tmp_path / "here" / "2019" / "data_1.hdf5")
    with h5py.File(tmp_path / "master.nxs", "a") as file:
        del file["entry/data/data_000001"]
        file["entry/data/data_000001"] = h5py.ExternalLink("/gone/mount/2019/data_1.hdf5", "entry/data/data")
    return tmp_path


def test_the_images_of_a_master_are_found_where_they_are_now(moved):
    roots = {"/gone/mount": str(moved / "here")}
    tag_files(moved / "master.nxs", moved / "tags.csv", model=Seeing(), root_map=roots)
    table = pd.read_csv(moved / "tags.csv")
    assert list(table["xtag_status"]) == ["ok", "ok"]
    np.testing.assert_allclose(table["xtag_p_ring"], [0.3, 0.4], rtol=1e-6)


def test_without_a_root_map_the_missing_file_is_named(moved):
    counts = tag_files(moved / "master.nxs", moved / "tags.csv", model=Seeing())
    assert counts["ok"] == 0 and counts["unreadable"] >= 1
    assert pd.read_csv(moved / "tags.csv")["xtag_reason"].str.contains("/gone/mount/2019/data_1.hdf5").all()


def test_images_that_a_moved_link_shows_again_are_one_row(moved):
    roots = {"/gone/mount": str(moved / "here")}
    files = [moved / "master.nxs", moved / "here" / "2019" / "data_1.hdf5"]
    assert tag_files(files, moved / "tags.csv", model=Seeing(), root_map=roots)["ok"] == 2


@pytest.mark.parametrize("named", ["/gone/mount", "/gone/mount/2019"])
def test_the_command_takes_roots(moved, named):
    now = moved / "here" if named == "/gone/mount" else moved / "here" / "2019"
    out = moved / "tags.csv"
    options = ["--out", str(out), "--root-map", "X:\\data=/elsewhere", "--root-map", f"{named}={now}"]
    done = CliRunner().invoke(app, ["tag-files", str(moved / "master.nxs"), *options])
    assert done.exit_code == 0, done.output
    assert "2 frames: ok 2" in done.output


def test_a_folder_gives_a_table_with_its_header_alone_and_a_word(tmp_path, caplog):
    (tmp_path / "series").mkdir()
    counts = tag_files(tmp_path / "series", tmp_path / "tags.csv", model=Seeing())
    assert set(counts.values()) == {0}
    table = pd.read_csv(tmp_path / "tags.csv")
    assert len(table) == 0
    assert {"file", "dataset", "index", "xtag_p_ring", "xtag_tags", "xtag_status", "xtag_reason"} <= set(table)
    assert "series is a directory: name the files in it" in caplog.text


def test_a_pattern_passes_folders_over_without_a_word(tmp_path, caplog):
    (tmp_path / "a.h5").mkdir()
    (tmp_path / "series.edf").mkdir()
    fabio.edfimage.EdfImage(data=image(2)).write(str(tmp_path / "series_1.edf"))
    assert tag_files(tmp_path / "series*", tmp_path / "tags.csv", model=Seeing())["ok"] == 1
    assert "is a directory" not in caplog.text


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_header_of_an_empty_table_is_that_of_a_full_one(tmp_path, suffix):
    fabio.edfimage.EdfImage(data=image(2)).write(str(tmp_path / "a.edf"))
    (tmp_path / "folder").mkdir()
    tables = []
    for name in ("a.edf", "folder"):
        out = tmp_path / f"{name}{suffix}"
        tag_files(tmp_path / name, out, model=Seeing())
        tables.append(pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out))
    assert list(tables[0]) == list(tables[1]) and len(tables[1]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replay"], "Missing argument 'catalog'"),
        (["replay", "nowhere"], "there is no catalogue 'nowhere'"),
        (["tag-files", "a.h5"], "Missing option '--out'"),
        (["tag-files", "a.h5", "--out", "a.txt"], "a.txt must end in .csv or .parquet"),
        (["tag-files", "a.h5", "--out", "a.csv", "--root-map", "/old"], "--root-map /old: give OLD=NEW"),
        (["tag-files", "a.h5", "--out", "a.csv", "--root-map", "=/new"], "--root-map =/new: give OLD=NEW"),
        (["tag-files", "a.h5", "--out", "a.csv", "--root-map", "/old="], "--root-map /old=: give OLD=NEW"),
        (["decisions", "nowhere"], "there is no catalogue 'nowhere'"),
    ],
)
def test_wrong_arguments_are_explained(arguments, message):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and message in " ".join(done.output.split())
