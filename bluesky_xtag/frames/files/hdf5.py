"""Reads detector images from HDF5 files while they are being written.

The file is opened for each read and closed again: about 0.15 ms on a local disk. A file kept open in SWMR mode would
make every other reader in the same process fail that opens it without SWMR, and would keep its writer from opening
it again; and a fresh view cannot be stale.
"""

from __future__ import annotations

import ctypes
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FrameError, FrameNotReady

if TYPE_CHECKING:
    import h5py

__all__ = ["Hdf5Frames", "read_image", "warm"]

# The two names of the images in the layout that areaDetector's HDF5 plugin writes by default.
_AREA_DETECTOR = ("/entry/data/data", "/entry/instrument/detector/data")
# The pauses add up to 2**20 ns.
_METADATA_ATTEMPTS = 20
# Threads that have one file open share what HDF5 knows of it: where one refreshes a dataset, another misses its chunks.
# They lose nothing by waiting, for h5py lets only one of them into HDF5 anyway.
_ONE_AT_A_TIME = threading.Lock()
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def read_image(path: str | os.PathLike[str], dataset: str, index: int, rows: int | None = None) -> np.ndarray:
    """Read one image of a dataset that may still be growing.

    The dataset is taken as a sequence of images: all dimensions but the last two are counted through in C order. So
    image `k` of datum `i` is number ``i * images_per_datum + k`` both where the datums are concatenated along the
    first dimension and where they are stacked along a new one, the two ways of `bluesky.consolidators`.

    Parameters
    ----------
    path : str or path-like
        The HDF5 file.
    dataset : str
        Path of the dataset in the file, or of a group of datasets ``data_000001``, ``data_000002`` ... (DECTRIS).
    index : int
        Number of the image, from 0.
    rows : int, optional
        Rows of one image, needed where images are appended below each other in a two-dimensional dataset.

    Returns
    -------
    array of shape (rows, columns)
        Raw counts in the dtype of the file.

    Raises
    ------
    FrameNotReady
        The file, the dataset or the image is not there yet, or cannot be read yet.
    FrameError
        It is not an HDF5 file, or the dataset holds no images.
    """
    with _open_for_reading(path) as file:
        node, position = _locate(file, dataset, index)
        return _take_image(node, position, rows)


def warm() -> None:
    """Import what reading needs, so that the first frame is read as quickly as the others."""
    import h5py  # noqa: F401
    import hdf5plugin  # noqa: F401


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
        **ignored: Any,
    ) -> None:
        self._filename = filename
        self._per_point = int(frame_per_point or 1)
        self._dataset = dataset or key or path or _AREA_DETECTOR[0]

    def __call__(self, point_number: int) -> np.ndarray:
        """Return the images of a datum, shape (images, rows, columns); raises as `read_image` does."""
        with _open_for_reading(self._filename) as file:
            node, _ = _locate(file, self._dataset, 0)
            count = self._per_point * _images_per_row(node)
            return np.stack([_take_image(node, point_number * count + index) for index in range(count)])

    def image(self, point_number: int, index: int) -> np.ndarray:
        """Return image `index` of a datum, shape (rows, columns); raises as `read_image` does."""
        with _open_for_reading(self._filename) as file:
            node, _ = _locate(file, self._dataset, 0)
            count = self._per_point * _images_per_row(node)
            if index >= count:
                raise FrameError(
                    f"image {index} of point {point_number} was announced, but {self._filename} holds {count} per "
                    "point: make frame_per_point of the resource and the shape of the data key agree"
                )
            return _take_image(node, point_number * count + index)

    def get_file_list(self, datum_kwarg_gen: Any) -> list[str]:
        """Return the files of the given datums."""
        return [self._filename]


