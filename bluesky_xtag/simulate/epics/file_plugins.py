"""areaDetector's file plugins, as far as scans use them: HDF5 and TIFF, in the modes "Single" and "Stream".

The HDF5 plugin does what NDFileHDF5 of ADCore does: without SWMR it writes the earliest format, keeps the file open and
never flushes it before it is closed; with SWMR it writes the latest format and flushes every `NumFramesFlush` frames.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import tifffile

from .records import Records, SkipWrite

__all__ = ["FilePlugin", "Hdf5Plugin", "TiffPlugin"]

_NO_YES = ("No", "Yes")
_OK, _ERROR = "Write OK", "Write error"
_MESSAGE = 255  # characters of a message
_MODES = ("Single", "Capture", "Stream")
_COMPRESSIONS = ("None", "N-bit", "szip", "zlib", "Blosc", "BSLZ4", "LZ4", "JPEG")
_DATA = "/entry/data/data"
_ALSO = "/entry/instrument/detector/data"


class FilePlugin(Records):
    """What the file plugins share: names of files, modes and counters.

    Parameters
    ----------
    prefix : str
        What the names of its records begin with.
    port, source : str
        Its port, and the port whose arrays it takes.
    disk : Executor
        The thread that writes.
    """

    plugin_type = "NDPluginFile"
    suffix = ""

    def __init__(self, prefix: str, port: str, source: str, disk: Executor) -> None:
        super().__init__(prefix)
        self._disk = disk
        self._queue: asyncio.Queue[tuple[np.ndarray, int]] = asyncio.Queue()
        self._stopped = asyncio.Event()
        for name, value in {"PortName": port, "NDArrayPort": source, "PluginType": self.plugin_type}.items():
            self.add(name, value, short=True)
        for name, value in {"ADCoreVersion": "3.14.0", "DriverVersion": "3.14.0", "XMLFileName": ""}.items():
            self.add(name, value, short=name != "XMLFileName")
        self.add("NDAttributesFile", "", readback=False)
        self.add("EnableCallbacks", "Disable", choices=("Disable", "Enable"))
        self.add("ArrayCallbacks", "Enable", choices=("Disable", "Enable"))
        self.add("BlockingCallbacks", "No", choices=_NO_YES)
        self.add("ColorMode", "Mono", choices=("Mono", "Bayer", "RGB1", "RGB2", "RGB3"))
        self.add("DataType", "Int32", choices=("Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32"))
        self.add("FilePath", "", put=self._set_path)
        self.add("FilePathExists", "No", choices=_NO_YES)
        self.add("FileName", "")
        self.add("FileTemplate", f"%s%s_%3.3d{self.suffix}")
        self.add("FullFileName", "")
        self.add("FileNumber", 0)
        self.add("CreateDirectory", 0)
        self.add("AutoIncrement", "Yes", choices=_NO_YES)
        self.add("AutoSave", "No", choices=_NO_YES)
        self.add("FileWriteMode", "Single", choices=_MODES)
        self.add("NumCapture", 1)
        self.add("NumCaptured", 0)
        self.add("Capture", "Done", choices=("Done", "Capture"), put=self._capture)
        self.add("LazyOpen", "No", choices=_NO_YES)
        self.add("WriteStatus", _OK, choices=(_OK, _ERROR), readback=False)
        self.add("WriteMessage", "", readback=False)
        for name in ("ArrayCounter", "ArraySize0", "ArraySize1", "ArraySize2", "NDimensions", "UniqueId"):
            self.add(name, 0)

    # What the camera calls

    @property
    def blocks(self) -> bool:
        """Whether the camera waits until a frame is written."""
        return self.get_value("BlockingCallbacks") == "Yes"

    async def take(self, frame: np.ndarray, number: int) -> None:
        """Take a frame if the plugin is enabled; write it now or, unless the plugin blocks, in its turn."""
        if self.get_value("EnableCallbacks") != "Enable":
            return
        await self._queue.put((frame, number))
        if self.blocks:
            await self.drain()

    async def drain(self) -> None:
        """Wait until all frames are written."""
        await self._queue.join()

    async def run(self) -> None:
        """Write frames for ever."""
        while True:
            frame, number = await self._queue.get()
            try:
                await self._process(frame, number)
            except Exception as error:  # noqa: BLE001 - as a plugin does, which goes on
                await self._fail(f"Error writing file {self.get_value('FullFileName')}: {error}")
            finally:
                self._queue.task_done()

    async def _process(self, frame: np.ndarray, number: int) -> None:
        rows, columns = frame.shape
        sizes = {"ArraySize0": columns, "ArraySize1": rows, "NDimensions": 2, "UniqueId": number}
        for name, value in sizes.items():
            await self.set_value(name, value)
        await self.set_value("ArrayCounter", int(self.get_value("ArrayCounter")) + 1)
        if self.get_value("FileWriteMode") == "Single":
            if self.get_value("AutoSave") == "Yes":
                await self._write(self._write_single, await self._next_name(), frame)
        elif self.get_value("Capture") == "Capture":
            await self._stream(frame)
            captured = int(self.get_value("NumCaptured")) + 1
            await self.set_value("NumCaptured", captured)
            if captured == int(self.get_value("NumCapture")):
                await self._end_capture()

    # What differs

    async def _open_stream(self) -> None:
        """Open the file of a stream."""

    async def _stream(self, frame: np.ndarray) -> None:
        """Write a frame of a stream."""
        raise NotImplementedError

    def _close_stream(self) -> None:
        """Close the file of a stream."""

    def _write_single(self, path: str, frame: np.ndarray) -> None:
        """Write a file with one frame."""
        raise NotImplementedError

    # The rest

    async def _write(self, function: Any, *arguments: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._disk, function, *arguments)

    async def _next_name(self) -> str:
        """Return the name of the next file, and count up as `AutoIncrement` says."""
        template = str(self.get_value("FileTemplate"))
        number = int(self.get_value("FileNumber"))
        parts = (self.get_value("FilePath"), self.get_value("FileName"), number)
        try:
            path = template % parts
        except TypeError:  # a template without a number
            path = template % parts[:2]
        await self.set_value("FullFileName", path)
        if self.get_value("AutoIncrement") == "Yes":
            await self.set_value("FileNumber", number + 1)
        return path

    async def _set_path(self, value: Any) -> str:
        path = str(value)
        path = path if path.endswith("/") else f"{path}/"
        if int(self.get_value("CreateDirectory")) < 0 and not Path(path).is_dir():
            with suppress(OSError):  # then it does not exist, which is shown
                Path(path).mkdir(parents=True, exist_ok=True)
        await self.set_value("FilePathExists", _NO_YES[Path(path).is_dir()])
        return path

    async def _capture(self, value: Any) -> None:
        """Start or stop a stream; as the record of areaDetector is busy, a put to start it ends with the stream.

        If the file cannot be opened the put ends at once, with the record back at "Done" and the reason in others.
        """
        if value != "Capture":
            await self.drain()
            await self._end_capture()
            raise SkipWrite
        if self.get_value("Capture") == "Capture":
            raise SkipWrite
        for name, text in {"WriteStatus": _OK, "WriteMessage": "", "FullFileName": ""}.items():
            await self.set_value(name, text)
        if self.get_value("FileWriteMode") != "Stream":
            await self._fail("ERROR: capture not supported in Single mode")
            raise SkipWrite
        lazy = self.get_value("LazyOpen") == "Yes"
        if not lazy and not int(self.get_value("ArraySize0")):
            await self._fail("ERROR, must collect an array to get dimensions first")
            raise SkipWrite
        await self.set_value("NumCaptured", 0)
        if not lazy:
            try:
                await self._open_stream()
            except Exception as error:  # noqa: BLE001 - whatever the disk and HDF5 raise
                await self._write(self._close_stream)
                await self._fail(f"Error opening file {self.get_value('FullFileName')}: {error}")
                raise SkipWrite from error
        self._stopped.clear()
        await self.set_value("Capture", "Capture")
        await self._stopped.wait()
        raise SkipWrite

    async def _fail(self, message: str) -> None:
        await self.set_value("WriteStatus", _ERROR)
        await self.set_value("WriteMessage", message[:_MESSAGE])
        if self.get_value("Capture") != "Capture":
            await self.set_value("Capture", "Done")  # again, for clients that wait for it

    async def _end_capture(self) -> None:
        await self._write(self._close_stream)
        await self.set_value("Capture", "Done")
        self._stopped.set()


class Hdf5Plugin(FilePlugin):
    """The HDF5 plugin."""

    plugin_type = "NDFileHDF5"
    suffix = ".h5"

    def __init__(self, prefix: str, port: str, source: str, disk: Executor, dtype: np.dtype) -> None:
        super().__init__(prefix, port, source, disk)
        self._dtype = dtype
        self._file: Any = None
        self._data: Any = None
        self.add("SWMRMode", "Off", choices=("Off", "On"))
        self.add("SWMRActive", "Off", choices=("Off", "Active"))
        self.add("SWMRSupported", "Supported", choices=("Not Supported", "Supported"))
        self.add("NumFramesFlush", 0)
        self.add("NumFramesChunks", 1)
        self.add("ChunkSizeAuto", "Yes", choices=_NO_YES)
        self.add("Compression", "None", choices=_COMPRESSIONS)
        self.add("FlushNow", "Done", choices=("Done", "Flush"), readback=False, put=self._flush_now)
        self.add("PositionMode", "Off", choices=("Off", "On"))
        for name in ("StoreAttr", "StorePerform"):
            self.add(name, "No", choices=_NO_YES)

    async def _open_stream(self) -> None:
        shape = (int(self.get_value("ArraySize1")), int(self.get_value("ArraySize0")))
        await self._write(self._open, await self._next_name(), shape, self._swmr)
        await self.set_value("SWMRActive", "Active" if self._swmr else "Off")

    async def _stream(self, frame: np.ndarray) -> None:
        if self._file is None:
            await self._open_stream()
        each = max(int(self.get_value("NumFramesFlush")), int(self.get_value("NumFramesChunks")), 1)
        captured = int(self.get_value("NumCaptured")) + 1
        await self._write(self._append, frame, self._swmr and captured % each == 0)

    async def _end_capture(self) -> None:
        await super()._end_capture()
        await self.set_value("SWMRActive", "Off")

    async def _flush_now(self, value: Any) -> str:
        if value == "Flush" and self._swmr:  # without SWMR there is nothing to flush for
            await self._write(lambda: self._data is not None and self._data.flush())
        return "Done"

    @property
    def _swmr(self) -> bool:
        return self.get_value("SWMRMode") == "On"

    def _open(self, path: str, shape: tuple[int, int], swmr: bool) -> None:
        self._file = h5py.File(path, "w", libver="latest" if swmr else None)
        filters = hdf5plugin.Bitshuffle(cname="lz4") if self.get_value("Compression") == "BSLZ4" else {}
        self._data = self._file.create_dataset(
            _DATA, (0, *shape), self._dtype, maxshape=(None, *shape), chunks=(1, *shape), **filters
        )
        self._file[_ALSO] = self._data
        if swmr:
            self._file.swmr_mode = True

    def _append(self, frame: np.ndarray, flush: bool) -> None:
        number = len(self._data)
        self._data.resize(number + 1, axis=0)
        self._data[number] = frame
        if flush:
            self._data.flush()

    def _close_stream(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._data = None

    def _write_single(self, path: str, frame: np.ndarray) -> None:
        self._open(path, frame.shape, swmr=False)
        self._append(frame, flush=False)
        self._close_stream()


class TiffPlugin(FilePlugin):
    """The TIFF plugin: a file for each frame, in streams too."""

    plugin_type = "NDFileTIFF"
    suffix = ".tiff"

    async def _stream(self, frame: np.ndarray) -> None:
        await self._write(self._write_single, await self._next_name(), frame)

    def _write_single(self, path: str, frame: np.ndarray) -> None:
        tifffile.imwrite(path, frame)
