"""Where HDF5 looks for the other files that a file names, and a look at these before HDF5 opens them.

It opens them as soon as a link is followed, or as the size of a virtual data set without an end is asked for. Of a pipe
it would wait for a writer, with h5py's lock, and so with all threads that use HDF5.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ...errors import FrameError
from .hdf5_opening import open_any
from .pipes import refuse_pipe

if TYPE_CHECKING:
    import h5py

__all__ = [
    "UNLIMITED",
    "find_node",
    "get_node",
    "is_numbered",
    "link_paths",
    "numbered",
    "numbered_paths",
    "raw_path",
    "refuse_sources",
    "source_paths",
]

UNLIMITED = 2**63  # as HDF5 has it, and what its bindings make of that
_FAR = 32  # links and files, one after the other; HDF5 itself follows 16 links
_SIGN = re.compile("%([%b])")


def source_paths(master: str, name: str, prefixes: str = "HDF5_VDS_PREFIX") -> list[str]:
    """Return where HDF5 looks for the source of a virtual data set, in its order; `prefixes` names a variable."""
    if name == ".":
        return [master]
    folder = os.path.dirname(os.path.abspath(master))
    within = os.path.basename(name) if os.path.isabs(name) else name
    named = [prefix.replace("${ORIGIN}", folder) for prefix in os.environ.get(prefixes, "").split(os.pathsep) if prefix]
    true = os.path.dirname(os.path.realpath(master))
    paths = [os.path.join(prefix, within) for prefix in (*named, folder, os.curdir, true)]
    return list(dict.fromkeys([name, *paths] if os.path.isabs(name) else paths))


def link_paths(master: str, name: str) -> list[str]:
    """Return where HDF5 looks for the file of an external link, in its order."""
    return source_paths(master, name, "HDF5_EXT_PREFIX")


def raw_path(master: str, name: str) -> str:
    """Return where HDF5 looks for a raw file of a data set with external storage: not next to the master."""
    folder = os.path.dirname(os.path.abspath(master))
    return os.path.join(os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", folder), name)


def is_numbered(name: str) -> bool:
    """Tell whether a name stands for many, one for each block of a virtual data set."""
    return "%b" in name.replace("%%", "")


def numbered(name: str, block: int) -> str:
    """Return the name of the source of a block."""
    return _SIGN.sub(lambda sign: "%" if sign[1] == "%" else str(block), name)


def numbered_paths(master: str, name: str) -> Iterator[tuple[int, str]]:
    """Yield where sources of a virtual data set are that are there, each with its block."""
    marked = _SIGN.sub(lambda sign: "%" if sign[1] == "%" else "\0", name)
    for path in source_paths(master, marked):
        first, *others = path.split("\0")
        if not others:
            yield from [(0, path)] if os.path.exists(path) else []
            continue
        for found in glob.iglob("*".join(map(glob.escape, (first, *others)))):
            block = re.fullmatch(r"(\d+)".join(map(re.escape, (first, others[0]))) + _again(others[1:]), found)
            if block:
                yield int(block[1]), found


def _again(others: list[str]) -> str:
    return "".join(rf"\1{re.escape(each)}" for each in others)


def get_node(group: h5py.Group, name: str, whole: bool = False) -> Any:
    """Return what a name in a group leads to.

    Parameters
    ----------
    group : h5py.Group
        The group, or the file.
    name : str
        The name.
    whole : bool
        Whether all of a data set is to be read, of which parts may lie in other files. For images, each of which may
        lie elsewhere, `what_is_missing` looks at the files of one.

    Raises
    ------
    FrameError
        HDF5 would have to open a pipe or a device.
    KeyError, OSError, RuntimeError
        It leads nowhere.
    """
    _look_ahead(group, name, _FAR)
    node = group[name]
    refuse_sources(node, whole)
    return node


def find_node(group: h5py.Group, name: str, whole: bool = False) -> Any:
    """Return what `get_node` returns, None if there is nothing."""
    try:
        return get_node(group, name, whole)
    except KeyError:
        return None


def refuse_sources(node: Any, whole: bool = False, left: int = _FAR) -> None:
    """Raise FrameError if HDF5 would open a pipe to tell the size of a data set; with `whole`, also to read it."""
    if getattr(node, "is_virtual", False):
        for source in node.virtual_sources():
            if not whole and not _has_no_end(source.vspace):
                continue
            if source.file_name == ".":
                _look_at(node.file, source.dset_name, whole, left - 1)
                continue
            for block, path in numbered_paths(node.file.filename, source.file_name):
                _look_into(path, numbered(source.dset_name, block), whole, left - 1)
    elif whole:
        for name, *_ in getattr(node, "external", None) or ():
            refuse_pipe(raw_path(node.file.filename, name))


def _look_ahead(group: Any, name: str, left: int) -> None:
    """Raise FrameError if a link on the way that a name leads goes to a pipe; HDF5 follows none of them for that."""
    import h5py

    if not left:
        raise FrameError(f"{group.file.filename}:{name} leads through more than {_FAR} files or links")
    low: Any = h5py
    begin = group.file if name.startswith("/") else group
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for place in range(len(parts)):
        way = "/".join(parts[: place + 1]).encode(errors="surrogateescape")
        try:
            kind = begin.id.links.get_info(way).type
            target = None if kind == low.h5l.TYPE_HARD else begin.id.links.get_val(way)
        except (KeyError, OSError, RuntimeError, TypeError):
            return  # it leads nowhere
        if target is None:
            continue
        file, to = ("", target) if kind == low.h5l.TYPE_SOFT else target
        follows = "/".join([os.fsdecode(to), *parts[place + 1 :]])
        if kind == low.h5l.TYPE_SOFT:
            within = follows if follows.startswith("/") else "/".join([*parts[:place], follows])
            _look_ahead(begin, within, left - 1)
        else:
            for path in filter(os.path.exists, link_paths(begin.file.filename, os.fsdecode(file))):
                _look_into(path, follows, False, left - 1)
        return


def _look_into(path: str, name: str, whole: bool, left: int) -> None:
    """Raise FrameError if a path, or what HDF5 opens to read a name in its file, is a pipe."""
    refuse_pipe(path)
    try:
        state = os.stat(path)
        _look_once(path, name, whole, left, (state.st_dev, state.st_ino))
    except FrameError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, _MayChange):
        return  # HDF5 does not get further either


class _MayChange(Exception):
    """What was found holds for now only."""


@lru_cache(maxsize=4096)  # to open a file takes as long as to read a small image
def _look_once(path: str, name: str, whole: bool, left: int, identity: tuple[int, int]) -> None:
    with open_any(path) as file:
        node = _look_at(file, f"/{name.lstrip('/')}", whole, left)
        if node is None or node.is_virtual:
            raise _MayChange


def _look_at(file: Any, name: str, whole: bool, left: int) -> Any:
    """Return the data set of a name in an open file, None if there is none; FrameError where HDF5 would open a pipe."""
    _look_ahead(file, name, left)
    try:
        node = file[name]
    except (OSError, KeyError, RuntimeError):
        return None
    if not hasattr(node, "is_virtual"):
        return None
    refuse_sources(node, whole, left)
    return node


def _has_no_end(space: Any) -> bool:
    """Tell whether a selection has no end, so that HDF5 looks into its source to tell the size of the data set."""
    import h5py

    h5s: Any = h5py.h5s
    if space.get_select_type() != h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return False
    *_, counts, blocks = space.get_regular_hyperslab()
    return any(number < 0 or number >= UNLIMITED for number in (*counts, *blocks))
