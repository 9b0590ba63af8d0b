"""What is not a file is refused at once, however a file leads to it: a pipe would hold up all threads of its reader.

HDF5 holds Python's lock meanwhile, so that nothing in the same process could tell: files are read in children.
"""

import os

import h5py
import numpy as np
import pytest
from support.models import CountsModel
from support.reading_in_children import read_in_children

from bluesky_xtag.documents import FrameId
from bluesky_xtag.errors import FrameError
from bluesky_xtag.frames import FORMATS, Frame
from bluesky_xtag.frames.files import HandlerImages
from bluesky_xtag.frames.sources import FileImages
from bluesky_xtag.tagger import ProcessBackend

REFUSED = "is a pipe or a device, not a file"
SUFFIXES = (".h5", ".nxs", ".tif", ".cbf", ".edf", ".mrc", ".npy", "")
CALLS = ("read", "pack", "data sets", "mask", "links")
SHAPE = (64, 48)
DATA = "/entry/data"
STACK = (2, *SHAPE)
END = h5py.h5s.UNLIMITED


def virtual(group, name, source, inner="images", shape=STACK):
    layout = h5py.VirtualLayout(shape, np.int32)
    layout[:] = h5py.VirtualSource(source, inner, shape)
    group.create_virtual_dataset(name, layout)


def endless(group, name, source, inner="images"):
    """A virtual data set that grows with its source: HDF5 looks into that for its size."""
    layout = h5py.VirtualLayout(STACK, np.int32, maxshape=(None, *SHAPE))
    layout[:END] = h5py.VirtualSource(source, inner, STACK, maxshape=(None, *SHAPE))[:END]
    group.create_virtual_dataset(name, layout)


def counted(group, name, source):
    """A virtual data set whose sources have numbers in their names."""
    low = h5py.h5s
    space = low.create_simple(STACK, (END, *SHAPE))
    space.select_hyperslab((0, 0, 0), (END, 1, 1), (2, 1, 1), STACK)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(space, source.encode(), b"images", low.create_simple(STACK))
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.NATIVE_INT32, space, plist)


def raw(group, name, source, shape=STACK):
    group.create_dataset(name, shape, np.int32, external=[(source, 0, 4 * int(np.prod(shape)))])


def images(group, name):
    group[name] = np.ones(STACK, np.int32)


def link(file, to="pipe.h5", inner="/images"):
    return h5py.ExternalLink(str(file.parent / to), inner)


# Each writes a master whose images, or whose mask, lead to pipe.h5; second.h5 leads there, too, by each of its names.
WAYS = {
    "a link": lambda file, path: file.__setitem__(DATA, link(path)),
    "a link by a relative name": lambda file, path: file.__setitem__(DATA, h5py.ExternalLink("pipe.h5", "/images")),
    "a link of a group": lambda file, path: file.__setitem__("entry", link(path, inner="/")),
    "a soft link to a link": lambda file, path: [
        file.__setitem__("away", link(path, inner="/")),
        file.__setitem__(DATA, h5py.SoftLink("/away/images")),
    ],
    "a relative soft link to a link": lambda file, path: [
        file.__setitem__("entry/away", link(path, inner="/")),
        file.__setitem__(DATA, h5py.SoftLink("away/images")),
    ],
    **{
        f"a link to {inner}": lambda file, path, inner=inner: file.__setitem__(DATA, link(path, "second.h5", inner))
        for inner in ("link", "soft", "virtual", "endless", "raw")
    },
    "a virtual data set": lambda file, path: virtual(file, DATA, str(path.parent / "pipe.h5")),
    "a virtual data set without an end": lambda file, path: endless(file, DATA, str(path.parent / "pipe.h5")),
    "sources that count": lambda file, path: counted(file.create_group("entry"), "data", "%b.pipe"),
    **{
        f"a virtual data set of {inner}": lambda file, path, inner=inner: virtual(file, DATA, "second.h5", inner)
        for inner in ("link", "virtual", "endless", "raw")
    },
    "raw data": lambda file, path: raw(file, DATA, str(path.parent / "pipe.h5")),
}
OF_MASKS = {
    "a link": lambda group, path: group.__setitem__("pixel_mask", link(path)),
    "a virtual data set": lambda group, path: virtual(group, "pixel_mask", str(path.parent / "pipe.h5"), shape=SHAPE),
    "raw data": lambda group, path: raw(group, "pixel_mask", str(path.parent / "pipe.h5"), SHAPE),
}
IN_HDF5 = ("read", "read any", "pack", "moved", "handler", "data sets", "rows", "mask in HDF5", "links", "labelled")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pipes")
    for name in ("pipe.h5", "0.pipe", *(f"pipe{suffix}" for suffix in SUFFIXES if suffix != ".h5")):
        os.mkfifo(directory / name)
    (directory / "endless.cbf").symlink_to("/dev/zero")
    with h5py.File(directory / "second.h5", "w") as file:
        images(file, "images")
        file["link"] = link(directory / "second.h5")
        file["soft"] = h5py.SoftLink("/link")
        virtual(file, "virtual", str(directory / "pipe.h5"))
        endless(file, "endless", str(directory / "pipe.h5"))
        raw(file, "raw", str(directory / "pipe.h5"))
    return directory


