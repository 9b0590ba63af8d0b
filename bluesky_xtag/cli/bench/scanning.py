"""What measurements take scans with: a RunEngine that ends, and cameras whose frames are in events or in a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from event_model import compose_resource

from .machine import frames

__all__ = ["PILATUS_1M", "Camera", "FileCamera", "run_engine", "write_frames"]

PILATUS_1M = (1043, 981)
_DATASET = "entry/data/data"


@contextmanager
def run_engine() -> Iterator[RunEngine]:
    """Yield a RunEngine whose loop ends."""
    engine = RunEngine({}, context_managers=[])
    yield engine
    engine.loop.call_soon_threadsafe(engine.loop.stop)


class _Exposure:
    """A Status that ends after the exposure, as a detector's does."""

    done = success = False

    def __init__(self, seconds: float) -> None:
        self._over = threading.Event()
        self._timer = threading.Timer(seconds, self._over.set)
        self._timer.daemon = True
        self._timer.start()

    def add_callback(self, callback: Any) -> None:
        """Call back after the exposure."""

        def wait() -> None:
            self._over.wait()
            self.done = self.success = True
            callback(self)

        threading.Thread(target=wait, daemon=True).start()

    def exception(self, timeout: float | None = 0.0) -> None:
        """Return that nothing fails."""
        self._over.wait(timeout)


class Camera:
    """A photon counter whose frames are in the events.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    exposure : float
        Seconds.
    images : sequence of numpy.ndarray, optional
        The frames, one after the other and again from the first; eight exposures of one scene if None.
    """

    name = "detector"
    parent = None

    def __init__(
        self, shape: tuple[int, int], exposure: float = 0.05, images: Sequence[np.ndarray] | None = None
    ) -> None:
        self.shape, self.exposure = shape, exposure
        self.images = list(frames(shape, 8) if images is None else images)
        self.taken = 0

    def trigger(self) -> _Exposure:
        """Expose."""
        self.taken += 1
        return _Exposure(self.exposure)

    def read(self) -> dict[str, Any]:
        """Return the frame."""
        return {self.name: {"value": self.images[self.taken % len(self.images)], "timestamp": 0.0}}

    def describe(self) -> dict[str, Any]:
        """Return its data key."""
        return {self.name: {"source": "simulated", "dtype": "array", "dtype_numpy": "<i4", "shape": list(self.shape)}}


class FileCamera(Camera):
    """The same, with its frames in a file that holds all of them already.

    Parameters
    ----------
    path : Path
        The file, see `write_frames`.
    shape, exposure
        As of `Camera`.
    number : int
        How many frames the file has.
    """

    def __init__(self, path: Path, shape: tuple[int, int], exposure: float = 0.05, number: int = 8) -> None:
        super().__init__(shape, exposure, images=())
        self._path, self._number = path, number
        self._assets: list[Any] = []
        self._datum = ""

    def trigger(self) -> _Exposure:
        """Expose."""
        resource = compose_resource(
            spec="AD_HDF5_SWMR", root=str(self._path.parent), resource_path=self._path.name, resource_kwargs={}
        )
        datum = resource.compose_datum(datum_kwargs={"point_number": self.taken % self._number})
        self._assets += [("resource", resource.resource_doc), ("datum", datum)]
        self._datum = datum["datum_id"]
        return super().trigger()

    def collect_asset_docs(self) -> Iterator[Any]:
        """Yield where the frames are."""
        assets, self._assets = self._assets, []
        yield from assets

    def read(self) -> dict[str, Any]:
        """Return which frame it was."""
        return {self.name: {"value": self._datum, "timestamp": 0.0}}

    def describe(self) -> dict[str, Any]:
        """Return its data key."""
        described = super().describe()
        described[self.name]["external"] = "FILESTORE:"
        return described


def write_frames(path: Path, images: Sequence[np.ndarray], number: int | None = None) -> Path:
    """Write so many frames into an HDF5 file, bitshuffled, one a chunk, in turn from these; return its path."""
    import h5py
    import hdf5plugin

    shape, number = images[0].shape, len(images) if number is None else number
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            _DATASET, (number, *shape), images[0].dtype, chunks=(1, *shape), **hdf5plugin.Bitshuffle()
        )
        for each in range(number):
            dataset[each] = images[each % len(images)]
    return path
