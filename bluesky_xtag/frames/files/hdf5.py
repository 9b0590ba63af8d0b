"""Reads detector images from HDF5 files while they are being written."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..arrays import check_size, layout_of, sum_colours
from ..roots import RootMap
from .hdf5_chunks import ChunkedImage, find_chunks, find_following
from .hdf5_known import KnownImages
from .hdf5_mask import attach_mask, find_mask
from .hdf5_moved import Links
from .hdf5_opening import open_any, open_file, with_file
from .hdf5_others import get_node, refuse_sources
from .hdf5_written import Region, holds_fill_only, is_being_written, what_is_missing

if TYPE_CHECKING:
    import h5py

__all__ = ["Hdf5Frames", "Part", "images_of", "pack_image", "parts_of", "read_image", "warm"]

# The two names of the images in the layout that areaDetector's HDF5 plugin writes by default.
_AREA_DETECTOR = ("/entry/data/data", "/entry/instrument/detector/data")
_PART = re.compile(r"data_\d+")
_ALONG = 64  # images that are found along with one
_KNOWN = KnownImages()


def read_image(
    path: str | os.PathLike[str],
    dataset: str,
    index: int,
    size: tuple[int, int] | None = None,
    roots: RootMap | None = None,
) -> np.ndarray:
    """Read one image of a dataset that may still be growing.

    The dataset is taken as a sequence of images: all dimensions but the last two are counted through in C order. So
    image `k` of datum `i` is number ``i * images_per_datum + k`` both where the datums are concatenated along the
    first dimension and where they are stacked along a new one, the two ways of `bluesky.consolidators`.

    Parameters
    ----------
    path : str or path-like
        The HDF5 file.
    dataset : str
        Path of the dataset in the file, or of a group of datasets ``data_000001``, ``data_000002`` ... (DECTRIS); ""
        for areaDetector's usual place, or the one dataset of images that there is.
    index : int
        Number of the image, from 0.
    size : (int, int), optional
        Rows and columns that are declared, needed where images are appended below each other in a two-dimensional
        dataset.
    roots : RootMap, optional
        Where the directories are now that links and sources of the file name.

    Returns
    -------
    array of shape (rows, columns)
        Raw counts in the dtype of the file, colours added up. Where the file has a mask of its detector
        (``pixel_mask``), a masked array.

    Raises
    ------
    FrameNotReady
        The file, the dataset or the image is not there yet, or cannot be read yet.
    FrameError
        It is not an HDF5 file, or the dataset holds no images.
    """
    return with_file(path, lambda file: _image_of(file, dataset, index, size, roots))


def pack_image(
    path: str | os.PathLike[str],
    dataset: str,
    index: int,
    size: tuple[int, int] | None = None,
    roots: RootMap | None = None,
) -> np.ndarray | ChunkedImage:
    """Return one image as `read_image` does, but still compressed where its chunks can be decoded outside of HDF5."""
    path = os.fspath(path)
    known = _KNOWN.find((path, dataset, index, size, roots))
    if known is not None:
        return known
    return with_file(path, lambda file: _pack_along(path, file, dataset, index, size, roots))


def _pack_along(
    path: str, file: h5py.File, dataset: str, index: int, size: tuple[int, int] | None, roots: RootMap | None
) -> np.ndarray | ChunkedImage:
    """Return an image, and remember those that follow it."""
    with Links(roots) as links:
        node, position = _locate(file, dataset, index, links)
        image = _pack(file, links.with_sources(node), position, size)
        if not isinstance(image, np.ndarray):
            addresses = ((path, dataset, number, size, roots) for number in itertools.count(index + 1))
            following = find_following(node, image, position, _ALONG)
            _KNOWN.add((path, image.path), zip(addresses, following, strict=False))
        return image


def _image_of(
    file: h5py.File, dataset: str, index: int, size: tuple[int, int] | None, roots: RootMap | None
) -> np.ndarray:
    with Links(roots) as links:
        node, position = _locate(file, dataset, index, links)
        return attach_mask(file, node, _take_image(links.with_sources(node), position, size))


def _pack(
    file: h5py.File, node: h5py.Dataset, position: int, size: tuple[int, int] | None
) -> np.ndarray | ChunkedImage:
    image = _take_packed(node, position, size)
    if isinstance(image, np.ndarray):
        return attach_mask(file, node, image)
    return replace(image, mask=find_mask(file, node, image.shape))


def warm(packed: bool = False) -> None:
    """Import what reading needs, so that the first frame is read as quickly as the others.

    Parameters
    ----------
    packed : bool
        Whether images will be left compressed: compile what decodes them, which takes seconds once on a machine.
    """
    import h5py  # noqa: F401
    import hdf5plugin  # noqa: F401

    if packed:
        from .bitshuffle import warm as compile_decoder

        compile_decoder()


class Hdf5Frames:
    """Event-model handler of the AD_HDF5 family (and XTAG_HDF5): images of an areaDetector HDF5 file.

    Parameters
    ----------
    filename : str
        The HDF5 file.
    frame_per_point : int, optional
        Images of one datum.
    dataset : str, optional
        Path of the dataset in the file; `key` and `path` are other names for it in use.
    roots : RootMap, optional
        As in `read_image`.
    **ignored
        Other resource parameters, such as ``swmr`` or ``chunk_shape``, which the file itself tells better.
    """

    specs = frozenset({"AD_HDF5", "AD_HDF5_SWMR", "AD_HDF5_SWMR_STREAM", "AD_HDF5_SWMR_SLICE", "XTAG_HDF5"})

    def __init__(
        self,
        filename: str,
        /,
        frame_per_point: int | None = 1,
        dataset: str | None = None,
        key: str | None = None,
        path: str | None = None,
        roots: RootMap | None = None,
        **ignored: Any,
    ) -> None:
        self._filename = filename
        self._roots = roots
        self._per_point = int(frame_per_point or 1)
        self._dataset = dataset or key or path or _AREA_DETECTOR[0]

    @property
    def arguments(self) -> tuple[str, int, str, RootMap | None]:
        """File, images of a datum, data set, and where directories are now."""
        return self._filename, self._per_point, self._dataset, self._roots

    def __call__(self, point_number: int) -> np.ndarray:
        """Return the images of a datum, shape (images, rows, columns); raises as `read_image` does."""
        with open_file(self._filename) as file, Links(self._roots) as links:
            node = links.with_sources(_locate(file, self._dataset, 0, links)[0])
            count = self._per_point * _images_per_row(node)
            return np.stack([_take_image(node, point_number * count + index) for index in range(count)])

    def image(self, point_number: int, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return image `index` of a datum, shape (rows, columns); arguments and errors as of `read_image`."""
        return with_file(
            self._filename,
            lambda file: _image_of(file, self._dataset, self._number(file, point_number, index), size, self._roots),
        )

    def pack(self, point_number: int, index: int, size: tuple[int, int] | None = None) -> np.ndarray | ChunkedImage:
        """Return an image as `image` does, or still compressed, see `pack_image`."""
        return with_file(
            self._filename,
            lambda file: self._pack(file, point_number, index, size),
        )

    def _pack(
        self, file: h5py.File, point_number: int, index: int, size: tuple[int, int] | None
    ) -> np.ndarray | ChunkedImage:
        with Links(self._roots) as links:
            node, position = _locate(file, self._dataset, self._number(file, point_number, index), links)
            return _pack(file, links.with_sources(node), position, size)

    def _number(self, file: h5py.File, point_number: int, index: int) -> int:
        with Links(self._roots) as links:
            count = self._per_point * _images_per_row(_locate(file, self._dataset, 0, links)[0])
        if index >= count:
            raise FrameError(
                f"image {index} of point {point_number} was announced, but {self._filename} holds {count} per "
                "point: make frame_per_point of the resource and the shape of the data key agree"
            )
        return point_number * count + index

    def get_file_list(self, datum_kwarg_gen: Any) -> list[str]:
        """Return the files of the given datums."""
        return [self._filename]


