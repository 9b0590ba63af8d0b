"""Detectors of the tests: frames inside the events, and frames in HDF5 files whose content the test decides."""

import itertools

import h5py
import numpy as np
from event_model import compose_resource
from ophyd.sim import NullStatus, SynSignal

DATASET = "entry/data/data"


class ArrayDetector(SynSignal):
    """Gives the images of `source`, one per trigger, inside the event."""

    def __init__(self, source, name="det", shape=(32, 32), **kwargs):
        self._shape = shape
        self._images = source
        super().__init__(func=source, name=name, **kwargs)

    def describe(self):
        description = super().describe()
        description[self.name] |= {"dtype": "array", "shape": list(self._shape)}
        return description


def numbered(shape=(32, 32), dtype=np.int32):
    """A source of images whose first pixel says which one it is, from 1 (0 is the one before the first trigger)."""
    count = itertools.count(0)

    def image():
        frame = np.ones(shape, dtype)
        frame[..., 0, 0] = next(count)
        return frame

    return image


def constant(image):
    """A source that gives one image for ever."""
    return lambda: np.asarray(image)


class FileDetector:
    """Writes each frame into an HDF5 file of its own, as `write(path, number)` says, and emits resource and datum."""

    parent = None

    def __init__(self, directory, write=None, name="det", shape=(32, 32)):
        self.name = name
        self._directory = directory
        self._write = write or write_frame
        self._shape = list(shape)
        self._numbers = itertools.count(1)
        self._assets = []
        self._datum_id = ""

    def trigger(self):
        number = next(self._numbers)
        path = self._directory / f"{self.name}_{number}.h5"
        self._write(path, number)
        bundle = compose_resource(
            spec="AD_HDF5_SWMR",
            root=str(self._directory),
            resource_path=path.name,
            resource_kwargs={"frame_per_point": 1},
        )
        datum = bundle.compose_datum(datum_kwargs={"point_number": 0})
        self._assets += [("resource", bundle.resource_doc), ("datum", datum)]
        self._datum_id = datum["datum_id"]
        return NullStatus()

    def collect_asset_docs(self):
        assets, self._assets = self._assets, []
        yield from assets

    def read(self):
        return {self.name: {"value": self._datum_id, "timestamp": 0.0}}

    def describe(self):
        return {self.name: {"source": "file", "dtype": "array", "shape": self._shape, "external": "FILESTORE:"}}

    def read_configuration(self):
        return {}

    def describe_configuration(self):
        return {}


def write_frame(path, number, shape=(1, 32, 32), dtype=np.int32):
    """Write one good frame whose first pixel is its number."""
    frame = np.ones(shape, dtype)
    frame[..., 0, 0] = number
    write_array(path, frame)


def write_array(path, array):
    """Write an array where area detectors write theirs."""
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset(DATASET, data=array)
