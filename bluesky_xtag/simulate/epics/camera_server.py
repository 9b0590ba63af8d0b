"""A camera driver of areaDetector: what ADBase.template has, as far as scans use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np

from .file_plugins import FilePlugin
from .records import Records, SkipWrite

if TYPE_CHECKING:
    from ..beamline.devices import Exposures

__all__ = ["Camera"]

_STATES = (
    *("Idle", "Acquire", "Readout", "Correct", "Saving", "Aborting", "Error", "Waiting", "Initializing"),
    *("Disconnected", "Aborted"),
)
_TYPES = {"int8": "Int8", "uint8": "UInt8", "int16": "Int16", "uint16": "UInt16", "int32": "Int32", "uint32": "UInt32"}


class Camera(Records):
    """A camera that sees what stands in front of it.

    Parameters
    ----------
    prefix : str
        What the names of its records begin with.
    exposures : Exposures
        What it sees.
    where : callable
        Returns the sample's position (x, y) in mm.
    plugins : sequence of FilePlugin
        What takes its frames.
    seen : callable
        Called with the seconds of each exposure.
    worker : Executor
        The thread that makes the frames.
    """

    def __init__(
        self,
        prefix: str,
        exposures: Exposures,
        where: Callable[[], tuple[float, float]],
        plugins: Sequence[FilePlugin],
        seen: Callable[[float], Any],
        worker: Executor,
    ) -> None:
        super().__init__(prefix)
        self._exposures, self._where, self._plugins, self._seen = exposures, where, plugins, seen
        self._worker = worker
        self._stop = asyncio.Event()
        rows, columns = exposures.shape
        self.add("Acquire", "Done", choices=("Done", "Acquire"), put=self._acquire)
        self.add("DetectorState", "Idle", choices=_STATES)
        self.add("AcquireTime", 0.1)
        self.add("AcquirePeriod", 0.0)
        self.add("ImageMode", "Continuous", choices=("Single", "Multiple", "Continuous"))
        self.add("TriggerMode", "Internal", choices=("Internal", "External"))
        self.add("ArrayCallbacks", "Enable", choices=("Disable", "Enable"))
        self.add("WaitForPlugins", "No", choices=("No", "Yes"), readback=False)
        self.add("ColorMode", "Mono", choices=("Mono", "Bayer", "RGB1", "RGB2", "RGB3"))
        self.add("DataType", _TYPES[exposures.dtype.name], choices=tuple(_TYPES.values()))
        self.add("NDAttributesFile", "", readback=False)
        texts = {
            **{"PortName": "CAM", "Manufacturer": "bluesky_xtag", "Model": "Simulated photon counter"},
            **{"SerialNumber": "1", "SDKVersion": "1", "FirmwareVersion": "1", "ADCoreVersion": "3.14.0"},
            **{"DriverVersion": "1.0", "StatusMessage": ""},
        }
        for name, text in texts.items():
            self.add(name, text, short=True)
        sizes = {"ArraySizeX": columns, "ArraySizeY": rows, "SizeX": columns, "SizeY": rows}
        numbers = {**sizes, "MaxSizeX": columns, "MaxSizeY": rows, "BinX": 1, "BinY": 1, "NumImages": 1}
        numbers |= {"NumExposures": 1, "ArraySizeZ": 0, "UniqueId": 0, "ArrayCounter": 0, "NumImagesCounter": 0}
        numbers |= {"ArraySize": rows * columns * exposures.dtype.itemsize}
        for name, number in numbers.items():
            self.add(name, number)
        centre = exposures.beam_centre(*where()) or (0.0, 0.0)
        for name, value in zip(("BeamX", "BeamY"), centre, strict=True):  # as ADPilatus and ADEiger name them
            self.add(name, float(value))
        self.add("Wavelength", float(exposures.wavelength))
        self.add("DetDist", 1e3 * float(exposures.distance))

    async def prime(self) -> None:
        """Take one frame and give it to the plugins, from which they learn its size."""
        frame = await self._expose(0.0)
        for plugin in self._plugins:
            for name, size in zip(("ArraySize1", "ArraySize0"), frame.shape, strict=True):
                await plugin.set_value(name, size)

    async def _acquire(self, value: Any) -> None:
        """Start or stop; a put to start ends when all frames are taken."""
        acquiring = self.get_value("Acquire") == "Acquire"
        if value != "Acquire":
            self._stop.set()
            raise SkipWrite
        if acquiring:
            raise SkipWrite
        self._stop.clear()
        await self.set_value("NumImagesCounter", 0)
        await self.set_value("DetectorState", "Acquire")
        await self.set_value("Acquire", "Acquire")
        try:
            await self._take()
        finally:
            await self.set_value("DetectorState", "Idle")
            await self.set_value("Acquire", "Done")
        raise SkipWrite

    async def _take(self) -> None:
        mode = self.get_value("ImageMode")
        wanted = {"Single": 1, "Multiple": max(1, int(self.get_value("NumImages")))}.get(str(mode))
        taken = 0
        while not self._stop.is_set() and (wanted is None or taken < wanted):
            begin, seconds = time.monotonic(), float(self.get_value("AcquireTime"))
            frame = await self._expose(seconds)
            rest = begin + max(seconds, float(self.get_value("AcquirePeriod")) if taken else 0.0) - time.monotonic()
            if rest > 0 and await self._is_stopped_within(rest):
                break
            taken += 1
            number = int(self.get_value("ArrayCounter")) + 1
            await self.set_value("ArrayCounter", number)
            await self.set_value("UniqueId", number)
            await self.set_value("NumImagesCounter", taken)
            await self._seen(seconds)
            if self.get_value("ArrayCallbacks") == "Enable":
                for plugin in self._plugins:
                    await plugin.take(frame, number)
        if self.get_value("WaitForPlugins") == "Yes":
            for plugin in self._plugins:
                await plugin.drain()

    async def _expose(self, seconds: float) -> np.ndarray:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self._exposures.expose, *self._where(), seconds)

    async def _is_stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True
