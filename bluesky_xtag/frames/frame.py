"""One detector image and where it came from."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..documents import FrameId
from ..errors import FrameError
from .arrays import check_size, shape_of, sum_colours

if TYPE_CHECKING:
    from ..model import PackedImage

__all__ = ["Frame", "Images", "bytes_held"]

logger = logging.getLogger("bluesky_xtag")


class Images(Protocol):
    """The images of one event or stream_datum index: something that reads them one by one."""

    @property
    def size(self) -> tuple[int, int] | None:
        """The last two dimensions that the data key declares, None if it does not."""
        ...

    def read(self, index: int) -> np.ndarray:
        """Return image `index`; raises FrameNotReady or FrameError."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One detector image, its beam centre and mask if known, and where it came from.

    A frame holds all that it needs to read its pixels, also after its run has ended. An array inside an event is
    referred to, not copied.

    Parameters
    ----------
    id : FrameId
        Which frame: run, stream, data key, event and index.
    beam_centre : (float, float) or None
        Column and row of the direct beam in pixels, None if the documents do not tell.
    mask : array of shape (rows, columns) or None
        True where the user does not want pixels to be used.
    source : Images
        What reads the pixels; private to this package.
    """

    id: FrameId
    beam_centre: tuple[float, float] | None
    mask: np.ndarray | None = field(repr=False)
    source: Images = field(repr=False)

    def pixels(self) -> np.ndarray:
        """Read the image. May be called from any thread; call it off the RunEngine's.

        Returns
        -------
        array of shape (rows, columns)
            Raw counts, in the detector's dtype.

        Raises
        ------
        FrameNotReady
            The file or the image in it is not there yet: try again.
        FrameError
            The pixels never will be right: foreign file, not an image, or one of a size that no binning explains.
        """
        image = check_image(self.source.read(self.id.index), self.id.key)
        self._compare_size(image)
        return image

    def packed(self) -> np.ndarray | PackedImage:
        """Read the image as `pixels` does, but leave it compressed if its file allows to decode it row by row.

        A packed image takes a fraction of the memory, and its pixels are never in it as a whole while they are binned.
        """
        pack = getattr(self.source, "pack", None)
        image = None if pack is None else pack(self.id.index)
        if image is None:
            return self.pixels()
        if isinstance(image, np.ndarray):
            image = check_image(image, self.id.key)
        self._compare_size(image)
        return image

    def _compare_size(self, image: np.ndarray | PackedImage) -> None:
        declared = self.source.size
        # Some devices declare (width, height) and write (rows, columns).
        if declared and image.shape not in (declared, declared[::-1]):
            check_size(image.shape, image.dtype.itemsize, declared, self.id.key)
            if _is_first(self.id.run, self.id.key):
                logger.warning(
                    "%s has the shape %s in run %s, but its data key declares %s: the pixels are taken as they are",
                    *(self.id.key, image.shape, self.id.run, declared),
                )


_SAID: dict[tuple[str, str], None] = {}  # frames travel to other threads and processes: each remembers what it said
_SAID_KEPT = 1024


def _is_first(run: str, key: str) -> bool:
    if (run, key) in _SAID:
        return False
    _SAID[run, key] = None
    for oldest in list(_SAID)[:-_SAID_KEPT]:
        _SAID.pop(oldest, None)
    return True


def bytes_held(frames: Iterable[Frame]) -> int:
    """Return how many bytes of pixels frames keep in memory: those that lie in an event, once for all its images."""
    held = {
        id(value): _size_of(value) for frame in frames if (value := getattr(frame.source, "value", None)) is not None
    }
    return sum(held.values())


def _size_of(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    return 8 * math.prod(shape_of(value)) if isinstance(value, list | tuple) else 0


def check_image(image: np.ndarray, key: str) -> np.ndarray:
    """Return the image as two dimensions in native byte order, or say why it is none."""
    while image.ndim > 2 and image.shape[0] == 1:
        image = image[0]
    image = sum_colours(image)
    if image.ndim != 2 or not image.size:
        raise FrameError(f"{key} has the shape {image.shape}; an image needs two dimensions, none of them empty")
    if image.dtype.kind not in "biuf":
        raise FrameError(f"{key} has the dtype {image.dtype}; an image needs integers or floats")
    return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder("="))
