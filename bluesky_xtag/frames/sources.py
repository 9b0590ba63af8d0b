"""Readers of the images of one event, one for each place where Bluesky's documents put them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np

from ..errors import FrameError
from .arrays import pick_image
from .files import FileFormat, Hdf5Frames

__all__ = ["FileImages", "Hdf5DatumImages", "InlineImages", "MissingImages", "path_of"]

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
        rows = self.size[0] if self.size else None
        return self.format.read(self.path, self.dataset, self.first + index, rows)


@dataclass(frozen=True, eq=False, slots=True)
class Hdf5DatumImages:
    """Images of a datum in an HDF5 file of the AD_HDF5 family."""

    handler: Hdf5Frames
    point_number: int
    size: Size

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        return self.handler.image(self.point_number, index)


def path_of(uri: str) -> str | None:
    """Return the path of a ``file:`` URI (or of a plain path), None for other schemes."""
    parts = urlparse(uri)
    return unquote(parts.path) if parts.scheme in ("", "file") else None
