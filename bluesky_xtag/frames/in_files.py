"""The images of files that come without documents: which files, and each of their images once."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from ..documents import FrameId
from ..errors import FrameError, XTagValueError
from .files import format_of
from .frame import Frame, Images
from .roots import RootMap
from .selection import FrameSelection
from .sources import FileImages, MissingImages

__all__ = ["each_once", "frames_of", "matching_files"]

logger = logging.getLogger("bluesky_xtag")


def matching_files(files: str | Path | Iterable[str | Path]) -> Iterator[str]:
    """Yield the files that match names and patterns, such as ``"data/**/*.cbf"``; of directories nothing.

    Raises
    ------
    XTagValueError
        No file matches one of them.
    """
    patterns = [files] if isinstance(files, str | Path) else files
    for pattern in patterns:
        found = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))
        if not found:
            raise XTagValueError(f"no file matches {pattern}: name files that exist, patterns in quotes")
        for path in found:
            if os.path.isfile(path):
                yield path
            elif len(found) == 1:
                logger.warning("%s is a directory: name the files in it, such as '%s'", path, os.path.join(path, "*"))


def each_once(paths: Sequence[str], selection: FrameSelection, roots: RootMap) -> Iterator[Frame]:
    """Yield the images of all files; those that files show of others that are named, too, once: through the first."""
    shown: dict[tuple[str, str], str] = {}
    for path in paths:  # masters first, whatever their names
        for place in _origins_elsewhere(path, selection, roots):
            shown.setdefault(place, path)
    said: set[str] = set()
    for path in paths:
        for frame in frames_of(path, selection, roots):
            master = _shown_by(frame, shown, roots)
            if master is None:
                yield frame
            elif path not in said:
                said.add(path)
                logger.warning("%s: its images are taken once, as those of %s", path, master)


def _shown_by(frame: Frame, shown: Mapping[tuple[str, str], str], roots: RootMap) -> str | None:
    """Return the other file through which a frame is taken, None if it is taken through its own."""
    masters = {shown.get(place) for place in _origins(frame.id.run, frame.id.key, roots)}
    (master,) = masters if len(masters) == 1 else (None,)
    return master if master != frame.id.run else None


def _origins_elsewhere(path: str, selection: FrameSelection, roots: RootMap) -> set[tuple[str, str]]:
    if selection.key is not None:
        return set()
    try:
        listed = format_of(path).with_roots(roots).data_sets(path)
        found = {place for dataset, _ in listed for place in _origins(path, dataset, roots)}
    except FrameError:
        return set()
    here = os.path.realpath(path)
    return found if any(file != here for file, _ in found) else set()


@lru_cache(maxsize=4096)
def _origins(path: str, dataset: str, roots: RootMap) -> frozenset[tuple[str, str]]:
    try:
        return format_of(path).with_roots(roots).origins(path, dataset)
    except FrameError:
        return frozenset()


def frames_of(path: str, selection: FrameSelection | None = None, roots: RootMap | None = None) -> Iterator[Frame]:
    """Yield the images of a file as frames. A file without images yields one frame that cannot be read.

    Parameters
    ----------
    path : str
        The file.
    selection : FrameSelection, optional
        Beam centre, mask and, as `key`, the data sets of the images, for formats that name data sets. If it is None, or
        has no `key`, the data sets that look like images.
    roots : RootMap, optional
        Where directories are now that links in the file name.
    """
    selection = selection or FrameSelection()
    form = format_of(path).with_roots(roots or RootMap())
    centre = selection.fixed_centre

    def frame(source: Images, dataset: str, index: int) -> Frame:
        return Frame(FrameId(path, "", dataset, 1, index, path), centre, selection.mask_of(dataset), source)

    for wanted in [None] if selection.key is None else sorted(selection.key):
        try:
            for dataset, count in form.data_sets(path, wanted):
                source = FileImages(form, path, dataset, 0, None)
                yield from (frame(source, dataset, index) for index in range(count))
        except FrameError as error:
            yield frame(MissingImages(str(error)), wanted or "", 0)
