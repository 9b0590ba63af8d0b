"""Real files, writers and devices for the tests of frames."""

import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest
from event_model import compose_run
from ophyd import Device, DeviceStatus
from ophyd.areadetector.filestore_mixins import resource_factory

from bluesky_xtag.errors import FrameError, FrameNotReady
from bluesky_xtag.frames import FrameAssembler, FrameSelection

from . import writing
from .writing import DATA

IMAGE = {"shape": [24, 32]}
EXTERNAL = IMAGE | {"external": "FILESTORE:"}
STREAMED = {"shape": [1, 24, 32], "external": "STREAM:", "dtype_numpy": "<u2"}
COMPRESSIONS = {
    "none": {},
    "gzip": {"compression": "gzip"},
    "bitshuffle": dict(hdf5plugin.Bitshuffle()),
    "lz4": dict(hdf5plugin.LZ4()),
}


def numbered(count, shape=(24, 32), dtype="uint16", first=0):
    """Images of which each is filled with its number, but for a corner that tells rows from columns."""
    stack = np.empty((count, *shape), dtype)
    stack[:] = np.arange(first, first + count, dtype=dtype)[:, None, None]
    stack[:, 0, -1] = 99
    return stack


def write_file(path, images, dataset=DATA, **options):
    """Write a finished file."""
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset(dataset, data=images, chunks=(1, *images.shape[1:]), **options)
    return path


class Writer:
    """A process of its own that writes an HDF5 file as a detector's server does, one frame for each `append`."""

    def __init__(self, path, shape=(24, 32), dtype="uint16", swmr=True, compressed=True):
        arguments = [str(path), str(shape[0]), str(shape[1]), dtype, str(int(swmr)), str(int(compressed))]
        self._process = subprocess.Popen(
            [sys.executable, writing.__file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "open\n"

    def append(self):
        """Write the next frame, filled with its number, and flush."""
        return self._ask("append")

    def extend(self):
        """Make the dataset one frame longer without writing the frame."""
        return self._ask("extend")

    def reopen(self):
        """Close the file and open it again for appending."""
        return self._ask("reopen")

    def close(self):
        if self._process.poll() is None:
            self._ask("close")
            self._process.communicate(timeout=30)

    def _ask(self, what):
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


class Hdf5Detector(Device):
    """An ophyd device that writes an areaDetector-like file, a SWMR one, and emits resource and datum documents.

    `per_point` images a trigger, each filled with its number.
    """

    def __init__(
        self, directory, *, name, per_point=1, spec="AD_HDF5_SWMR", shape=(24, 32), compression="none", **kwargs
    ):
        super().__init__("", name=name, **kwargs)
        self._directory = directory
        self._per_point = per_point
        self._spec = spec
        self._shape = shape
        self._options = COMPRESSIONS[compression]
        self._assets = []
        self._files = 0
        self._file = None
        self._reading = {}

    @property
    def key(self):
        return f"{self.name}_image"

    def stage(self):
        self._files += 1
        path = self._directory / f"{self.name}_{self._files}.h5"
        self._file = h5py.File(path, "w", libver="latest")
        self._file.create_dataset(
            DATA, (0, *self._shape), "uint16", maxshape=(None, *self._shape), chunks=(1, *self._shape), **self._options
        )
        self._file.swmr_mode = True
        resource, self._new_datum = resource_factory(
            self._spec, self._directory, path.name, {"frame_per_point": self._per_point}, "posix"
        )
        self._assets.append(("resource", resource))
        self._points = 0
        return super().stage()

    def unstage(self):
        self._file.close()
        return super().unstage()

    def trigger(self):
        dataset = self._file[DATA]
        start = len(dataset)
        dataset.resize(start + self._per_point, axis=0)
        dataset[start:] = numbered(self._per_point, self._shape, first=start)
        dataset.flush()
        datum = self._new_datum({"point_number": self._points})
        self._points += 1
        self._assets.append(("datum", datum))
        self._reading = {self.key: {"value": datum["datum_id"], "timestamp": 0.0}}
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def read(self):
        return self._reading

    def describe(self):
        shape = (self._per_point, *self._shape)
        return {self.key: {"source": "file", "dtype": "array", "shape": shape, "external": "FILESTORE:"}}

    def collect_asset_docs(self):
        assets, self._assets = self._assets, []
        yield from assets


class Seen:
    """Feeds an assembler and keeps its frames; `pool`, if given, reads them in another thread as they come."""

    def __init__(self, pool=None, **arguments):
        self.assembler = FrameAssembler(FrameSelection(**arguments))
        self.frames = []
        self.documents = []
        self._pool = pool
        self._reads = []

    def __call__(self, name, doc):
        frames = self.assembler(name, doc)
        self.documents.append((name, doc))
        self.frames += frames
        if self._pool:
            self._reads += [self._pool.submit(frame.pixels) for frame in frames]

    def pixels(self):
        return [read.result(30) for read in self._reads] if self._pool else [f.pixels() for f in self.frames]

    def where(self):
        return [(frame.id.key, frame.id.seq_num, frame.id.index) for frame in self.frames]


class Documents:
    """Composes the documents of one run, validated by event-model."""

    def __init__(self, **metadata):
        self._run = compose_run(metadata=metadata)
        self.uid = self._run.start_doc["uid"]
        self.all = [("start", self._run.start_doc)]

    def descriptor(self, data_keys, name="primary", owner="det", configuration=None):
        names = {key: {"source": "test", "dtype": "array"} | data_key for key, data_key in data_keys.items()}
        bundle = self._run.compose_descriptor(
            name=name,
            data_keys=names,
            object_keys={owner: list(names)} if isinstance(owner, str) else owner,
            configuration={
                device: {
                    "data": data,
                    "timestamps": dict.fromkeys(data, 0.0),
                    "data_keys": {key: {"source": "test", "dtype": "number", "shape": []} for key in data},
                }
                for device, data in (configuration or {}).items()
            },
        )
        self.all.append(("descriptor", bundle.descriptor_doc))
        return bundle

    def event(self, bundle, data, **kwargs):
        event = bundle.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), **kwargs)
        self.all.append(("event", event))
        return event

    def resource(self, path, spec="AD_HDF5", **resource_kwargs):
        bundle = self._run.compose_resource(
            spec=spec, root=str(path.parent), resource_path=path.name, resource_kwargs=resource_kwargs
        )
        self.all.append(("resource", bundle.resource_doc))
        return bundle

    def datum(self, resource, **datum_kwargs):
        datum = resource.compose_datum(datum_kwargs=datum_kwargs)
        self.all.append(("datum", datum))
        return datum["datum_id"]

    def stream_resource(self, uri, key="det", mimetype="application/x-hdf5", **parameters):
        bundle = self._run.compose_stream_resource(
            mimetype=mimetype, uri=uri, data_key=key, parameters={"dataset": DATA} | parameters
        )
        self.all.append(("stream_resource", bundle.stream_resource_doc))
        return bundle

    def stream_datum(self, resource, descriptor, start, stop, first_seq_num=None):
        first = start + 1 if first_seq_num is None else first_seq_num
        doc = resource.compose_stream_datum(
            indices={"start": start, "stop": stop},
            seq_nums={"start": first, "stop": first + stop - start},
            descriptor=descriptor.descriptor_doc,
        )
        self.all.append(("stream_datum", doc))
        return doc

    def stop(self):
        self.all.append(("stop", self._run.compose_stop()))


