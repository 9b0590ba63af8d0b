"""What a file format must be able to do so that live frames, archives, stored runs and masks can use it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from ...model import PackedImage
    from ..roots import RootMap

__all__ = ["FileFormat"]


class FileFormat(Protocol):
    """One kind of file with images; derive from it, so that what has a default need not be written again.

    Formats do not change: frames travel to other threads and processes with the format that reads them.

    Attributes
    ----------
    suffixes : frozenset of str
        Ends of the names of its files, in lower case and with the dot.
    mimetypes : frozenset of str
        Mimetypes of the stream resources whose images lie in one file of this kind.
    """

    suffixes: frozenset[str]
    mimetypes: frozenset[str]

    def data_sets(self, path: str, wanted: str | None = None) -> Iterable[tuple[str, int]]:
        """Return the name of each data set of images in a file, and how many images it holds.

        Parameters
        ----------
        path : str
            The file; it is complete, or as complete as it ever will be.
        wanted : str, optional
            The data set to take instead of all, for formats that name theirs. The others have one, named "".

        Raises
        ------
        FrameError
            The file cannot be read, or holds no images.
        """
        ...

    def read(self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return one image of a file that may still be growing.

        Parameters
        ----------
        path : str
            The file.
        dataset : str
            One of `data_sets`.
        index : int
            Number of the image in the data set, from 0.
        size : (int, int), optional
            Rows and columns that the data key declares. Where images lie below each other in a two-dimensional data
            set, they tell them apart; and an image of a size that no binning explains is refused before it is read, see
            `check_size`.

        Returns
        -------
        numpy.ndarray
            (rows, columns), raw counts in the dtype of the file.

        Raises
        ------
        FrameNotReady
            The file or the image is not there yet, or not whole.
        FrameError
            It never will be: a foreign file, or no image.
        """
        ...

    def pack(
        self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None
    ) -> np.ndarray | PackedImage:
        """Return one image as `read` does, or still compressed where its rows can be decoded one after the other."""
        return self.read(path, dataset, index, size)

    def origins(self, path: str, dataset: str) -> frozenset[tuple[str, str]]:
        """Return the files, and the data sets in them, from which the images of a data set of `data_sets` are taken."""
        return frozenset([(os.path.realpath(path), dataset)])

    def with_roots(self, roots: RootMap) -> FileFormat:
        """Return the format for files that name others, which are now elsewhere; the same one if its files do not."""
        return self

    def linked_files(self, path: str) -> frozenset[str]:
        """Return the other files from which a file may take pixels; none for formats that keep all in one."""
        return frozenset()

    def read_mask(self, path: str, dataset: str) -> np.ndarray:
        """Return the first image of a file that a person wrote; errors are those of `read`."""
        return self.read(path, dataset, 0)
