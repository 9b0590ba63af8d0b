"""One detector image and where it came from."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from ..documents import FrameId
from ..errors import FrameError
from .arrays import check_size, shape_of, sum_colours

if TYPE_CHECKING:
    from ..model import PackedImage

__all__ = ["Frame", "FrameRange", "Images", "is_first"]

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
            if is_first(self.id, "size"):
                logger.warning(
                    "%s has the shape %s in run %s, but its data key declares %s: the pixels are taken as they are",
                    *(self.id.key, image.shape, self.id.run, declared),
                )


# Frames travel to other threads and processes: each remembers what it said.
_SAID: dict[tuple[str, str, str], None] = {}
_SAID_KEPT = 1024


def is_first(frame: FrameId, what: str) -> bool:
    """Tell whether something happens for the first time in a run, or in a directory of files, to images of a key."""
    place = frame.run if frame.stream else os.path.dirname(frame.run), frame.key, what
    if place in _SAID:
        return False
    _SAID[place] = None
    for oldest in list(_SAID)[:-_SAID_KEPT]:
        _SAID.pop(oldest, None)
    return True


@dataclass(frozen=True, eq=False, slots=True)
class FrameRange(Sequence[Frame]):
    """The frames of one data key that a document brings; each is made when it is asked for.

    A document of a fast scan may bring 100,000 frames at once, and the RunEngine waits while it is taken.

    Parameters
    ----------
    run, stream, key, event : str
        As in `FrameId`.
    first : int
        The first sequence number.
    events : int
        How many sequence numbers there are.
    images : int
        How many images each of them has.
    beam_centre, mask
        As in `Frame`.
    source : callable
        Returns what reads the images of an event, given its place in the range, from 0.
    """

    run: str
    stream: str
    key: str
    event: str
    first: int
    events: int
    images: int
    beam_centre: tuple[float, float] | None
    mask: np.ndarray | None = field(repr=False)
    source: Callable[[int], Images] = field(repr=False)

    def __len__(self) -> int:
        return self.events * self.images

    @overload
    def __getitem__(self, position: int) -> Frame: ...

    @overload
    def __getitem__(self, position: slice) -> list[Frame]: ...

    def __getitem__(self, position: int | slice) -> Frame | list[Frame]:
        if isinstance(position, slice):
            return [self[each] for each in range(len(self))[position]]
        position = range(len(self))[position]
        return Frame(self.id(position), self.beam_centre, self.mask, self.source(position // self.images))

    def __iter__(self) -> Iterator[Frame]:
        return map(self.__getitem__, range(len(self)))

    def id(self, position: int) -> FrameId:
        """Return which frame is at a position."""
        event, index = divmod(position, self.images)
        return FrameId(self.run, self.stream, self.key, self.first + event, index, self.event)

    def ids(self, positions: Iterable[int]) -> Iterator[FrameId]:
        """Yield which frames are at some positions."""
        if self.images > 1:
            return map(self.id, positions)
        run, stream, key, first, event = self.run, self.stream, self.key, self.first, self.event
        return (FrameId(run, stream, key, first + position, 0, event) for position in positions)

    def places(self, positions: Sequence[int]) -> dict[str, list[str | int]]:
        """Return which frames are at some positions, as columns: a list for each part of `FrameId` that rows have."""
        count = len(positions)
        return {
            "event": [self.event] * count,
            "key": [self.key] * count,
            "seq_num": [self.first + position // self.images for position in positions],
            "index": [position % self.images for position in positions],
        }

    def position(self, seq_num: int, index: int = 0) -> int:
        """Return where an image of a sequence number is; outside of the range if it is none of these frames."""
        return (seq_num - self.first) * self.images + index

    def is_at(self, frame: FrameId, position: int) -> bool:
        """Return whether a frame is the one at a position."""
        return (
            self.first + position // self.images == frame.seq_num
            and position % self.images == frame.index
            and self.key == frame.key
            and self.stream == frame.stream
            and self.run == frame.run
        )

    @property
    def held(self) -> int:
        """How many bytes of pixels the frames keep in memory: those that lie in an event."""
        value = getattr(self.source(0), "value", None) if self.events == 1 else None
        return 0 if value is None else _size_of(value)


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