def write(path, fill):
    with h5py.File(path, "w", libver="latest") as file:
        fill(file, path)
    return path


@pytest.fixture(scope="module")
def masters(directory):
    found = {way: write(directory / f"{way}.h5", fill) for way, fill in WAYS.items()}
    for way, fill in OF_MASKS.items():

        def with_mask(file, path, fill=fill):
            images(file, DATA)
            fill(file.create_group("entry/instrument/detector"), path)

        found[f"the mask: {way}"] = write(directory / f"mask {way}.h5", with_mask)
    return found


@pytest.fixture(scope="module")
def found(directory, masters):
    """What came of each call on each file."""
    paths = [*(directory / f"pipe{suffix}" for suffix in SUFFIXES), directory / "endless.cbf"]
    return read_in_children(paths, CALLS) | read_in_children(masters.values(), IN_HDF5)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipe_is_refused(found, directory, suffix, call):
    assert REFUSED in found[str(directory / f"pipe{suffix}"), call]


def test_a_device_by_a_link_is_refused(found, directory):
    assert REFUSED in found[str(directory / "endless.cbf"), "read"]


@pytest.mark.parametrize("way", WAYS)
def test_no_reader_waits_however_a_file_leads_to_a_pipe(found, masters, way):
    told = {call: found[str(masters[way]), call] for call in IN_HDF5}
    assert not {"waits", "not tried"} & set(told.values()), told
    for call in ("read", "pack", "moved", "handler", "mask in HDF5", "links"):
        assert REFUSED in told[call], call


@pytest.mark.parametrize("way", OF_MASKS)
def test_no_image_is_read_whose_mask_is_a_pipe(found, masters, way):
    told = {call: found[str(masters[f"the mask: {way}"]), call] for call in IN_HDF5}
    assert not {"waits", "not tried"} & set(told.values()), told
    for call in ("read", "pack", "moved", "links"):
        assert REFUSED in told[call], call


def test_images_next_to_a_pipe_are_read(directory):
    """Images in parts, of which the last is a pipe; and a link that nobody needs. What cannot be read is a row."""

    def parts(file, path):
        images(file, "entry/data/data_000001")
        file["entry/data/data_000002"] = link(path)

    def more(file, path):
        images(file, DATA)
        file["entry/other"] = link(path)

    paths = [str(write(directory / "parts.h5", parts)), str(write(directory / "more.h5", more))]
    told = read_in_children(paths, ("read", "rows"))
    assert [told[path, "read"] for path in paths] == ["1", "1"]
    refused = f"{directory / 'pipe.h5'} {REFUSED}: name a file"
    assert [told[path, "rows"] for path in paths] == [str([1, 1, refused, refused]), str([1, 1])]


def test_the_tagging_process_goes_on(masters):
    frames = [
        Frame(FrameId("run", "primary", way, 1, 0), None, None, FileImages(FORMATS["hdf5"], str(path), DATA, 0, None))
        for way, path in masters.items()
    ]
    backend = ProcessBackend(CountsModel(), patience=10)
    try:
        outcomes = list(backend.tag(frames))
        assert [outcome.status for outcome in outcomes] == ["unreadable"] * len(frames)
        assert all(REFUSED in outcome.reason for outcome in outcomes)
        assert backend.restarts == 0
    finally:
        backend.close()


@pytest.mark.parametrize("name", ["pipe.dat", "a link.h5"])
def test_a_handler_is_given_neither_a_pipe_nor_what_leads_to_one(directory, masters, monkeypatch, name):
    if not (directory / "pipe.dat").exists():
        os.mkfifo(directory / "pipe.dat")
    monkeypatch.setattr("bluesky_xtag.frames.files.handlers._find_handlers", lambda: {"SPEC": None})
    with pytest.raises(FrameError, match=REFUSED):
        HandlerImages("SPEC", str(directory / name), {}, {}, 1, None).read(0)
