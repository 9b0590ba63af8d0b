"""A beamline without hardware: ophyd motors and a photon-counting detector that writes real files.

The detector behaves as an areaDetector with an HDF5 plugin does: `stage` opens one SWMR file, `trigger`
returns at once with a Status that a thread finishes when the frame is on disk, and the documents carry a
reference (resource and datum, spec AD_HDF5_SWMR) instead of pixels. What it sees comes from an `Exposures`
object: a simulated sample (`bluesky_xtag.simulate.beamline.sample`) or measured frames
(`bluesky_xtag.frames.labelled`).
"""

from __future__ import annotations

import itertools
import math
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from event_model import compose_resource
from ophyd import Component, Device, DeviceStatus, Kind, Signal
from ophyd.sim import SynAxis

from ...errors import XTagError
from .swmr_writer import SWMRWriter

__all__ = ["Exposures", "PhotonCounter", "motor"]

_SPEC = "AD_HDF5_SWMR"


class Exposures(Protocol):
    """What stands in front of the detector."""

    shape: tuple[int, int]
    """(rows, columns) of the frames."""
    dtype: np.dtype
    """Type of the counts."""
    wavelength: float
    """Photon wavelength in angstrom, NaN if unknown."""
    distance: float
    """Sample to detector in metres, NaN if unknown."""
    fixed_beam: bool
    """True if the beam centre is the same for all frames."""

    def beam_centre(self, x: float, y: float) -> tuple[float, float] | None:
        """Return the beam centre (column, row) in pixels at a sample position in mm; None if unknown."""
        ...

    def expose(self, x: float, y: float, seconds: float) -> np.ndarray:
        """Return the counts (rows, columns) of an exposure at a sample position in mm."""
        ...


def motor(name: str, position: float = 0.0, delay: float = 0.02) -> SynAxis:
    """Return a simulated motor at a position in mm; each move takes `delay` seconds."""
    numbers: dict[str, Any] = {"value": position, "delay": delay}  # ophyd's annotations take int alone
    return SynAxis(name=name, labels={"motors"}, **numbers)


class Camera(Device):
    """The settings of the detector that a run records, named as areaDetector's drivers name them."""

    acquire_time = Component(Signal, value=0.1, kind="config")
    wavelength = Component(Signal, value=math.nan, kind="config")
    det_distance = Component(Signal, value=math.nan, kind="config")
    beam_center_x = Component(Signal, value=math.nan, kind="config")
    beam_center_y = Component(Signal, value=math.nan, kind="config")


class PhotonCounter(Device):
    """A pixel detector that counts photons and writes one SWMR HDF5 file a run.

    Parameters
    ----------
    name : str
        The image's data key is `<name>_image`.
    exposures : Exposures
        What the detector sees.
    x, y : positioner
        Sample motors, positions in mm.
    directory : str or Path
        Where the files go; made if it is not there.
    exposure : float
        Seconds a frame; set later with `cam.acquire_time`.
    """

    cam = Component(Camera, "")
    total = Component(Signal, value=0, kind="hinted")

    def __init__(
        self,
        *,
        name: str,
        exposures: Exposures,
        x: Any,
        y: Any,
        directory: str | Path,
        exposure: float = 0.1,
        **kwargs: Any,
    ):
        super().__init__(name=name, labels={"detectors"}, **kwargs)
        self._exposures = exposures
        self._x, self._y = x, y
        self._directory = Path(directory).resolve()
        self._writer: SWMRWriter | None = None
        self._documents: list[tuple[str, dict[str, Any]]] = []
        self._reading: dict[str, Any] = {}
        self.cam.acquire_time.put(exposure)
        self.cam.wavelength.put(exposures.wavelength)
        self.cam.det_distance.put(exposures.distance)
        if not exposures.fixed_beam:
            # Configuration is recorded once a run, so a centre that varies must be part of each reading.
            self.cam.beam_center_x.kind = self.cam.beam_center_y.kind = Kind.normal
        self._find_beam()

    @property
    def _key(self) -> str:
        return f"{self.name}_image"

    def _find_beam(self) -> None:
        centre = self._exposures.beam_centre(self._x.position, self._y.position)
        column, row = centre if centre is not None else (math.nan, math.nan)
        self.cam.beam_center_x.put(float(column))
        self.cam.beam_center_y.put(float(row))

    def stage(self) -> list[Any]:
        """Open a new file and announce it."""
        staged = super().stage()
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{uuid.uuid4()}_000000.h5"
        self._writer = SWMRWriter(path, self._exposures.shape, self._exposures.dtype)
        resource, self._compose_datum, _ = compose_resource(
            spec=_SPEC,
            root=str(path.parent),
            resource_path=path.name,
            resource_kwargs={"frame_per_point": 1},
        )
        self._points = itertools.count()
        self._documents.append(("resource", dict(resource)))
        return staged

    def trigger(self) -> DeviceStatus:
        """Expose one frame; the Status is finished when the frame is on disk."""
        if self._writer is None:
            raise XTagError(f"{self.name} is not staged: use a plan that stages it, or call {self.name}.stage()")
        self._find_beam()
        datum = self._compose_datum(datum_kwargs={"point_number": next(self._points)})
        self._documents.append(("datum", dict(datum)))
        self._reading = {self._key: {"value": datum["datum_id"], "timestamp": time.time()}}
        status = DeviceStatus(self)
        position = (self._x.position, self._y.position)
        threading.Thread(target=self._acquire, args=(self._writer, status, *position), daemon=True).start()
        return status

    def _acquire(self, writer: SWMRWriter, status: DeviceStatus, x: float, y: float) -> None:
        seconds: Any = self.cam.acquire_time.get()
        started = time.monotonic()
        try:
            frame = self._exposures.expose(x, y, seconds)
            time.sleep(max(0.0, started + seconds - time.monotonic()))
            writer.write(frame)
            self.total.put(int(np.sum(frame, where=frame > 0, dtype=np.int64)))
        except Exception as error:
            status.set_exception(error)
        else:
            status.set_finished()

    def read(self) -> Any:
        """Return the reading: a reference to the newest frame, beside the scalar signals."""
        return {**super().read(), **self._reading}

    def describe(self) -> Any:
        """Describe the reading."""
        image = {
            "source": f"SIM:{self.name}",
            "dtype": "array",
            "dtype_numpy": self._exposures.dtype.str,
            "shape": [1, *self._exposures.shape],
            "external": "FILESTORE:",
        }
        return {**super().describe(), self._key: image}

    def collect_asset_docs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the resource and datum documents that have not been given out yet."""
        documents, self._documents = self._documents, []
        yield from documents

    def unstage(self) -> list[Any]:
        """Close the file, and forget what was not given out: the plan was aborted between a trigger and its event."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._documents.clear()
        return super().unstage()