def frames_of(documents, **arguments):
    """Return the frames of documents."""
    assembler = FrameAssembler(FrameSelection(**arguments))
    return [frame for name, doc in documents for frame in assembler(name, doc)]


def assert_never(frame, match):
    with pytest.raises(FrameError, match=match) as caught:
        frame.pixels()
    assert not isinstance(caught.value, FrameNotReady)


def inline(value, data_key=IMAGE, **arguments):
    """Return the frames of one event that holds a value."""
    run = Documents()
    run.event(run.descriptor({"det": data_key}), {"det": value})
    return frames_of(run.all, **arguments)


def streamed(uri, data_key=STREAMED, start=0, stop=1, mimetype="application/x-hdf5", **parameters):
    """Return the frames of one stream_datum."""
    run = Documents()
    bundle = run.descriptor({"det": data_key})
    run.stream_datum(run.stream_resource(uri, mimetype=mimetype, **parameters), bundle, start, stop)
    return frames_of(run.all)


def stored(path, data_key=EXTERNAL, spec="AD_HDF5", datum_kwargs=None, **resource_kwargs):
    """Return the frames of one event that refers to a datum."""
    run = Documents()
    bundle = run.descriptor({"det": data_key})
    datum_id = run.datum(run.resource(path, spec, **resource_kwargs), **(datum_kwargs or {"point_number": 0}))
    run.event(bundle, {"det": datum_id}, filled={"det": False})
    return frames_of(run.all)