def _locate(file: h5py.File, name: str, index: int, links: Links) -> tuple[h5py.Dataset, int]:
    """Return the dataset that holds image `index`, and the position of the image in it."""
    import h5py

    usual = not name or f"/{name.strip('/')}" in _AREA_DETECTOR
    names = [*([name] if name else []), *(_AREA_DETECTOR if usual else ())]
    # The first firmware of the Eiger has its datasets one level higher.
    first = name.strip("/") == "entry/data" and links.get(file, "/entry/data_000001") is not None
    names += ["/entry"] if first else []
    node = next((node for found in names if (node := _node(file, found, links)) is not None), None)
    if node is None and not name:
        node = _only_images(file)
    if node is None:
        raise FrameNotReady(f"{file.filename} has no dataset {name!r} (yet); it has {_list_datasets(file)}")
    if isinstance(node, h5py.Group):
        return _locate_in_group(node, index, links)
    node.refresh()
    return node, index


def _node(file: h5py.File, name: str, links: Links) -> Any:
    """Return what a name leads to, None if there is no such name; raise if it leads nowhere."""
    try:
        return get_node(file, name)
    except FrameError:
        raise
    except (OSError, KeyError, RuntimeError):
        node = links.get(file, name)
        if node is None and name in file:
            raise
        return node


def _only_images(file: h5py.File) -> Any:
    import h5py

    found: list[h5py.Dataset] = []

    def visit(_: str, node: Any) -> None:
        refuse_sources(node)
        if isinstance(node, h5py.Dataset) and len(node.shape or ()) > 2:
            found.append(node)

    file.visititems(visit)
    return found[0] if len(found) == 1 else None


