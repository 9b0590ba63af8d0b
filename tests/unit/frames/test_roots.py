"""Files that documents name are read only below the roots that the user named."""

import os
import pickle

import h5py
import numpy as np
import pytest
import tifffile

from bluesky_xtag.errors import FrameError, RootError, XTagValueError
from bluesky_xtag.frames import FrameAssembler, FrameSelection, Roots

IMAGES = np.arange(2 * 16 * 16, dtype=np.int32).reshape(2, 16, 16)


@pytest.fixture
def inside(tmp_path):
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


@pytest.fixture
def outside(tmp_path):
    (tmp_path / "outside").mkdir()
    with h5py.File(tmp_path / "outside" / "secret.h5", "w") as file:
        file["entry/data/data"] = IMAGES
    IMAGES.tofile(tmp_path / "outside" / "secret.raw")
    return tmp_path / "outside"


def plain(path, outside):
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = IMAGES


def external_link(path, outside):
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = h5py.ExternalLink(outside / "secret.h5", "/entry/data/data")


def relative_link(path, outside):
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = h5py.ExternalLink("../outside/secret.h5", "/entry/data/data")


def group_link(path, outside):
    with h5py.File(path, "w") as file:
        file["entry"] = h5py.ExternalLink(outside / "secret.h5", "/entry")


def link_of_link(path, outside):
    external_link(path.with_name("between.h5"), outside)
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = h5py.ExternalLink("between.h5", "/entry/data/data")


def virtual(path, outside):
    layout = h5py.VirtualLayout(IMAGES.shape, IMAGES.dtype)
    layout[:] = h5py.VirtualSource(outside / "secret.h5", "entry/data/data", IMAGES.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)


def raw_file(path, outside):
    with h5py.File(path, "w") as file:
        raw = os.fspath(outside / "secret.raw")
        file.create_dataset("entry/data/data", IMAGES.shape, IMAGES.dtype, external=[(raw, 0, h5py.h5f.UNLIMITED)])


def counted_sources(path, outside, name="secret-%b.h5", true="secret-0.h5"):
    (outside / "secret.h5").rename(outside / true)
    low, blocks = h5py.h5s, (h5py.h5s.UNLIMITED, 16, 16)
    space = low.create_simple(IMAGES.shape, blocks)
    space.select_hyperslab((0, 0, 0), (low.UNLIMITED, 1, 1), (2, 1, 1), IMAGES.shape)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(space, os.fsencode(outside / name), b"entry/data/data", low.create_simple(IMAGES.shape))
    with h5py.File(path, "w", libver="latest") as file:
        group = file.create_group("entry/data")
        h5py.h5d.create(group.id, b"data", h5py.h5t.NATIVE_INT32, space, plist)


def source_with_a_sign(path, outside):
    """A name in which two signs stand for one."""
    (outside / "secret.h5").rename(outside / "secret%b.h5")
    layout = h5py.VirtualLayout(IMAGES.shape, IMAGES.dtype)
    layout[:] = h5py.VirtualSource(outside / "secret%%b.h5", "entry/data/data", IMAGES.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)


def master_is_a_link(path, outside):
    """HDF5 also looks next to the true file."""
    true = path.parent / "very" / "deep" / "a.h5"
    true.parent.mkdir(parents=True)
    with h5py.File(true, "w") as file:
        file["entry/data/data"] = h5py.ExternalLink("../../../outside/secret.h5", "/entry/data/data")
    path.symlink_to(true)


def file_is_a_link(path, outside):
    path.symlink_to(outside / "secret.h5")


def elsewhere_in_the_file(path, outside):
    """The images are here; a mask next to them is not."""
    plain(path, outside)
    with h5py.File(path, "a") as file:
        file["entry/instrument/detector/pixel_mask"] = h5py.ExternalLink(outside / "secret.h5", "/entry/data/data")


LEADING_OUT = [
    *(external_link, relative_link, group_link, link_of_link, virtual, raw_file, file_is_a_link, elsewhere_in_the_file),
    *(counted_sources, source_with_a_sign, master_is_a_link),
]


