"""Readers of the images of one event, one for each place where Bluesky's documents put them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FrameError
from .arrays import pick_image
from .files import FileFormat, Hdf5Frames, images_in, warn_of_surplus

if TYPE_CHECKING:
    from ..model import PackedImage

__all__ = ["FileImages", "Hdf5DatumImages", "InlineImages", "MissingImages", "SeriesImages"]

Size = tuple[int, int] | None


@dataclass(frozen=True, eq=False, slots=True)
class InlineImages:
    """Images inside the event."""

    value: Any
    size: Size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        try:
            return pick_image(self.value, index)
        except FrameError:  # of a value that is read only now, from where it is stored
            raise
        except ValueError as error:
            raise FrameError(f"the value in the event is not an array: {error}") from error

    def pack(self, index: int) -> np.ndarray | PackedImage:
        """Return image `index`, still compressed if the value is one of a file that can."""
        return self.value.pack(index) if hasattr(self.value, "pack") else self.read(index)


@dataclass(frozen=True, eq=False, slots=True)
class MissingImages:
    """Images of which the documents do not say where they are."""

    reason: str
    size: Size = None

    def read(self, index: int) -> np.ndarray:
        """Raise FrameError with the reason."""
        raise FrameError(self.reason)


@dataclass(frozen=True, eq=False, slots=True)
class FileImages:
    """Images of a file from image `first` on: those of one index of a stream_datum, or an Eiger's series."""

    format: FileFormat
    path: str
    dataset: str
    first: int
    size: Size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        return self.format.read(self.path, self.dataset, self.first + index, self.size)

    def pack(self, index: int) -> np.ndarray | PackedImage:
        """Return image `index`, still compressed if its format can."""
        return self.format.pack(self.path, self.dataset, self.first + index, self.size)


@dataclass(frozen=True, eq=False, slots=True)
class SeriesImages:
    """The images of an Eiger's series, of which an event has `count`; what the series has beyond is said."""

    format: FileFormat
    path: str
    count: int
    size: Size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        image = self.format.read(self.path, "/entry/data", index, self.size)
        self._compare_counts()
        return image

    def pack(self, index: int) -> np.ndarray | PackedImage:
        """Return image `index`, still compressed if it can be."""
        image = self.format.pack(self.path, "/entry/data", index, self.size)
        self._compare_counts()
        return image

    def _compare_counts(self) -> None:
        with suppress(FrameError):  # the image is there, whatever the count says
            warn_of_surplus(self.path, self.count, images_in(self.format, self.path, "/entry/data"))


@dataclass(frozen=True, eq=False, slots=True)
class Hdf5DatumImages:
    """Images of a datum in an HDF5 file of the AD_HDF5 family."""

    handler: Hdf5Frames
    point_number: int
    size: Size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        return self.handler.image(self.point_number, index, self.size)

    def pack(self, index: int) -> np.ndarray | PackedImage:
        """Return image `index`, still compressed if it can be."""
        return self.handler.pack(self.point_number, index, self.size)
