"""Frames as addresses: what another process on this machine needs to read the pixels itself, in plain values."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..errors import RootError
from .files import FORMATS, FileFormat, Hdf5Frames
from .frame import Frame, Images
from .guarded import GuardedImages, Roots
from .roots import RootMap
from .sources import FileImages, Hdf5DatumImages, MissingImages, SeriesImages

__all__ = ["Address", "address_of", "images_at"]

Address = list[Any]
"""What kind of source it is, and what it needs: strings, whole numbers, and lists of these."""


def address_of(frame: Frame) -> Address | None:
    """Return where the pixels of a frame are; None if only this process can read them.

    Parameters
    ----------
    frame : Frame
        A frame. Its images may lie in a file of a known format, or be missing; those in an event, behind a server or
        of another kind of source have no address.
    """
    source: Any = frame.source
    size = None if source.size is None else [int(side) for side in source.size]
    if type(source) is FileImages:
        form = _format(source.format)
        return form and ["file", form, os.path.abspath(source.path), source.dataset, int(source.first), size]
    if type(source) is SeriesImages:
        form = _format(source.format)
        return form and ["series", form, os.path.abspath(source.path), int(source.count), size]
    if type(source) is Hdf5DatumImages and type(source.handler) is Hdf5Frames:
        filename, per_point, dataset, roots = source.handler.arguments
        return ["datum", os.path.abspath(filename), per_point, dataset, _pairs(roots), int(source.point_number), size]
    if type(source) is GuardedImages:
        return _guarded(frame, source, size)
    if type(source) is MissingImages:
        return ["missing", source.reason, size]
    return None


def images_at(address: Sequence[Any]) -> Images:
    """Return what reads the images at an address; ValueError if it is none."""
    kind, *parts, size = address
    if kind not in _KINDS:
        raise ValueError(f"images of the kind {kind!r} are not known")
    return _KINDS[kind](*parts, None if size is None else (int(size[0]), int(size[1])))


def _format(form: FileFormat) -> list[Any] | None:
    """Return the name of a format and the roots that it follows; None if it is not one of those known by name."""
    name = next((name for name, known in FORMATS.items() if type(known) is type(form)), None)
    return None if name is None else [name, _pairs(getattr(form, "roots", None))]


def _format_of(values: Sequence[Any]) -> FileFormat:
    name, pairs = values
    return FORMATS[name].with_roots(RootMap(dict(pairs))) if pairs else FORMATS[name]


def _pairs(roots: RootMap | None) -> list[list[str]]:
    return [list(pair) for pair in roots or ()]


def _guarded(frame: Frame, source: GuardedImages, size: Any) -> Address | None:
    """Return the address of images that are read only below some roots, which are looked at again where they are read.

    What their resource says beside its files is looked at here.
    """
    inner = address_of(replace(frame, source=source.images))
    try:
        source.roots.check_parameters(source.parameters)
    except RootError:
        return None
    directories = list(source.roots.directories)
    return inner and ["guarded", inner, list(source.files), directories, _pairs(source.moved), size]


def _guarded_at(inner: Any, files: Any, directories: Any, pairs: Any, size: Any) -> Images:
    return GuardedImages(images_at(inner), tuple(files), {}, Roots(tuple(directories)), RootMap(dict(pairs)))


def _datum(filename: str, per_point: int, dataset: str, pairs: Any, point_number: int, size: Any) -> Images:
    roots = RootMap(dict(pairs)) if pairs else None
    return Hdf5DatumImages(Hdf5Frames(filename, per_point, dataset, roots=roots), point_number, size)


_KINDS: dict[str, Callable[..., Images]] = {
    "file": lambda form, *parts: FileImages(_format_of(form), *parts),
    "series": lambda form, *parts: SeriesImages(_format_of(form), *parts),
    "datum": _datum,
    "guarded": _guarded_at,
    "missing": MissingImages,
}