def descriptor(external="STREAM:"):
    keys = {"det": {"source": "", "dtype": "array", "shape": [1, 16, 16], "dtype_numpy": "<i4", "external": external}}
    return {"uid": "d", "run_start": "r", "name": "primary", "data_keys": keys, "configuration": {}, "time": 0.0}


def streamed(uri, mimetype="application/x-hdf5", **parameters):
    """The documents of a stranger that announce a file by a stream resource."""
    resource = {
        "uid": "s",
        "run_start": "r",
        "data_key": "det",
        "mimetype": mimetype,
        "uri": uri,
        "parameters": {"dataset": "entry/data/data", "chunk_shape": [1], **parameters},
    }
    span = {"start": 0, "stop": 1}
    datum = {
        "uid": "x",
        "descriptor": "d",
        "stream_resource": "s",
        "indices": span,
        "seq_nums": {"start": 1, "stop": 2},
    }
    return [("descriptor", descriptor()), ("stream_resource", resource), ("stream_datum", datum)]


def resourced(spec, root, path, datum=None, **kwargs):
    """The same by a resource and a datum."""
    resource = {"uid": "s", "spec": spec, "root": root, "resource_path": path, "resource_kwargs": kwargs}
    return [
        ("descriptor", descriptor("FILESTORE:")),
        ("resource", resource),
        (
            "datum",
            {"datum_id": "s/0", "resource": "s", "datum_kwargs": {"point_number": 0} if datum is None else datum},
        ),
        ("event", {"uid": "e", "descriptor": "d", "seq_num": 1, "time": 0.0, "data": {"det": "s/0"}, "timestamps": {}}),
    ]


def frame_of(documents, roots, root_map=None):
    assemble = FrameAssembler(FrameSelection(), root_map, Roots.of(roots))
    assemble("start", {"uid": "r", "time": 0.0})
    (frame,) = [frame for name, doc in documents for frame in assemble(name, doc)]
    return frame


def test_what_is_below_a_root_is_read(inside, outside, tmp_path):
    plain(inside / "a.h5", outside)
    for roots in (inside, str(inside), [outside, inside], tmp_path, [os.path.join(inside, "..", "inside")], "/"):
        for documents in (
            streamed(f"file://localhost{inside}/a.h5"),
            resourced("AD_HDF5", str(inside), "a.h5", frame_per_point=1),
        ):
            frame = frame_of(documents, roots)
            np.testing.assert_array_equal(frame.pixels(), IMAGES[0])
            frame.packed() if hasattr(frame, "packed") else frame.pixels()


@pytest.mark.parametrize("write", LEADING_OUT)
def test_files_that_lead_out_are_refused_and_without_roots_they_are_not(inside, outside, write):
    write(inside / "a.h5", outside)
    documents = streamed(f"file://localhost{inside}/a.h5")
    frame = frame_of(documents, inside)
    for attempt in (frame.pixels, lambda: frame.source.pack(0), frame.source.check):
        with pytest.raises(RootError, match=r"outside/secret.*not below the roots that may be read, .*inside"):
            attempt()
    np.testing.assert_array_equal(frame_of(documents, None).pixels(), IMAGES[0])
    np.testing.assert_array_equal(frame_of(documents, [inside, outside]).pixels(), IMAGES[0])


@pytest.mark.parametrize(
    "name",
    [
        "/outside/secret.h5",
        "/inside/../outside/secret.h5",
        "/inside%2F..%2Foutside/secret.h5",
        "/inside/../inside/../outside/secret.h5",
    ],
)
def test_paths_that_lead_out_are_refused(inside, outside, tmp_path, name):
    with pytest.raises(RootError, match="outside/secret.h5"):
        frame_of(streamed(f"file://localhost{tmp_path}{name}"), inside).pixels()
    with pytest.raises(RootError, match="outside/secret.h5"):
        frame_of(resourced("AD_HDF5", str(inside), "../outside/secret.h5", frame_per_point=1), inside).pixels()


def test_a_neighbour_whose_name_begins_alike_is_not_below(inside, tmp_path):
    (tmp_path / "inside-too").mkdir()
    plain(tmp_path / "inside-too" / "a.h5", None)
    with pytest.raises(RootError, match="inside-too"):
        frame_of(streamed(f"file://localhost{tmp_path}/inside-too/a.h5"), inside).pixels()


