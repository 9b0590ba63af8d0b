"""Files of labelled frames, and how they are read; `labelled_writing` writes them.

An HDF5 file with a two-dimensional data set a frame (raw counts), in groups or not. Its attribute `tags` names the tags
that were labelled, `definitions` may say what they mean. Attributes of a data set, all optional: `truth` (1 yes, 0 no,
-1 uncertain, in the order of `tags`), `beam_centre_xy` (column, row; pixels), `source` and `detector` (text, where the
frame comes from), and any others. A mask that is told apart from a frame lies under the same name in the group `masks`
(true where pixels must not be used).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FrameError, XTagValueError
from .files import find_node, refuse_sources, without_hint

if TYPE_CHECKING:
    import h5py  # sessions that have their frames read elsewhere do not need it

__all__ = [
    "LabelledFile",
    "LabelledFrame",
    "MeasuredFrames",
    "as_source",
    "each_frame",
    "open_labelled",
    "read_frames",
]

TAGS, DEFINITIONS, MASKS = "tags", "definitions", "masks"
TRUTH, CENTRE, SOURCE, DETECTOR = "truth", "beam_centre_xy", "source", "detector"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """One frame and what is known of it.

    Parameters
    ----------
    name : str
        Its name in the file.
    pixels : numpy.ndarray
        (rows, columns), counts as the detector wrote them; a frame to be written may bring a mask with them.
    truth : mapping of str to bool
        Whether a tag holds; tags that are not in it are uncertain.
    beam_centre : tuple of float or None
        (x, y) = (column, row), pixels.
    mask : numpy.ndarray or None
        (rows, columns) bool, true where pixels must not be used, where it is told apart from the pixels.
    source : str
        Where the frame comes from, such as "beamline:file" or "owner/repository@revision:file"; see `origin`.
    detector : str
        What took it.
    attributes : mapping
        What else stands next to the frame.
    """

    name: str
    pixels: np.ndarray
    truth: Mapping[str, bool] = field(default_factory=dict)
    beam_centre: tuple[float, float] | None = None
    mask: np.ndarray | None = None
    source: str = ""
    detector: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def present(self) -> frozenset[str]:
        """Tags that are labelled as holding."""
        return frozenset(tag for tag, holds in self.truth.items() if holds)

    @property
    def absent(self) -> frozenset[str]:
        """Tags that are labelled as not holding."""
        return frozenset(tag for tag, holds in self.truth.items() if not holds)

    @property
    def origin(self) -> str:
        """What frames of one origin share: the source without revision and file, else the detector, else "".

        Of a source only what stands before the first ":" or "@" counts, but an address such as
        "https://example.org/12" is one whole.
        """
        source = self.source.strip()
        if not _ADDRESS.match(source):
            source = re.split("[@:]", source, maxsplit=1)[0].strip()
        return source or self.detector.strip()


def as_source(name: str) -> str:
    """Return a name as a `source` of which all counts, see `LabelledFrame.origin`."""
    return re.sub("[@:]", " ", name)


class LabelledFile:
    """The frames of an open file, read one by one; see `open_labelled`.

    Attributes
    ----------
    path : Path
        The file.
    tags : tuple of str
        The tags that were labelled.
    names : tuple of str
        The names of the frames.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file
        self.tags = read_words(file.attrs.get(TAGS, ()))
        try:
            self.names = tuple(find_names(file))
        except FrameError as error:
            raise XTagValueError(f"{path}: {error}") from error
        if not self.names:
            raise XTagValueError(f"{path} holds no two-dimensional data set of numbers: each frame must be one")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[LabelledFrame]:
        return map(self.read, self.names)

    @property
    def definitions(self) -> dict[str, str]:
        """What each tag means; "" where the file does not say it.

        Raises
        ------
        XTagValueError
            The file does not give one definition for each tag.
        """
        words = read_words(self._file.attrs.get(DEFINITIONS, ()))
        if words and len(words) != len(self.tags):
            raise XTagValueError(
                f"{self.path} names {len(self.tags)} `tags` but gives {len(words)} `definitions`: give one for each tag"
            )
        return dict(zip(self.tags, words or [""] * len(self.tags), strict=True))

    def read(self, name: str) -> LabelledFrame:
        """Return the frame of a name; XTagValueError if its truth does not fit the tags."""
        try:
            data = find_node(self._file, name, whole=True)
            mask = find_node(self._file, f"{MASKS}/{name}", whole=True)
            pixels, masked, about = data[()], None if mask is None else mask[()].astype(bool), dict(data.attrs)
        except FrameError as error:
            raise XTagValueError(f"{self.path}, frame {name!r}: {error}") from error
        except OSError as error:
            raise XTagValueError(f"{self.path}, frame {name!r} cannot be read ({error}): copy it again") from error
        truth, centre = about.pop(TRUTH, None), about.pop(CENTRE, None)
        if truth is not None and len(truth) != len(self.tags):
            raise XTagValueError(
                f"frame {name!r} has {len(truth)} values of `truth` but the file names {len(self.tags)} `tags`: "
                "give one value per tag"
            )
        labels = zip(self.tags, truth if truth is not None else (), strict=False)
        return LabelledFrame(
            name=name,
            pixels=pixels,
            truth={tag: bool(value) for tag, value in labels if value in (0, 1)},
            beam_centre=None if centre is None else (float(centre[0]), float(centre[1])),
            mask=masked,
            source=read_text(about.pop(SOURCE, "")),
            detector=read_text(about.pop(DETECTOR, "")),
            attributes=about,
        )


