"""The data sets of images in HDF5 and NeXus files that nobody described, found by what they hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..data_keys import is_image
from .file_format import FileFormat
from .hdf5 import images_of, pack_image, parts_of, read_image
from .hdf5_written import source_paths

if TYPE_CHECKING:
    import h5py

    from ...model import PackedImage

__all__ = ["Hdf5Format"]

# Words in the names of data sets that are kept next to the images and are none: of the detector, and of the numbers.
_COMPANIONS = frozenset(
    "mask masks flat flats flatfield dark darks white whites efficiency countrate background backgrounds bad gain "
    "gains pedestal error errors uncertainty uncertainties variance variances sigma stddev std weight weights offset "
    "offsets threshold".split()
)
_WORD = re.compile(r"[a-z]+")
_GLUED = ("flatfield", "flat_field", "pixel_mask")


@dataclass(frozen=True)
class _Found:
    """A data set of images, or a link to one that leads nowhere.

    Parameters
    ----------
    name : str
        The way to it in the file that was opened.
    images : int
        How many it holds.
    dimensions : int
        Of its shape; of links that lead nowhere, those of their neighbours.
    place : (str, str)
        The file that it lies in, and its name there.
    sources : frozenset of (str, str)
        The same of the sources of a virtual data set.
    signal : bool
        Whether NeXus says that these are the images.
    dead : str
        Of a link that leads nowhere, the file that it names.
    """

    name: str
    images: int
    dimensions: int
    place: tuple[str, str]
    sources: frozenset[tuple[str, str]] = frozenset()
    signal: bool = False
    dead: str = ""


class Hdf5Format(FileFormat):
    """HDF5 and NeXus files, finished or still being written."""

    suffixes = frozenset({".h5", ".hdf5", ".hdf", ".nxs", ".nx", ".nexus", ".cxi", ".he5"})
    mimetypes = frozenset({"application/x-hdf5"})

    def data_sets(self, path: str, wanted: str | None = None) -> Iterator[tuple[str, int]]:
        """Yield the data sets whose last two dimensions look like a detector's, and how many images each holds.

        NeXus decides where it says which data are the images (``@signal``, ``NXdetector``); else those of more than two
        dimensions, if there are any. What the detector has besides its images is left out, unless it or a group of it
        is `wanted`; what is reached by two names, or shown again by a virtual data set, counts once. A link that leads
        nowhere counts as many images as its neighbours.
        """
        yield from ((each.name, each.images) for each in self._find(path, wanted))

    def origins(self, path: str, dataset: str) -> frozenset[tuple[str, str]]:
        """Return the files, and the data sets in them, from which a data set of images is taken."""
        each = next((each for each in self._find(path, None) if each.name == dataset), None)
        return frozenset() if each is None else each.sources or frozenset([each.place])

    def _find(self, path: str, wanted: str | None) -> list[_Found]:
        with _open(path) as file:
            if wanted is not None and wanted not in file:
                raise FrameError(f"{path} has no data set {wanted!r}")
            start: Any = file if wanted is None else file[wanted]
            found = list(_find_images(start, set(), named=wanted is not None))
        if not found:
            raise FrameError(f"{path} holds no data set that looks like images: name one with --key")
        if all(each.dead for each in found):
            missing = ", ".join(each.dead for each in found)
            raise FrameError(f"{path} takes its images from {missing}: none of it is there")
        found = [each for each in found if each.signal] or found
        found = [each for each in found if each.dimensions > 2] or found
        shown = frozenset[tuple[str, str]]().union(*(each.sources for each in found))
        return [each for each in found if each.place not in shown]

    def read(self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return image `index` of a data set, see `read_image`."""
        return read_image(path, dataset, index, size)

    def pack(
        self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None
    ) -> np.ndarray | PackedImage:
        """Return image `index` of a data set, see `pack_image`."""
        return pack_image(path, dataset, index, size)

    def read_mask(self, path: str, dataset: str) -> np.ndarray:
        """Return a two-dimensional data set, or the first image of a stack; parts never written hold the fill value."""
        import h5py

        if not dataset:
            raise FrameError(f"{path} may hold many data sets: name one, as {path}::/path/to/mask")
        with _open(path) as file:
            node: Any = file.get(dataset)
            if isinstance(node, h5py.Group):
                node = node.get("data")  # as NeXus names the values of a group
            if not isinstance(node, h5py.Dataset):
                raise FrameError(f"{path} has no data set {dataset!r}")
            return node[0] if len(node.shape) == 3 else node[()]


