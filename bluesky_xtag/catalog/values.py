"""Values in the events of a stored run that read images only when a frame is needed."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CatalogError, FrameError
from ..frames import FileFormat, RootMap, format_of, images_in
from .failures import is_away

if TYPE_CHECKING:
    from ..model import PackedImage

__all__ = ["FileValue", "ServedValue"]

_ENOUGH = 2  # images in a row that the server could not read, after which the rest is not asked for: each try lasts


@dataclass(frozen=True)
class FileValue:
    """The images of an event in files that this machine can reach. It can be sent to another process.

    Parameters
    ----------
    files : tuple of str
        The files, in the order of their images.
    dataset : str
        Where the images are, in HDF5 files.
    first : int
        Number of the event's first image, counted over all files.
    per_file : int or None
        Images in each file; None if it has to be counted.
    shape : tuple of int
        (images, rows, columns).
    roots : RootMap, optional
        Where the directories are now that links in the files name.
    """

    files: tuple[str, ...]
    dataset: str
    first: int
    per_file: int | None
    shape: tuple[int, ...]
    roots: RootMap = RootMap()

    def with_roots(self, roots: RootMap) -> FileValue:
        """Return the value whose files are where a map of roots says."""
        return replace(self, files=tuple(map(roots.path, self.files)), roots=roots)

    def __getitem__(self, index: int) -> np.ndarray:
        """Return image `index` of the event; FrameError if it cannot be read."""
        path, number = self._locate(self.first + index)
        return self._format(path).read(path, self.dataset, number, (self.shape[-2], self.shape[-1]))

    def pack(self, index: int) -> np.ndarray | PackedImage:
        """Return image `index` of the event as `[]` does, or still compressed."""
        path, number = self._locate(self.first + index)
        return self._format(path).pack(path, self.dataset, number, (self.shape[-2], self.shape[-1]))

    def _format(self, path: str) -> FileFormat:
        return format_of(path).with_roots(self.roots)

    def _locate(self, number: int) -> tuple[str, int]:
        if len(self.files) == 1:
            return self.files[0], number
        if self.per_file:
            place, number = divmod(number, self.per_file)
            if place < len(self.files):
                return self.files[place], number
        else:
            for path in self.files:
                count = images_in(self._format(path), path, self.dataset)
                if number < count:
                    return path, number
                number -= count
        raise FrameError(f"the files {self.files[0]} ... {self.files[-1]} hold fewer images than the run says")


class ServedValue:
    """The images of an event that a Tiled server reads.

    Parameters
    ----------
    client : ArrayClient
        The images of all events of a stream, (events, ..., rows, columns).
    position : int
        Number of the event in it.
    failed : list of str
        Shared by all events of a stream: what the server said to the last images that it could not read.
    files : FileValue, optional
        The same images in files that are not where the documents say.
    """

    def __init__(self, client: Any, position: int, failed: list[str], files: FileValue | None = None) -> None:
        self._client = client
        self._files = files
        self._position = position
        self._failed = failed
        self._lead = tuple(client.shape[1:-2])
        self.shape = (math.prod(self._lead), *client.shape[-2:])

    def with_roots(self, roots: RootMap) -> FileValue | ServedValue:
        """Return the images in the files, if a map of roots leads to any of these."""
        moved = None if self._files is None else self._files.with_roots(roots)
        return self if moved is None or not any(map(os.path.exists, moved.files)) else moved

    def __getitem__(self, index: int) -> np.ndarray:
        """Return image `index` of the event.

        Raises
        ------
        FrameError
            The server cannot read it.
        CatalogError
            The server cannot be reached, or refuses the request.
        """
        if len(self._failed) >= _ENOUGH:
            raise FrameError(f"not requested, because the server could not read the images before: {self._failed[-1]}")
        place = (self._position, *map(int, np.unravel_index(index, self._lead))) if self._lead else self._position
        try:
            image = np.asarray(self._client[place])
        except Exception as error:  # Tiled's adapters raise anything, those of a server in this process directly
            if is_away(error):
                raise CatalogError(f"the server of {self._client.uri} does not answer ({error}): call again") from error
            self._failed.append(f"{type(error).__name__}: {error}")
            raise FrameError(f"the server cannot read {self._client.uri}: {self._failed[-1]}") from error
        self._failed.clear()
        return image