def test_the_root_map_comes_first(inside, outside):
    plain(inside / "a.h5", outside)
    frame = frame_of(streamed("file://localhost/old/mount/a.h5"), inside, {"/old/mount": str(inside)})
    np.testing.assert_array_equal(frame.pixels(), IMAGES[0])
    with pytest.raises(RootError, match="/old/mount/a.h5"):
        frame_of(streamed("file://localhost/old/mount/a.h5"), inside).pixels()
    with pytest.raises(RootError):
        frame_of(streamed("file://localhost/old/secret.h5"), inside, {"/old": str(outside)}).pixels()


@pytest.mark.parametrize(
    "datum",
    [{"seq_id": "../../../outside/x", "frame_num": 0}, {"seq_id": "../../../outside/x"}, {"seq_id": 1, "frame_num": 0}],
)
def test_a_series_may_not_lead_out(inside, tmp_path, datum):
    resource = {"root": str(inside), "path": "eiger", "images_per_file": 1}
    if datum["seq_id"] == 1:
        resource["root"] = str(tmp_path / "outside")
    with pytest.raises(RootError, match="outside"):
        frame_of(resourced("AD_EIGER", datum=datum, **resource), inside).pixels()


@pytest.mark.parametrize(
    "kwargs",
    [
        {"template": "%s%s_%d.tiff", "filename": "../outside/x"},
        {"template": "/etc/%.0s%s_%d.tiff", "filename": "x"},
        {"template": "%s%s", "filename": "a", "more": {"deep": "../x"}},
        {"template": "C:\\x\\%s%s"},
    ],
)
def test_names_of_files_in_parameters_may_not_lead_out(inside, kwargs):
    with pytest.raises(RootError, match="may lead to any file"):
        frame_of(resourced("AD_TIFF", str(inside), "", frame_per_point=1, **kwargs), inside).pixels()
    with pytest.raises(RootError, match="may lead to any file"):
        documents = streamed(f"file://localhost{inside}/", "multipart/related;type=image/tiff", **kwargs)
        frame_of(documents, inside).pixels()


def test_other_formats_are_read_below_a_root_only(inside, outside):
    for place in (inside, outside):
        tifffile.imwrite(place / "a.tif", IMAGES[0])
    for_tiff = {"mimetype": "image/tiff"}
    np.testing.assert_array_equal(
        frame_of(streamed(f"file://localhost{inside}/a.tif", **for_tiff), inside).pixels(), IMAGES[0]
    )
    with pytest.raises(RootError):
        frame_of(streamed(f"file://localhost{outside}/a.tif", **for_tiff), inside).pixels()


def test_a_file_that_is_missing_or_damaged_is_said_so(inside):
    with pytest.raises(FrameError, match="does not exist"):
        frame_of(streamed(f"file://localhost{inside}/a.h5"), inside).pixels()
    (inside / "a.h5").write_bytes(b"nothing")
    with pytest.raises(FrameError, match="not an HDF5 file"):
        frame_of(streamed(f"file://localhost{inside}/a.h5"), inside).pixels()


def test_links_in_a_circle_end(inside):
    for name, other in (("a.h5", "b.h5"), ("b.h5", "a.h5")):
        with h5py.File(inside / name, "w") as file:
            file["entry/data/data"] = IMAGES
            file["other"] = h5py.ExternalLink(other, "/")
            file["entry/again"] = file["entry"]
    np.testing.assert_array_equal(frame_of(streamed(f"file://localhost{inside}/a.h5"), inside).pixels(), IMAGES[0])


def test_frames_stay_guarded_where_they_are_sent(inside, outside):
    external_link(inside / "a.h5", outside)
    frame = pickle.loads(pickle.dumps(frame_of(streamed(f"file://localhost{inside}/a.h5"), inside)))
    with pytest.raises(RootError):
        frame.pixels()


@pytest.mark.parametrize("roots", ["/does/not/exist", [], [3], [__file__]])
def test_roots_that_are_none_are_named(roots):
    with pytest.raises(XTagValueError, match="roots"):
        Roots.of(roots)