def _locate_in_group(group: Any, index: int, links: Links) -> tuple[h5py.Dataset, int]:
    """Find an image in datasets `data_000001`, `data_000002` ... that continue one another (DECTRIS files).

    Their number tells which images they hold, so that the file that is missing is named, and those behind it are read.
    """
    position, each = index, 0
    for part in parts_of(group, links):
        if part.dataset is None:
            if not each or position < each:
                links.get(group, part.name)  # says of a pipe that it is one
                raise FrameNotReady(
                    f"{group.file.filename} takes image {index} from {part.file}, which is not there or has no "
                    f"{part.path} (yet)"
                )
            position -= each
            continue
        part.dataset.refresh()
        count = images_of(part.dataset)
        if position < count:
            return part.dataset, position
        position, each = position - count, max(each, count)
    raise FrameNotReady(
        f"{group.file.filename}:{group.name} holds {index - position} images so far; number {index} is wanted"
    )


@dataclass(frozen=True)
class Part:
    """One of the datasets that continue one another; None if the file that it lies in is not there."""

    name: str
    dataset: Any
    file: str
    path: str


def parts_of(group: Any, links: Links) -> Iterator[Part]:
    """Yield the datasets `data_000001`, `data_000002` ... of a group in their order, and links that lead nowhere."""
    for name in sorted(name for name in group if _PART.fullmatch(name)):
        link = group.get(name, getlink=True)
        file = links.target(group, name) or group.file.filename
        yield Part(name, links.look(group, name), file, getattr(link, "path", name))


def images_of(dataset: h5py.Dataset) -> int:
    """Return how many images a dataset holds; one that has two dimensions is an image."""
    shape = dataset.shape or ()
    return layout_of(shape).count if len(shape) > 2 else 1


def _images_per_row(dataset: h5py.Dataset) -> int:
    return math.prod(layout_of(dataset.shape).leading[1:]) if len(dataset.shape) > 2 else 1


def _take_image(dataset: h5py.Dataset, index: int, size: tuple[int, int] | None = None) -> np.ndarray:
    with _find_region(dataset, index, size) as (region, of_image):
        return _take_region(dataset, region, of_image, index)


def _take_packed(dataset: h5py.Dataset, index: int, size: tuple[int, int] | None) -> np.ndarray | ChunkedImage:
    with _find_region(dataset, index, size) as (region, of_image):
        packed = find_chunks(dataset, region) if len(of_image) == 2 else None
        return _take_region(dataset, region, of_image, index) if packed is None else packed


def _take_region(dataset: h5py.Dataset, region: Region, of_image: tuple[int, ...], index: int) -> np.ndarray:
    image = dataset[region].reshape(of_image)
    if holds_fill_only(dataset, region, image) and is_being_written(dataset.file.filename):
        raise FrameNotReady(
            f"image {index} of {dataset.file.filename}:{dataset.name} holds the fill value everywhere: it may not be "
            "written yet"
        )
    return sum_colours(image)


@contextmanager
def _find_region(
    dataset: h5py.Dataset, index: int, size: tuple[int, int] | None
) -> Iterator[tuple[Region, tuple[int, ...]]]:
    """Return where an image is, and its shape with its colours, once all of it is there; sources are open meanwhile."""
    shape = dataset.shape
    where = f"{dataset.file.filename}:{dataset.name}"
    if len(shape) < 2:
        raise FrameError(f"{where} has the shape {shape}, which holds no images: name the dataset of the images")
    layout = layout_of(shape)
    if len(shape) == 2:
        # Images that are appended below one another; but an image of another size than declared is one image.
        rows = size[0] if size and shape[0] % size[0] == 0 and shape[1] == size[1] else shape[0]
        of_image, lead, complete = (rows, shape[1]), (), (index + 1) * rows <= shape[0]
        region = (slice(index * rows, (index + 1) * rows), slice(0, shape[1]))
    else:
        row, inner = divmod(index, math.prod(layout.leading[1:]))
        lead = (row, *np.unravel_index(inner, layout.leading[1:])) if layout.leading else ()
        of_image = shape[len(layout.leading) :]
        region = (*(slice(int(at), int(at) + 1) for at in lead), *(slice(0, side) for side in of_image))
        complete = row < shape[0] if layout.leading else index == 0
    if not complete:
        raise FrameNotReady(f"{where} has the shape {shape} so far; image {index} is not written yet")
    check_size(of_image, dataset.dtype.itemsize, None, where)
    check_size(of_image[:2], dataset.dtype.itemsize, size, where)
    with ExitStack() as sources:
        if missing := what_is_missing(dataset, region, open_any, sources):
            raise FrameNotReady(f"image {index} of {where} is not there: {missing}")
        yield region, of_image


def _list_datasets(file: h5py.File) -> str:
    import h5py

    found: list[str] = []

    def visit(name: str, node: Any) -> None:
        refuse_sources(node)
        if isinstance(node, h5py.Dataset):
            found.append(f"/{name} {node.shape}")

    file.visititems(visit)
    return ", ".join(found[:5]) + (" ..." if len(found) > 5 else "") if found else "none"