@contextmanager
def _open_for_reading(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open a file for reading; whatever HDF5 complains of inside the block becomes a FrameNotReady."""
    try:
        with _ONE_AT_A_TIME, _open(path) as file:
            yield file
    except FrameError:
        raise
    except FileNotFoundError:
        raise FrameNotReady(f"{path} does not exist yet") from None
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        if _is_foreign(path):
            raise FrameError(f"{path} is not an HDF5 file") from error
        raise FrameNotReady(f"{path} cannot be read (yet): {error}") from error


def _open(path: str | os.PathLike[str]) -> h5py.File:
    """Open a file plainly, or in SWMR mode if its writer has it open in that mode.

    Plainly first: HDF5 then refuses a truncated file, while in SWMR mode it reads zeros where the file ends.
    """
    try:
        return _open_unlocked(_open_plainly, path)
    except FileNotFoundError:
        raise
    except OSError as refusal:
        if "truncated file" in str(refusal):
            raise
        try:
            return _open_unlocked(_open_swmr, path)
        except OSError:
            raise refusal from None


def _open_unlocked(opens: Callable[..., h5py.File], path: str | os.PathLike[str]) -> h5py.File:
    """Open a file without a lock, so that its writer never finds it locked by us."""
    try:
        return opens(path, locking=False)
    except OSError as refusal:
        if "locking flag" not in str(refusal):
            raise
    # This process has the file open already, and HDF5 wants the same choice of locking from everybody.
    return opens(path, locking=None)


def _open_plainly(path: str | os.PathLike[str], locking: bool | None) -> h5py.File:
    import h5py
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors

    return h5py.File(path, "r", locking=locking)


def _open_swmr(path: str | os.PathLike[str], locking: bool | None) -> h5py.File:
    import h5py

    low: Any = h5py.h5f
    access = low.ACC_RDONLY | low.ACC_SWMR_READ
    return h5py.File(low.open(os.fsencode(path), access, fapl=_swmr_access_list(locking)))


@cache
def _swmr_access_list(locking: bool | None) -> Any:
    """Return how to open a file in SWMR mode: as `h5py.File` does, but giving up on torn metadata within 1 ms.

    HDF5 reads metadata with a wrong checksum up to 100 times in this mode and doubles its pause each time: on a torn
    file that never ends, and it holds up every thread. h5py offers no way to ask for fewer attempts.
    """
    import h5py
    from h5py._objects import phil

    h5f: Any = h5py.h5f
    h5p: Any = h5py.h5p
    access_list = h5p.create(h5p.FILE_ACCESS)
    access_list.set_fclose_degree(h5f.CLOSE_STRONG)
    if locking is not None:
        access_list.set_file_locking(locking, True)
    set_attempts = getattr(ctypes.CDLL(h5p.__file__), "H5Pset_metadata_read_attempts", None)
    if set_attempts is None:
        raise OSError("this build of h5py does not let SWMR files be read without the risk of waiting for ever")
    set_attempts.argtypes = (ctypes.c_int64, ctypes.c_uint)
    with phil:  # h5py's lock around every call of HDF5
        set_attempts(access_list.id, _METADATA_ATTEMPTS)
    return access_list


def _is_foreign(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file has content that can never become HDF5."""
    try:
        with open(path, "rb") as file:
            head = file.read(8192)
    except OSError:
        return False
    # The signature is written late, over zeros; a user block shifts it to a power of two from 512.
    offsets = (0, 512, 1024, 2048, 4096)
    return bool(head[:8].strip(b"\0")) and not any(
        head[at : at + 8] == _SIGNATURE[: len(head) - at] for at in offsets if at < len(head)
    )


def _locate(file: h5py.File, name: str, index: int) -> tuple[h5py.Dataset, int]:
    """Return the dataset that holds image `index`, and the position of the image in it."""
    import h5py

    names = [name, *_AREA_DETECTOR] if f"/{name.strip('/')}" in _AREA_DETECTOR else [name]
    node: Any = next((file[found] for found in names if found in file), None)
    if node is None:
        raise FrameNotReady(f"{file.filename} has no dataset {name!r} (yet); it has {_list_datasets(file)}")
    if isinstance(node, h5py.Group):
        return _locate_in_group(node, index)
    node.refresh()
    return node, index


def _locate_in_group(group: Any, index: int) -> tuple[h5py.Dataset, int]:
    """Find an image in datasets `data_000001`, `data_000002` ... that continue one another (DECTRIS files)."""
    position = index
    for name in sorted(name for name in group if name.startswith("data_")):
        part = group[name]
        part.refresh()
        if position < part.shape[0]:
            return part, position
        position -= part.shape[0]
    raise FrameNotReady(
        f"{group.file.filename}:{group.name} holds {index - position} images so far; number {index} is wanted"
    )


def _images_per_row(dataset: h5py.Dataset) -> int:
    return math.prod(dataset.shape[1:-2])


def _take_image(dataset: h5py.Dataset, index: int, rows: int | None = None) -> np.ndarray:
    shape = dataset.shape
    where = f"{dataset.file.filename}:{dataset.name}"
    if len(shape) < 2:
        raise FrameError(f"{where} has the shape {shape}, which holds no images: name the dataset of the images")
    if len(shape) == 2:
        rows = rows or shape[0]
        region = (slice(index * rows, (index + 1) * rows), slice(0, shape[1]))
        complete = region[0].stop <= shape[0]
    else:
        row, inner = divmod(index, math.prod(shape[1:-2]))
        lead = (row, *np.unravel_index(inner, shape[1:-2]))
        region = (*(slice(int(at), int(at) + 1) for at in lead), slice(0, shape[-2]), slice(0, shape[-1]))
        complete = row < shape[0]
    if not complete or not _is_written(dataset, region):
        raise FrameNotReady(f"{where} has the shape {shape} so far; image {index} is not written yet")
    return dataset[region].reshape(-1, shape[-1])


def _is_written(dataset: h5py.Dataset, region: tuple[slice, ...]) -> bool:
    """Tell whether all of a region is in the file.

    A writer makes the dataset longer before it writes the new chunks, and a file may be cut off: HDF5 reads zeros then,
    without an error, an empty frame that never was.
    """
    import h5py

    h5d: Any = h5py.h5d
    size = os.path.getsize(dataset.file.filename)
    if not dataset.chunks:
        if dataset.id.get_create_plist().get_layout() != h5d.CONTIGUOUS or dataset.external:
            return True  # virtual, or somewhere else: nothing to look at
        offset = dataset.id.get_offset()
        return offset is not None and offset + dataset.id.get_storage_size() <= size
    starts = itertools.product(
        *(
            range(part.start - part.start % chunk, part.stop, chunk)
            for part, chunk in zip(region, dataset.chunks, strict=True)
        )
    )
    chunks = (dataset.id.get_chunk_info_by_coord(start) for start in starts)
    return all(chunk.byte_offset is not None and chunk.byte_offset + chunk.size <= size for chunk in chunks)


def _list_datasets(file: h5py.File) -> str:
    import h5py

    found: list[str] = []
    file.visititems(
        lambda name, node: found.append(f"/{name} {node.shape}") if isinstance(node, h5py.Dataset) else None
    )
    return ", ".join(found[:5]) + (" ..." if len(found) > 5 else "") if found else "none"