@contextmanager
def open_labelled(path: str | Path) -> Iterator[LabelledFile]:
    """Open a file of labelled frames.

    Parameters
    ----------
    path : str or Path
        An HDF5 file, see `bluesky_xtag.frames.labelled`.

    Raises
    ------
    XTagValueError
        There is no such file, it is no HDF5 file, or it holds no frame.
    """
    path = Path(path)
    if not path.is_file():
        raise XTagValueError(f"there is no file {path}: name an HDF5 file with a data set a frame")
    try:
        import h5py
        import hdf5plugin  # noqa: F401 - registers the compression filters that detectors use

        file = h5py.File(path, "r")
    except OSError as error:
        raise XTagValueError(f"{path} cannot be read as HDF5 ({without_hint(error)}): name an HDF5 file") from None
    with file:
        yield LabelledFile(path, file)


def each_frame(path: str | Path) -> Iterator[LabelledFrame]:
    """Yield the frames of a file one by one, so that a file may be larger than the memory.

    Parameters
    ----------
    path : str or Path
        As for `open_labelled`.

    Raises
    ------
    XTagValueError
        As `open_labelled`; or a frame's truth does not fit the tags, or its pixels cannot be read.
    """
    with open_labelled(path) as file:
        yield from file


class MeasuredFrames:
    """Frames of one shape and type in a row: the frame at position x = n (in mm) is number n, from 0.

    Serves as `bluesky_xtag.simulate.Exposures`.

    Parameters
    ----------
    frames : list of MeasuredFrame
        At least one; all of one shape and dtype, as frames of one detector are.
    """

    wavelength = math.nan
    distance = math.nan
    fixed_beam = False

    def __init__(self, frames: list[LabelledFrame]):
        self.frames = frames
        self.shape: tuple[int, int] = frames[0].pixels.shape
        self.dtype = frames[0].pixels.dtype

    def at(self, x: float) -> LabelledFrame:
        """Return the frame at a position; positions beyond the last frame start over."""
        return self.frames[round(x) % len(self.frames)]

    def beam_centre(self, x: float, y: float) -> tuple[float, float] | None:
        """Return the beam centre (column, row) in pixels of the frame at a position, None if unknown."""
        return self.at(x).beam_centre

    def expose(self, x: float, y: float, seconds: float) -> np.ndarray:
        """Return the frame at a position."""
        return self.at(x).pixels


def read_frames(path: str | Path) -> list[MeasuredFrames]:
    """Read labelled frames, grouped by shape and type because a detector has one of each.

    Parameters
    ----------
    path : str or Path
        As for `each_frame`.

    Returns
    -------
    list of MeasuredFrames
        One per shape and type, in the order of their first frame.

    Raises
    ------
    XTagValueError
        As `each_frame`.
    """
    groups: dict[tuple[tuple[int, ...], np.dtype], list[LabelledFrame]] = {}
    for frame in each_frame(path):
        groups.setdefault((frame.pixels.shape, frame.pixels.dtype), []).append(frame)
    return [MeasuredFrames(group) for group in groups.values()]


def find_names(file: h5py.File) -> list[str]:
    """Return the names of all frames of an open file."""
    import h5py

    found: list[str] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        refuse_sources(item)
        if isinstance(item, h5py.Dataset) and item.ndim == 2 and item.dtype.kind in "iuf":
            found.append(name)

    file.visititems(visit)
    return [name for name in found if not name.startswith(f"{MASKS}/")]


def read_words(values: Any) -> tuple[str, ...]:
    return tuple(map(read_text, values))


def read_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
