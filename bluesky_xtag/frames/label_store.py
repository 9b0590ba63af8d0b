"""A file of labelled frames that grows frame by frame, and is whole whenever somebody looks at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import XTagError, XTagValueError
from ..model import Tag, write_atomically
from .files import new_hdf5, without_hint
from .labelled import DEFINITIONS, MASKS, TAGS, TRUTH, LabelledFrame, find_names, read_text, read_words
from .labelled_writing import add_labelled

if TYPE_CHECKING:
    import h5py

__all__ = ["LabelStore"]


class LabelStore:
    """Labelled frames on disk, one more or one less at a time.

    Each change is made to a copy, which takes the place of the file when all of it is on disk. So the file always is
    what it was before a change or what it is after it, also if the machine stops in between. The file appears with its
    first frame.

    Parameters
    ----------
    path : str or Path
        The HDF5 file, see `bluesky_xtag.frames.labelled`. If it exists, frames are added to it.

    Attributes
    ----------
    tags : tuple of str
        The tags of the file, in its order.
    frames : dict of str to dict
        By the name of each frame, the attributes that stand next to it.

    Raises
    ------
    XTagValueError
        The file is not one of labelled frames, or cannot be made there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.frames: dict[str, dict[str, Any]] = {}
        self._definitions: dict[str, str] = {}
        _check_place(self.path)
        if self.path.exists():
            self._read()
        self._seen = self._state()

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the file, in its order."""
        return tuple(self._definitions)

    def require(self, tags: Mapping[str, str]) -> None:
        """Take up tags, and when each holds ("" if nothing is to be said); XTagValueError if a name will not do.

        Tags that the file does not have are added to it with its next change. For the frames in it they are uncertain.
        """
        for tag, definition in tags.items():
            Tag(tag, "", definition)  # a model may take it up
            if definition or tag not in self._definitions:
                self._definitions[tag] = definition

    def definition(self, tag: str) -> str:
        """Return when a tag holds, "" if the file does not say it."""
        return self._definitions.get(tag, "")

    def free_name(self, wanted: str) -> str:
        """Return a name that no frame of the file has: the one that is wanted, or one with a number."""
        name, number = wanted, 1
        while name in self.frames:
            number += 1
            name = f"{wanted}_{number}"
        return name

    def add(self, frame: LabelledFrame) -> None:
        """Add a frame. It is on disk when this method returns.

        Raises
        ------
        XTagError
            The disk does not take it, or somebody else changed the file. The file is what it was before.
        """
        self._change(lambda file: add_labelled(file, frame, self.tags))
        self.frames[frame.name] = {**frame.attributes, "source": frame.source}

    def remove(self, name: str) -> None:
        """Take a frame out again; errors are those of `add`."""

        def remove(file: h5py.File) -> None:
            for each in (name, f"{MASKS}/{name}"):
                if each in file:
                    del file[each]

        self._change(remove)
        del self.frames[name]

    def _read(self) -> None:
        import h5py

        try:
            with h5py.File(self.path, "r") as file:
                tags = read_words(file.attrs.get(TAGS, ()))
                definitions = read_words(file.attrs.get(DEFINITIONS, ())) or ("",) * len(tags)
                for name in find_names(file):
                    about: Any = file[name].attrs
                    self.frames[name] = {key: _plain(value) for key, value in about.items()}
        except OSError as error:
            raise XTagValueError(
                f"{self.path} cannot be read as HDF5 ({without_hint(error)}), so no labels can be added to it: "
                "name another file for the labels, as the last one"
            ) from None
        if not tags or len(tags) != len(definitions):
            raise XTagValueError(
                f"{self.path} exists and is not a file of labels, since it does not name its `tags`: "
                "name the file for the labels last, after the files with the frames"
            )
        self._definitions = dict(zip(tags, definitions, strict=True))

    def _change(self, change: Callable[[h5py.File], None]) -> None:
        if self._state() != self._seen:
            raise XTagError(
                f"somebody else changed {self.path} meanwhile, so nothing is written to it: stop here and start again; "
                "what was labelled before is in it, unless they removed it"
            )
        try:
            with write_atomically(self.path) as unfinished:
                continued = self.path.exists()
                if continued:
                    shutil.copyfile(self.path, unfinished)
                with new_hdf5(unfinished, extend=continued) as new:
                    self._write_tags(new.hdf5)
                    change(new.hdf5)
        except OSError as error:
            raise XTagError(
                f"{self.path} cannot be written ({error}): mend that and try again; what was labelled before is in it"
            ) from error
        self._seen = self._state()

    def _write_tags(self, file: h5py.File) -> None:
        """Write the tags; frames that were labelled before some of them were known get -1 for those."""
        had = read_words(file.attrs.get(TAGS, ()))
        if had == self.tags and TAGS in file.attrs:
            return
        file.attrs[TAGS] = list(self.tags)
        if any(self._definitions.values()):
            file.attrs[DEFINITIONS] = list(self._definitions.values())
        for name in find_names(file):
            attributes: Any = file[name].attrs
            if TRUTH in attributes:
                truth = np.full(len(self.tags), -1, np.int8)
                truth[: len(had)] = attributes[TRUTH][: len(had)]
                attributes[TRUTH] = truth

    def _state(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def _plain(value: Any) -> Any:
    return read_text(value) if isinstance(value, str | bytes) else value


def _check_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise XTagValueError(f"there is no directory {path.parent} for {path.name}: make it first, or name another one")
    if path.is_dir():
        raise XTagValueError(f"{path} is a directory: name a file for the labels, such as {path / 'labels.h5'}")
    if not os.access(path.parent, os.W_OK):
        raise XTagValueError(
            f"you may not write to the directory {path.parent.absolute()}: name a file for the labels elsewhere"
        )
