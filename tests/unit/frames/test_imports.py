"""What frames need is imported when their stream is announced, once, and off the thread that brings the document."""

import threading

import pytest

from bluesky_xtag.frames import Imports
from bluesky_xtag.frames import imports as room

KEY = {"source": "test", "dtype": "array", "shape": [1, 24, 32], "external": "STREAM:"}


@pytest.fixture
def done(monkeypatch):
    """What was imported, and in which thread."""
    done = []
    for name in ("import_for", "import_handler"):
        monkeypatch.setattr(room, name, lambda what, name=name: done.append((name, what, threading.current_thread())))
    return done


def take(imports, *documents):
    for name, doc in documents:
        imports(name, doc)
    for thread in threading.enumerate():
        if thread.name == "xtag-imports":
            thread.join(10)


def descriptor(**keys):
    return "descriptor", {"data_keys": keys}


def test_a_stream_of_images_imports_once_and_elsewhere(done):
    take(Imports(), descriptor(det=KEY), descriptor(det=KEY))
    ((name, what, thread),) = done
    assert (name, what) == ("import_for", None)
    assert thread is not threading.current_thread()


def test_each_mimetype_and_each_spec_once(done):
    tiff, png = ({"mimetype": f"image/{kind}"} for kind in ("tiff", "png"))
    take(Imports(), ("stream_resource", tiff), ("stream_resource", png), ("stream_resource", tiff))
    take(Imports(), ("resource", {"spec": "AD_TIFF"}), ("resource", {"spec": "AD_TIFF"}))
    assert sorted(each[:2] for each in done) == [
        ("import_for", "image/png"),
        ("import_for", "image/tiff"),
        ("import_handler", "AD_TIFF"),
    ]


@pytest.mark.parametrize("spec", ["AD_HDF5", "AD_HDF5_SWMR", "AD_EIGER2", "XTAG_HDF5"])
def test_a_spec_that_is_read_here_imports_no_handler(done, spec):
    """That of AD_HDF5 brings Dask, pandas, xarray and Numba: 130 MB and seconds."""
    take(Imports(), ("resource", {"spec": spec}))
    assert not done


def test_where_another_process_reads_only_what_it_cannot_read_is_imported(done):
    uri, tiffs = "file://localhost/data/a", "multipart/related;type=image/tiff"
    read_there = ({"uri": uri, "mimetype": "application/x-hdf5"}, {"uri": uri, "mimetype": "image/tiff"}, {})
    imports = Imports(elsewhere=True)
    take(imports, descriptor(det=KEY), *(("stream_resource", each) for each in read_there))
    assert not done
    take(imports, ("stream_resource", {"uri": uri, "mimetype": tiffs}), ("resource", {"spec": "AD_TIFF"}))
    assert sorted(each[:2] for each in done) == [("import_for", tiffs), ("import_handler", "AD_TIFF")]


@pytest.mark.parametrize(
    "keys",
    [
        {"x": {"source": "test", "dtype": "number", "shape": []}},
        {"det": {"source": "test", "dtype": "array", "shape": [24, 32]}},
        {"spectrum": KEY | {"shape": [1, 4096]}},
        {"det": KEY | {"external": "FILESTORE:"}},
    ],
)
def test_other_streams_import_nothing(done, keys):
    take(Imports(), descriptor(**keys))
    assert not done


def test_what_fails_is_left_to_the_frame(monkeypatch):
    def broken(what):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(room, "import_for", broken)
    imports = Imports()
    take(imports, descriptor(det=KEY), ("stream_resource", {}), ("resource", {}), ("descriptor", {}))


def test_no_more_threads(monkeypatch, done):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    Imports()(*descriptor(det=KEY))
    assert not done