@contextmanager
def _open(path: str) -> Iterator[h5py.File]:
    """Open a finished file; whatever HDF5 complains of inside the block becomes a FrameError."""
    import h5py
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors

    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except FrameError:
        raise
    except FileNotFoundError as error:
        raise FrameNotReady(f"{path} does not exist") from error
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise FrameError(f"{path} cannot be read: {error}") from error


def _find_images(node: Any, seen: set[Any], named: bool, signal: bool = False) -> Iterator[_Found]:
    import h5py

    low: Any = h5py
    identity = node.file.filename, low.h5o.get_info(node.id).addr
    if identity in seen:
        return
    seen.add(identity)
    if isinstance(node, h5py.Dataset):
        if _holds_images(node, named):
            place = os.path.realpath(node.file.filename), node.name or ""
            yield _Found(place[1], images_of(node), len(node.shape), place, _sources(node), signal or _is_signal(node))
        return
    parts = list(parts_of(node))
    each = max((images_of(part.dataset) for part in parts if _is_dataset(part.dataset)), default=1)
    signals = _signals(node)
    dead = {part.name: part.file for part in parts if part.dataset is None}
    for name in node:
        way = f"{(node.name or '').rstrip('/')}/{name}"
        try:
            child = node.get(name)
        except (OSError, KeyError, RuntimeError):  # another file that cannot be opened
            child = None
        if child is not None:
            yield from (
                # Inside another file a node has another name; here it is the way that led to it.
                replace(found, name=way) if isinstance(child, h5py.Dataset) else found
                for found in _find_images(child, seen, named, name in signals)
            )
        elif target := dead.get(name) or (name == "data" and _target(node, name)):
            yield _Found(way, each, 3, (node.file.filename, way), signal=name in signals, dead=target)


def _is_dataset(node: Any) -> bool:
    return node is not None and hasattr(node, "shape") and len(node.shape or ()) >= 2


def _target(group: Any, name: str) -> str:
    """Return the file that a link leads to, "" if it stays in its own."""
    return getattr(group.get(name, getlink=True), "filename", "")


def _signals(group: Any) -> frozenset[str]:
    """Return the names in a group that NeXus says are the images."""
    kind, signal = (_text(group.attrs.get(name)) for name in ("NX_class", "signal"))
    if kind == "NXdetector":
        return frozenset({"data"})
    if kind != "NXdata" or not signal:
        return frozenset()
    numbered = signal.rstrip("0123456789") == "data_"  # the first of the parts of a series
    return frozenset(name for name in group if name.startswith("data_")) if numbered else frozenset({signal})


def _is_signal(dataset: Any) -> bool:
    return _text(dataset.attrs.get("signal")) == "1"  # as NeXus had it first


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)


def _sources(dataset: Any) -> frozenset[tuple[str, str]]:
    if not dataset.is_virtual:
        return frozenset()
    master = dataset.file.filename
    found = set()
    for source in dataset.virtual_sources():
        paths = source_paths(master, source.file_name)
        path = next((path for path in paths if os.path.exists(path)), paths[0])
        found.add((os.path.realpath(path), "/" + source.dset_name.strip("/")))
    return frozenset(found)


def _holds_images(node: Any, named: bool) -> bool:
    if len(node.shape or ()) < 2 or node.dtype.kind not in "biuf" or 0 in node.shape[-2:]:
        return False
    name = (node.name or "").lower()
    words = {word for part in name.split("/")[-2:] for word in _WORD.findall(part)}
    companion = bool(words & _COMPANIONS) or any(word in name for word in _GLUED)
    return named or (is_image({"dtype": "array", "shape": node.shape}) and not companion)
