"""Masters of archives that moved: what their links, virtual data sets and raw data sets name is found by a root map."""

import h5py
import numpy as np
import pytest

from bluesky_xtag import FrameError, XTagValueError
from bluesky_xtag.errors import FrameNotReady
from bluesky_xtag.frames import FORMATS, RootMap
from bluesky_xtag.frames.files import Hdf5Frames

IMAGES = np.arange(4 * 30 * 40, dtype=np.uint16).reshape(4, 30, 40)
# The directory that the master names, and the root of it in the map.
PLACES = {
    "posix": ("/gone/mount/2019", "/gone/mount"),
    "posix, with a slash": ("/gone/mount/2019", "/gone/mount/"),
    "windows": ("X:\\data\\2019", "X:\\data"),
    "windows, other slashes and case": ("X:\\data\\2019", "x:/data"),
    "windows share": ("\\\\server\\share\\2019", "\\\\server\\share"),
}


@pytest.fixture
def archive(tmp_path):
    """A directory "masters", and one "now/2019" in which the data files are."""
    (tmp_path / "masters").mkdir()
    (tmp_path / "now" / "2019").mkdir(parents=True)
    return tmp_path


def sep(place):
    return "\\" if "\\" in place else "/"


def link_master(archive, place):
    for number in (1, 2):
        with h5py.File(archive / "now" / "2019" / f"data_{number}.h5", "w") as file:
            file["/entry/data/data"] = IMAGES[2 * number - 2 : 2 * number]
    path = archive / "masters" / "series_master.h5"
    with h5py.File(path, "w") as file:
        for number in (1, 2):
            link = h5py.ExternalLink(f"{place}{sep(place)}data_{number}.h5", "/entry/data/data")
            file[f"/entry/data/data_{number:06d}"] = link
    return str(path), "/entry/data"


def linked_data_set(archive, place):
    with h5py.File(archive / "now" / "2019" / "all.h5", "w") as file:
        file["/deep/images"] = IMAGES
    path = archive / "masters" / "linked.h5"
    with h5py.File(path, "w") as file:
        file["/entry/instrument"] = h5py.ExternalLink(f"{place}{sep(place)}all.h5", "/deep")
    return str(path), "/entry/instrument/images"


def virtual_master(archive, place, compression=None):
    layout = h5py.VirtualLayout((4, 30, 40), np.uint16)
    for number in (1, 2):
        name = f"part_{number}.h5"
        with h5py.File(archive / "now" / "2019" / name, "w") as file:
            part = file.create_dataset("/data", data=IMAGES[number - 1 :: 2], chunks=(1, 30, 40))
        with h5py.File(archive / "now" / "2019" / name, "r") as file:
            part = h5py.VirtualSource(file["/data"])
        part.path = f"{place}{sep(place)}{name}"
        layout[number - 1 :: 2] = part
    path = archive / "masters" / "virtual.nxs"
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("/entry/data/data", layout, fillvalue=7)
    return str(path), "/entry/data/data"


