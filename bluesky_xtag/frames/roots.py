"""Where files lie today that documents name by an earlier mount, or by a Windows drive."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from ..errors import XTagValueError

__all__ = ["RootMap", "path_of"]

_DRIVE = re.compile(r"/?[A-Za-z]:[\\/]")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):")


class RootMap:
    """Directories of documents, and where each is now.

    Parameters
    ----------
    root_map : mapping of str to str, optional
        As event-model and databroker have it: the root that documents name -> the directory where its files are. The
        longest root that fits is taken. Names of Windows may have either slash.

    Raises
    ------
    XTagValueError
        It is not a mapping of names to names.
    """

    def __init__(self, root_map: Mapping[str, str] | None = None) -> None:
        roots = root_map or {}
        if not isinstance(roots, Mapping) or not all(
            isinstance(root, str | os.PathLike) for pair in roots.items() for root in pair
        ):
            raise XTagValueError(f"root_map={root_map!r}: give a mapping such as {{'/old/mount': '/data/archive'}}")
        named = {_plain(os.fspath(root)).rstrip("/"): os.fspath(now) for root, now in roots.items()}
        self._roots = sorted(named.items(), key=lambda pair: -len(pair[0]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RootMap) and self._roots == other._roots

    def __hash__(self) -> int:
        return hash(tuple(self._roots))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._roots)

    def __bool__(self) -> bool:
        return bool(self._roots)

    def path(self, path: str) -> str:
        """Return where a file is now; as it was named if no root fits."""
        plain = _plain(path)
        for root, now in self._roots:
            if plain == root or plain.startswith(f"{root}/"):
                rest = plain[len(root) + 1 :]
                return os.path.join(now, rest) if rest else now
        return path

    def join(self, root: str, path: str) -> str:
        """Return where a file is now that a resource names by a root and a path in it."""
        if _DRIVE.match(root):  # os.path knows the separators of this machine only
            path = f"{root.rstrip('/')}/{path}" if not _DRIVE.match(path) else path
            return self.path(path)
        return self.path(os.path.join(root, path))


def path_of(uri: str) -> str | None:
    """Return the path of a ``file:`` URI or of a plain path, whatever characters it has; None for other schemes."""
    found = _SCHEME.match(uri)
    if found is None:
        return uri
    if found["scheme"].lower() != "file":
        return None
    rest = uri[found.end() :]
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        rest = slash + path
    return unquote(rest)


def _plain(path: str) -> str:
    """Return a Windows path with the slashes of the others and without one before its drive; others as they are."""
    if not _DRIVE.match(path):
        return path if not path.startswith("\\\\") else path.replace("\\", "/")
    path = path.replace("\\", "/").lstrip("/")
    return path[0].upper() + path[1:]
