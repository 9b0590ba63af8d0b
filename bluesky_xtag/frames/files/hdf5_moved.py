"""Finds what an HDF5 file takes from other files when these have moved since: links, virtual and raw data sets."""

from __future__ import annotations

import glob
import math
import os
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ...errors import FrameError
from ..roots import RootMap
from .hdf5_new import new_hdf5
from .hdf5_opening import open_any
from .hdf5_others import get_node, link_paths, raw_path, refuse_sources, source_paths
from .pipes import NotAFile

if TYPE_CHECKING:
    import h5py

__all__ = ["Links"]


class Links:
    """What the names in files lead to; files that are opened for it stay open inside the `with` block.

    HDF5 follows the names that the file holds, and nothing can tell it others: so where it finds nothing, and a root
    fits, a link is followed here, and a data set is described again, in a file of its own, with the names of today.

    Parameters
    ----------
    roots : RootMap or None
        Where directories are now. Without one, HDF5 alone finds what there is.

    Attributes
    ----------
    refused : FrameError or None
        Why `look` did not follow a name.
    """

    def __init__(self, roots: RootMap | None = None) -> None:
        self._roots = roots or RootMap()
        self._open = ExitStack()
        self.refused: FrameError | None = None

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def get(self, group: Any, name: str) -> Any:
        """Return the node that a name in a group leads to, None if there is none; FrameError if that is a pipe."""
        found, node = _get(group, name), group.file if name.startswith("/") else group
        if found is not None or not self._roots:
            return found
        for part in filter(None, name.split("/")):
            if node is None or not hasattr(node, "keys") or (link := node.get(part, getlink=True)) is None:
                return None
            here, node = node, _get(node, part)
            if node is None and (path := self.target(here, part)) and os.path.isfile(path):
                try:
                    node = self.get(self._open.enter_context(open_any(path)), link.path)
                except OSError:
                    return None
        return node

    def look(self, group: Any, name: str) -> Any:
        """Return the node that a name leads to, None if there is none or if it is not followed; see `refused`."""
        try:
            return self.get(group, name)
        except NotAFile as error:
            self.refused = error
            return None

    def target(self, group: Any, name: str) -> str:
        """Return the file that a link leads to: where a root says that it is now; "" if it stays in its own."""
        link = group.get(name, getlink=True)
        named = getattr(link, "filename", "")
        return self._path(named, link_paths(group.file.filename, named)) if named else ""

    def with_sources(self, dataset: h5py.Dataset) -> h5py.Dataset:
        """Return a data set whose sources are named where they are now; the same one where HDF5 finds them."""
        if not self._roots or not (dataset.is_virtual or dataset.external):
            return dataset
        plist: Any = dataset.id.get_create_plist()
        sources = _Virtual(plist) if dataset.is_virtual else _Raw(plist)
        places = [sources.paths(dataset.file.filename, name) for name in sources.names]
        now = [self._path(name, paths) for name, paths in zip(sources.names, places, strict=True)]
        if now == sources.names:
            return dataset
        for place, (name, paths) in enumerate(zip(sources.names, places, strict=True)):
            if now[place] == name:  # HDF5 would look for it next to the new description
                now[place] = os.path.abspath(next(filter(_is_there, paths), paths[0]))
        return self._describe_again(dataset, sources.renamed(now))

    def _path(self, name: str, paths: list[str]) -> str:
        """Return where a file is now; as it is named if HDF5 finds it at one of the paths, or if no root fits."""
        now = self._roots.path(name)
        return name if now == name or any(map(_is_there, paths)) else now

    def _describe_again(self, dataset: h5py.Dataset, plist: Any) -> h5py.Dataset:
        import h5py

        low: Any = h5py.h5d
        folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="xtag-"))
        path = os.path.join(folder, os.path.basename(dataset.file.filename))
        with new_hdf5(path) as new:
            low.create(new.hdf5.id, b"images", dataset.id.get_type(), dataset.id.get_space(), plist)
        again: Any = self._open.enter_context(h5py.File(path, "r", locking=False))["images"]
        refuse_sources(again)
        return again


class _Virtual:
    """The sources of a virtual data set."""

    def __init__(self, plist: Any) -> None:
        self._plist = plist
        self.names: list[str] = [plist.get_virtual_filename(place) for place in range(plist.get_virtual_count())]

    def paths(self, master: str, name: str) -> list[str]:
        return source_paths(master, name)

    def renamed(self, names: list[str]) -> Any:
        new = _like(self._plist)
        for place, name in enumerate(names):
            of_master, inner = self._plist.get_virtual_vspace(place), self._plist.get_virtual_dsetname(place)
            taken = _as_many(of_master, self._plist.get_virtual_srcspace(place))
            new.set_virtual(of_master, name.encode(), inner.encode(), taken)
        return new


class _Raw:
    """The raw files of a data set with external storage."""

    def __init__(self, plist: Any) -> None:
        self._plist = plist
        self._parts = [plist.get_external(place) for place in range(plist.get_external_count())]
        self.names: list[str] = [os.fsdecode(name) for name, *_ in self._parts]

    def paths(self, master: str, name: str) -> list[str]:
        return [raw_path(master, name)]

    def renamed(self, names: list[str]) -> Any:
        new = _like(self._plist)
        for name, (_, offset, size) in zip(names, self._parts, strict=True):
            new.set_external(os.fsencode(name), offset, size)
        return new


def _like(plist: Any) -> Any:
    """Return new properties of a data set with the fill value of others."""
    import h5py
    import numpy as np

    low: Any = h5py
    new = low.h5p.create(low.h5p.DATASET_CREATE)
    if plist.fill_value_defined() == low.h5d.FILL_VALUE_USER_DEFINED:
        value = np.zeros(1, np.float64)
        plist.get_fill_value(value)
        new.set_fill_value(value)
    return new


def _as_many(of_master: Any, of_source: Any) -> Any:
    """Return what is taken of a source; where that is all, HDF5 does not know how many pixels these are."""
    import h5py

    low: Any = h5py.h5s
    if of_source.get_select_type() != low.SEL_ALL:
        return of_source
    if of_master.get_select_type() == low.SEL_ALL or not of_master.is_regular_hyperslab():
        return low.create_simple((of_master.get_select_npoints(),))
    *_, counts, blocks = of_master.get_regular_hyperslab()
    # A selection without an end is of many sources, of which each fills one turn.
    turns = (1 if count >= low.UNLIMITED or count < 0 else int(count) for count in counts)
    return low.create_simple((math.prod(map(int, blocks)) * math.prod(turns),))


def _get(group: Any, name: str) -> Any:
    try:
        return get_node(group, name)
    except FrameError:
        raise
    except (OSError, KeyError, RuntimeError):  # a file that cannot be opened
        return None


def _is_there(path: str) -> bool:
    """Tell whether there is a file; of names that count, whether there is any."""
    return os.path.exists(path) or "%b" in path and bool(glob.glob(glob.escape(path).replace("%b", "*")))
