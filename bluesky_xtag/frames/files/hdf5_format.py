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
from ..roots import RootMap
from .file_format import FileFormat
from .hdf5 import images_of, pack_image, parts_of, read_image
from .hdf5_held import check_held, without_hint
from .hdf5_moved import Links
from .hdf5_others import find_node, link_paths, numbered_paths, raw_path, source_paths
from .pipes import NotAFile, refuse_pipe

if TYPE_CHECKING:
    import h5py

    from ...model import PackedImage

__all__ = ["Hdf5Format", "refuse_linked_pipes"]

# Words in the names of data sets that are kept next to the images and are none: of the detector, and of the numbers.
_COMPANIONS = frozenset(
    "mask masks flat flats flatfield dark darks white whites efficiency countrate background backgrounds bad gain "
    "gains pedestal error errors uncertainty uncertainties variance variances sigma stddev std weight weights offset "
    "offsets threshold".split()
)
_WORD = re.compile(r"[a-z]+")
_MOST_LINKED = 100_000
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


@dataclass(frozen=True)
class Hdf5Format(FileFormat):
    """HDF5 and NeXus files, finished or still being written.

    Parameters
    ----------
    roots : RootMap, optional
        Where the directories are now that links and sources in the files name.
    """

    roots: RootMap | None = None

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

    def linked_files(self, path: str) -> frozenset[str]:
        """Return the other files from which a file may take pixels: by links, as sources, or as raw data.

        Those that are there, also through one another. A file that is not HDF5 has none.
        """
        import h5py

        found: set[str] = set()
        left = [path]
        while left:
            each = left.pop()
            refuse_pipe(each)
            if not h5py.is_hdf5(each):
                continue
            with _open(each) as file:
                linked = set(_linked(file, self.roots or RootMap())) - found
            found |= linked
            left += linked
            if len(found) > _MOST_LINKED:
                raise FrameError(f"{path} takes its pixels from more than {_MOST_LINKED} files")
        return frozenset(found)

    def _find(self, path: str, wanted: str | None) -> list[_Found]:
        with _open(path) as file, Links(self.roots) as links:
            start = file if wanted is None else links.get(file, wanted)
            if start is None:
                raise FrameError(f"{path} has no data set {wanted!r}")
            found = list(_find_images(start, set(), links, named=wanted is not None))
        if links.refused and all(each.dead for each in found):
            raise links.refused
        if not found:
            raise FrameError(f"{path} holds no data set that looks like images: name one with --key")
        if all(each.dead for each in found):
            missing = ", ".join(each.dead for each in found)
            raise FrameError(f"{path} takes its images from {missing}: none of it is there")
        found = [each for each in found if each.signal] or found
        found = [each for each in found if each.dimensions > 2] or found
        shown = frozenset[tuple[str, str]]().union(*(each.sources for each in found))
        return [each for each in found if each.place not in shown]

    def with_roots(self, roots: RootMap) -> Hdf5Format:
        """Return the format for files that name others, which are now elsewhere."""
        return Hdf5Format(roots)

    def read(self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return image `index` of a data set, see `read_image`."""
        return read_image(path, dataset, index, size, self.roots)

    def pack(
        self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None
    ) -> np.ndarray | PackedImage:
        """Return image `index` of a data set, see `pack_image`."""
        return pack_image(path, dataset, index, size, self.roots)

    def read_mask(self, path: str, dataset: str) -> np.ndarray:
        """Return a two-dimensional data set, or the first image of a stack; parts never written hold the fill value."""
        import h5py

        if not dataset:
            raise FrameError(f"{path} may hold many data sets: name one, as {path}::/path/to/mask")
        with _open(path) as file:
            node = find_node(file, dataset, whole=True)
            if isinstance(node, h5py.Group):
                node = find_node(node, "data", whole=True)  # as NeXus names the values of a group
            if not isinstance(node, h5py.Dataset):
                raise FrameError(f"{path} has no data set {dataset!r}")
            return node[0] if len(node.shape) == 3 else node[()]


@contextmanager
def _open(path: str) -> Iterator[h5py.File]:
    """Open a finished file; whatever HDF5 complains of inside the block becomes a FrameError."""
    import h5py
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors

    refuse_pipe(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except FrameError:
        raise
    except FileNotFoundError as error:
        raise FrameNotReady(f"{path} does not exist") from error
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        check_held(path)
        raise FrameError(f"{path} cannot be read: {without_hint(error)}") from None


def refuse_linked_pipes(path: str) -> None:
    """Raise NotAFile if a file, or one from which an HDF5 file may take pixels, is a pipe; for readers of others."""
    refuse_pipe(path)
    try:
        Hdf5Format().linked_files(path)
    except NotAFile:
        raise
    except FrameError:
        return  # the reader will say what cannot be read


def _linked(file: h5py.File, roots: RootMap) -> Iterator[str]:
    """Yield the other files that a file names and that are there, without opening them."""
    import h5py

    low: Any = h5py
    seen: set[Any] = set()
    left: list[Any] = [file]
    while left:
        node = left.pop()
        address = low.h5o.get_info(node.id).addr
        if address in seen:
            continue
        seen.add(address)
        here = file.filename
        if isinstance(node, h5py.Group):
            links = {name: node.get(name, getlink=True) for name in node}
            left += [node[name] for name, link in links.items() if isinstance(link, h5py.HardLink)]
            names = [link.filename for link in links.values() if isinstance(link, h5py.ExternalLink)]
            paths = [path for name in _also_moved(names, roots) for path in link_paths(here, name)]
        elif isinstance(node, h5py.Dataset) and node.is_virtual:
            names = [source.file_name for source in node.virtual_sources() if source.file_name != "."]
            paths = [path for name in _also_moved(names, roots) for _, path in numbered_paths(here, name)]
        elif isinstance(node, h5py.Dataset):
            names = [os.fsdecode(name) for name, *_ in node.external or ()]
            paths = [raw_path(here, name) for name in _also_moved(names, roots)]
        else:
            continue
        paths += [roots.path(path) for path in paths]
        yield from (os.path.abspath(path) for path in paths if os.path.exists(path))


def _also_moved(names: list[str], roots: RootMap) -> list[str]:
    return [*names, *(moved for name in names if (moved := roots.path(name)) != name)]


def _find_images(node: Any, seen: set[Any], links: Links, named: bool, signal: bool = False) -> Iterator[_Found]:
    import h5py

    low: Any = h5py
    identity = node.file.filename, low.h5o.get_info(node.id).addr
    if identity in seen:
        return
    seen.add(identity)
    if isinstance(node, h5py.Dataset):
        if _holds_images(node, named):
            place = os.path.realpath(node.file.filename), node.name or ""
            now = links.with_sources(node)
            yield _Found(place[1], images_of(now), len(now.shape), place, _sources(now), signal or _is_signal(node))
        return
    parts = list(parts_of(node, links))
    each = max((images_of(part.dataset) for part in parts if _is_dataset(part.dataset)), default=1)
    signals = _signals(node)
    dead = {part.name: part.file for part in parts if part.dataset is None}
    for name in node:
        way = f"{(node.name or '').rstrip('/')}/{name}"
        child = links.look(node, name)
        if child is not None:
            yield from (
                # Inside another file a node has another name; here it is the way that led to it.
                replace(found, name=way) if isinstance(child, h5py.Dataset) else found
                for found in _find_images(child, seen, links, named, name in signals)
            )
        elif target := dead.get(name) or (name == "data" and links.target(node, name)):
            yield _Found(way, each, 3, (node.file.filename, way), signal=name in signals, dead=target)


def _is_dataset(node: Any) -> bool:
    return node is not None and hasattr(node, "shape") and len(node.shape or ()) >= 2


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
