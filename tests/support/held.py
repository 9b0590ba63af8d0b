"""Writers that hold an HDF5 file open in a process of their own, as detectors' servers do; and a detector."""

import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
from event_model import compose_resource
from ophyd.sim import NullStatus

DATA = "entry/data/data"


class HeldFile:
    """A process that writes frames into one file, `append` by `append`, and closes it in the end.

    Parameters
    ----------
    path : Path
        The file.
    libver : str, optional
        Bounds of its format, as h5py has them: areaDetector's default is None, "latest" what it takes for SWMR.
    locking : bool
        Whether it locks the file.
    flush : bool
        Whether it flushes all of the file after each frame.
    swmr : bool
        Whether it switches SWMR on.
    """

    def __init__(self, path, libver=None, locking=True, flush=False, swmr=False, shape=(24, 32)):
        options = [str(libver), str(int(locking)), str(int(flush)), str(int(swmr)), *map(str, shape)]
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(path), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "open\n"

    def append(self):
        """Write a frame whose pixels are its number, from 1."""
        return self._ask("append")

    def switch_swmr_on(self):
        return self._ask("swmr")

    def close(self):
        if self._process.poll() is None:
            self._ask("close")
            self._process.communicate(timeout=30)

    def kill(self):
        self._process.kill()
        self._process.communicate(timeout=30)

    def _ask(self, what):
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


class HeldDetector:
    """Has its frames written by a `HeldFile`, one file a stage, and closes the file when it is unstaged."""

    parent = None

    def __init__(self, directory, name="det", **options):
        self.name = name
        self.file = None
        self._directory = Path(directory)
        self._options = options
        self._assets = []
        self._datum_id = ""
        self._shape = list(options.get("shape", (24, 32)))

    def stage(self):
        path = self._directory / f"{time.time_ns()}.h5"
        self.file = HeldFile(path, **self._options)
        self._bundle = compose_resource(
            spec="AD_HDF5", root=str(path.parent), resource_path=path.name, resource_kwargs={"frame_per_point": 1}
        )
        self._assets = [("resource", self._bundle.resource_doc)]
        self._point = 0
        return [self]

    def unstage(self):
        self.file.close()
        return [self]

    def trigger(self):
        self.file.append()
        datum = self._bundle.compose_datum(datum_kwargs={"point_number": self._point})
        self._point += 1
        self._assets.append(("datum", datum))
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


def _write(path, libver, locking, flush, swmr, rows, columns):
    libver, shape = None if libver == "None" else libver, (int(rows), int(columns))
    file = h5py.File(path, "w", libver=libver, locking=bool(int(locking)))
    data = file.create_dataset(DATA, (0, *shape), "i4", maxshape=(None, *shape), chunks=(1, *shape))
    if int(swmr):
        file.swmr_mode = True
    print("open", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "append":
                number = len(data) + 1
                data.resize(number, axis=0)
                data[-1] = np.full(shape, number)
                if int(flush) or file.swmr_mode:
                    file.flush()
            case "swmr":
                file.swmr_mode = True
                file.flush()
            case "close":
                file.close()
        print("done", flush=True)


if __name__ == "__main__":
    _write(*sys.argv[1:])
