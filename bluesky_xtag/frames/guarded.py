"""Reads files that documents name only below directories that a user names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..errors import RootError, XTagValueError
from .files import linked_files
from .roots import RootMap

if TYPE_CHECKING:
    from ..model import PackedImage
    from .frame import Images

__all__ = ["GuardedImages", "NamedRoots", "Roots"]

# How a user names directories; None allows every file.
NamedRoots: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None

_DRIVE = re.compile(r"/?[A-Za-z]:[\\/]")
# Entries of resources that name a data set within a file, not a file.
_WITHIN = frozenset({"data_key", "dataset", "dataset_name", "hdf5_path", "key", "path"})


@dataclass(frozen=True)
class Roots:
    """The directories below which files may be read that documents name.

    Parameters
    ----------
    directories : tuple of str
        Their true paths, without links.
    """

    directories: tuple[str, ...]

    @classmethod
    def of(cls, roots: NamedRoots) -> Roots | None:
        """Return the roots that a user names; None for None, which allows every file.

        Raises
        ------
        XTagValueError
            One of them is not a directory.
        """
        if roots is None:
            return None
        given = [roots] if isinstance(roots, str | os.PathLike) else list(roots)
        found = []
        for root in given:
            if not isinstance(root, str | os.PathLike) or not os.path.isdir(path := os.path.expanduser(root)):
                raise XTagValueError(
                    f"roots: {str(root)!r} is not a directory: name those below which files may be read"
                )
            found.append(os.path.realpath(path))
        if not found:
            raise XTagValueError("roots is empty, so no file may be read: name directories, or leave it out")
        return cls(tuple(found))

    def check(self, path: str, moved: RootMap) -> None:
        """Raise RootError unless a file lies below a root, links followed, and takes no pixels from elsewhere."""
        self._check(path, path)
        for each in _linked_files(path, moved) if os.path.isfile(path) else ():
            self._check(each, path)

    def check_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Raise RootError if what a resource says beside its path may lead out of its directory."""
        for key, value in parameters.items():
            if isinstance(value, Mapping):
                self.check_parameters(value)
            elif isinstance(value, str) and key not in _WITHIN:
                parts = re.split(r"[\\/]", value)
                if ".." in parts or os.path.isabs(value) or _DRIVE.match(value):
                    raise RootError(
                        f"the documents name {key} = {value!r}, which may lead to any file: only files below the roots "
                        f"{', '.join(self.directories)} may be read"
                    )

    def _check(self, path: str, of: str) -> None:
        real = os.path.realpath(path)
        if not any(real == root or real.startswith(root.rstrip("/") + "/") for root in self.directories):
            through = f" through {of}" if of != path else ""
            true = f", which is {real}" if real != os.path.abspath(path) else ""
            raise RootError(
                f"the documents name {path}{through}{true}, which is not below the roots that may be read, "
                f"{', '.join(self.directories)}: add its directory if you trust whoever made these runs"
            )


@lru_cache(maxsize=4096)
def _linked_files(path: str, moved: RootMap) -> frozenset[str]:
    return linked_files(path, moved)


@dataclass(frozen=True, eq=False)
class GuardedImages:
    """Images of files that are read only below some roots.

    Parameters
    ----------
    images : Images
        Reads them.
    files : tuple of str
        The files that they are in.
    parameters : mapping
        What their resource says beside that.
    roots : Roots
        The roots.
    moved : RootMap
        Where directories are now that the files name.
    """

    images: Images
    files: tuple[str, ...]
    parameters: Mapping[str, Any]
    roots: Roots
    moved: RootMap

    @property
    def size(self) -> tuple[int, int] | None:
        """The last two dimensions that the data key declares."""
        return self.images.size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`; RootError if it may not be read."""
        self.check()
        return self.images.read(index)

    def pack(self, index: int) -> np.ndarray | PackedImage:
        """Return image `index`, still compressed if it can be; RootError if it may not be read."""
        self.check()
        pack = getattr(self.images, "pack", self.images.read)
        return pack(index)

    def check(self) -> None:
        """Raise RootError if the images may not be read."""
        self.roots.check_parameters(self.parameters)
        for path in self.files:
            self.roots.check(path, self.moved)