def raw_master(archive, place):
    IMAGES.tofile(archive / "now" / "2019" / "images.raw")
    path = archive / "masters" / "raw.h5"
    with h5py.File(path, "w") as file:
        external = [(f"{place}{sep(place)}images.raw", 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("/images", IMAGES.shape, IMAGES.dtype, external=external)
    return str(path), "/images"


MASTERS = [link_master, linked_data_set, virtual_master, raw_master]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("make", MASTERS)
def test_what_a_master_names_is_found_where_it_is_now(archive, make, place):
    named, root = PLACES[place]
    path, dataset = make(archive, named)
    form = FORMATS["hdf5"].with_roots(RootMap({root: str(archive / "now")}))
    assert sum(count for _, count in form.data_sets(path)) == 4
    for index in range(4):
        assert (form.read(path, dataset, index) == IMAGES[index]).all()
        packed = form.pack(path, dataset, index)
        assert (np.asarray(packed if isinstance(packed, np.ndarray) else packed.unpack()) == IMAGES[index]).all()


@pytest.mark.parametrize("make", MASTERS)
def test_without_the_map_it_is_not_there_and_the_file_is_named(archive, make):
    path, dataset = make(archive, "/gone/mount/2019")
    with pytest.raises(FrameNotReady) as error:
        FORMATS["hdf5"].read(path, dataset, 0)
    assert make is linked_data_set or "/gone/mount/2019" in str(error.value)


@pytest.mark.parametrize("make", [link_master, virtual_master, raw_master])
def test_a_file_that_is_not_at_the_new_place_is_named_by_the_new_place(archive, make):
    path, dataset = make(archive, "/gone/mount/2019")
    for file in (archive / "now" / "2019").iterdir():
        file.unlink()
    form = FORMATS["hdf5"].with_roots(RootMap({"/gone/mount": str(archive / "now")}))
    with pytest.raises(FrameNotReady, match=str(archive / "now" / "2019")):
        form.read(path, dataset, 3)


@pytest.mark.parametrize("make", MASTERS)
def test_what_is_where_the_master_names_it_is_taken_from_there(archive, make):
    path, dataset = make(archive, str(archive / "now" / "2019"))
    (archive / "old" / "2019").mkdir(parents=True)
    for file in (archive / "now" / "2019").iterdir():
        (archive / "old" / "2019" / file.name).write_bytes(b"another file of the same name")
    form = FORMATS["hdf5"].with_roots(RootMap({str(archive / "now"): str(archive / "old")}))
    assert (form.read(path, dataset, 2) == IMAGES[2]).all()


def test_the_sources_that_did_not_move_stay(archive):
    """One source lies next to the master and is named by its name alone, the other one moved."""
    path, dataset = virtual_master(archive, "/gone/mount/2019")
    layout = h5py.VirtualLayout((4, 30, 40), np.uint16)
    (archive / "now" / "2019" / "part_1.h5").rename(archive / "masters" / "beside.h5")
    layout[0::2] = h5py.VirtualSource("beside.h5", "/data", (2, 30, 40))
    layout[1::2] = h5py.VirtualSource("/gone/mount/2019/part_2.h5", "/data", (2, 30, 40))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset(dataset, layout)
    form = FORMATS["hdf5"].with_roots(RootMap({"/gone/mount": str(archive / "now")}))
    for index in range(4):
        assert (form.read(path, dataset, index) == IMAGES[index]).all()


def test_moved_sources_with_numbers_in_their_names(archive):
    one, unlimited = (1, 30, 40), (h5py.h5s.UNLIMITED, 30, 40)
    space = h5py.h5s.create_simple((2, 30, 40), unlimited)
    layout = h5py.h5s.create_simple((2, 30, 40), unlimited)
    layout.select_hyperslab((0, 0, 0), (h5py.h5s.UNLIMITED, 1, 1), one, one)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_virtual(layout, b"/gone/mount/2019/turn_%b.h5", b"frames", h5py.h5s.create_simple(one))
    path = str(archive / "masters" / "m.h5")
    with h5py.File(path, "w", libver="latest") as file:
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, properties)
    for number in range(2):
        with h5py.File(archive / "now" / "2019" / f"turn_{number}.h5", "w") as file:
            file["frames"] = IMAGES[number : number + 1]
    form = FORMATS["hdf5"].with_roots(RootMap({"/gone/mount": str(archive / "now")}))
    for index in range(2):
        assert (form.read(path, "/data", index) == IMAGES[index]).all()
    with pytest.raises(FrameNotReady):
        form.read(path, "/data", 2)


def test_an_image_that_its_moved_source_does_not_have_is_not_ready(archive):
    path, dataset = virtual_master(archive, "/gone/mount/2019")
    with h5py.File(archive / "now" / "2019" / "part_2.h5", "w") as file:
        file.create_dataset("/data", data=IMAGES[1:2], chunks=(1, 30, 40))
    form = FORMATS["hdf5"].with_roots(RootMap({"/gone/mount": str(archive / "now")}))
    assert (form.read(path, dataset, 1) == IMAGES[1]).all()
    with pytest.raises(FrameNotReady, match="part_2"):
        form.read(path, dataset, 3)


def test_the_handler_of_points_follows_the_map(archive):
    path, dataset = virtual_master(archive, "/gone/mount/2019")
    handler = Hdf5Frames(path, dataset=dataset, roots=RootMap({"/gone/mount": str(archive / "now")}))
    assert (handler.image(2, 0) == IMAGES[2]).all()
    assert (handler(3) == IMAGES[3]).all()
    with pytest.raises(FrameError):
        Hdf5Frames(path, dataset=dataset).image(2, 0)


@pytest.mark.parametrize("root_map", ["/old=/new", ["/old"], {"/old": 5}, {5: "/new"}, {"/old": None}])
def test_what_is_no_map_of_roots_is_refused(root_map):
    with pytest.raises(XTagValueError, match="mapping"):
        RootMap(root_map)


@pytest.mark.parametrize(
    ("root_map", "path", "now"),
    [
        ({"/old": "/new"}, "/old/a/b.h5", "/new/a/b.h5"),
        ({"/old/": "/new/"}, "/old/a/b.h5", "/new/a/b.h5"),
        ({"/old": "/new"}, "/older/a.h5", "/older/a.h5"),
        ({"/old": "/new"}, "/old", "/new"),
        ({"/": "/new"}, "/a/b.h5", "/new/a/b.h5"),
        ({"/old": "/new", "/old/deep": "/deep"}, "/old/deep/a.h5", "/deep/a.h5"),
        ({"C:\\data": "/new"}, "C:\\data\\run 1\\a.h5", "/new/run 1/a.h5"),
        ({"C:\\data": "/new"}, "c:/data/a.h5", "/new/a.h5"),
        ({"C:/": "/new"}, "C:\\a.h5", "/new/a.h5"),
        ({"C:": "/new"}, "C:\\a.h5", "/new/a.h5"),
        ({"C:\\data": "/new"}, "D:\\data\\a.h5", "D:\\data\\a.h5"),
        ({"\\\\server\\share": "/new"}, "\\\\server\\share\\a\\b.h5", "/new/a/b.h5"),
        ({}, "/old/a.h5", "/old/a.h5"),
    ],
)
def test_the_longest_root_that_fits_is_taken(root_map, path, now):
    assert RootMap(root_map).path(path) == now


@pytest.mark.parametrize(
    ("root", "path", "now"),
    [
        ("/old", "2019/a.h5", "/new/2019/a.h5"),
        ("/old/2019", "a.h5", "/new/2019/a.h5"),
        ("", "/old/a.h5", "/new/a.h5"),
        ("/", "old/a.h5", "/new/a.h5"),
        ("/elsewhere", "/old/a.h5", "/new/a.h5"),
        ("X:\\data", "2019\\a.h5", "/win/2019/a.h5"),
        ("X:/", "data/2019/a.h5", "/win/2019/a.h5"),
        ("X:\\other", "X:\\data\\a.h5", "/win/a.h5"),
    ],
)
def test_a_root_and_a_path_in_it_are_joined_before(root, path, now):
    assert RootMap({"/old": "/new", "X:\\data": "/win"}).join(root, path) == now
