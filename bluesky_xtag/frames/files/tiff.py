"""TIFF files and stacks through tifffile, but what is torn, or not written yet, is told from what is black."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..arrays import check_size, sum_colours
from .by_fabio import FabioFormat
from .file_format import FileFormat
from .pipes import refuse_pipe
from .tiff_directories import Directory, TiffDirectories

if TYPE_CHECKING:
    import tifffile

__all__ = ["TiffFormat"]

_FABIO = FabioFormat()
_PLANES_APART = 2  # planar configuration
_CANNOT_UNPACK = ("imagecodecs", "not supported", "not a known")  # what tifffile says of such a compression


class TiffFormat(FileFormat):
    """TIFF and BigTIFF files with one image or many; previews and transparency masks among these are left out.

    What is not a TIFF in spite of its name is left to fabio. Compressions that tifffile cannot undo are not: fabio
    2026.6.0 gives other numbers for some of them (packed or swapped bytes, negative ones for large counts), in silence.
    """

    suffixes = frozenset({".tif", ".tiff", ".btf", ".tf8"})
    mimetypes = frozenset({"image/tiff"})

    def data_sets(self, path: str, wanted: str | None = None) -> Iterator[tuple[str, int]]:
        """Yield the one data set, which has no name; an image that was cut off counts as well."""
        with _open(path) as (file, directories):
            count = _count(file, list(directories))
        if not directories.is_tiff:
            yield from _FABIO.data_sets(path)
        elif not count:
            raise FrameNotReady(f"{path} holds no image yet")
        else:
            yield "", count

    def read(self, path: str, dataset: str, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return image `index`, in native byte order."""
        with _open(path) as (file, directories):
            if directories.is_tiff:
                return _read(file, path, directories, index, size)
        return _FABIO.read(path, dataset, index, size)


@contextmanager
def _open(path: str) -> Iterator[tuple[BinaryIO, TiffDirectories]]:
    """Open a file; whatever goes wrong inside the block becomes a FrameError."""
    refuse_pipe(path)
    try:
        with open(path, "rb") as file:
            yield file, TiffDirectories(file, path)
    except FrameError:
        raise
    except FileNotFoundError as error:
        raise FrameNotReady(f"{path} does not exist yet") from error
    except Exception as error:  # noqa: BLE001 - tifffile raises anything on a torn file
        raise FrameNotReady(f"{path} cannot be read (yet): {type(error).__name__}: {error}") from error


def _count(file: BinaryIO, directories: list[Directory]) -> int:
    if not directories or not directories[0].is_whole:
        return len(directories)
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        each = _planes(tiff.pages.first)
        return _images_of_one_directory(tiff) if len(directories) == 1 and each == 1 else len(directories) * each


def _planes(page: tifffile.TiffPage) -> int:
    """Return how many images a page holds.

    Writers take a stack of three or four images for the colours of one, and store them one after the other; colour
    pictures have the colours of a pixel side by side.
    """
    return page.samplesperpixel if page.planarconfig == _PLANES_APART else 1


def _read(
    file: BinaryIO, path: str, directories: TiffDirectories, index: int, size: tuple[int, int] | None
) -> np.ndarray:
    import tifffile

    found = list(islice(directories, index + 1))
    if not found or not found[-1].is_whole:
        raise FrameNotReady(f"{path} ends before the description of image {len(found[:-1])}; number {index} is wanted")
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        each = _planes(tiff.pages.first)
        number, plane = divmod(index, each)
        if number < len(found):
            tiff.filehandle.seek(found[number].place)
            page, shift = tifffile.TiffPage(tiff, number), 0
        else:
            count = _images_of_one_directory(tiff) if len(found) == 1 else len(found)
            if number >= count or each > 1:
                raise FrameNotReady(f"{path} holds {count} images so far; number {index} is wanted")
            page = tiff.series[0].keyframe
            shift = index * page.nbytes
        check_size(page.shape, page.dtype.itemsize if page.dtype else 1, None, f"image {index} of {path}")
        check_size((page.imagelength, page.imagewidth), 1, size, f"image {index} of {path}")
        ends = [page.dataoffsets[0] + shift + page.nbytes] if page.is_contiguous else _ends_of_strips(page)
        if not all(0 < end <= directories.size for end in ends):
            raise FrameNotReady(f"image {index} of {path} is not all written yet, or the file is torn")
        image = _decode(page, shift)
        return image[plane] if each > 1 else sum_colours(image)


def _images_of_one_directory(tiff: tifffile.TiffFile) -> int:
    """Return how many images lie behind one another where only the first is described, as ImageJ keeps large stacks."""
    series = tiff.series[0]
    described = series.is_truncated and series.dataoffset is not None
    return series.size // series.keyframe.size if described else 1


def _ends_of_strips(page: tifffile.TiffPage) -> list[int]:
    """Return where each strip or tile ends, 0 for those that were never written."""
    return [place + size if size else 0 for place, size in zip(page.dataoffsets, page.databytecounts, strict=True)]


def _decode(page: tifffile.TiffPage, shift: int) -> np.ndarray:
    if page.dtype is None:
        raise FrameError(f"{page.parent.filename} holds numbers of a kind that NumPy does not know")
    if shift:
        file = page.parent.filehandle
        file.seek(page.dataoffsets[0] + shift)
        image = file.read_array(f"{page.parent.byteorder}{page.dtype.char}", page.size).reshape(page.shape)
    else:
        try:
            image = page.asarray()
        except ValueError as error:
            if not any(words in str(error) for words in _CANNOT_UNPACK):
                raise
            raise FrameError(
                f"{page.parent.filename} cannot be unpacked: {error}. "
                "Install imagecodecs, or write the file with another compression"
            ) from error
    return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder("="))
