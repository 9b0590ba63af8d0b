"""The IOC: a camera with an HDF5 and a TIFF plugin, two sample motors, and a beam monitor."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections import ChainMap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from caproto.asyncio.server import Context

from .camera_server import Camera
from .file_plugins import Hdf5Plugin, TiffPlugin
from .ioc_process import PREFIX
from .motor_record import MotorRecord
from .records import Records

if TYPE_CHECKING:
    from ..beamline.devices import Exposures

__all__ = ["serve"]

_FLUX = 2.5e5  # counts of the monitor a second


def serve(exposures: Exposures, prefix: str = PREFIX) -> None:
    """Serve the beamline over Channel Access until this process ends; it prints "ready" when it answers.

    The ports are those of the environment: `EPICS_CA_SERVER_PORT`.

    Parameters
    ----------
    exposures : Exposures
        What the camera sees at each position of the sample.
    prefix : str
        What the names of all records begin with: the camera's with `<prefix>cam1:`, those of the plugins with
        `<prefix>HDF1:` and `<prefix>TIFF1:`, the motors are `<prefix>x` and `<prefix>y`, the monitor `<prefix>I0`.
    """
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_end_with_input, daemon=True).start()
    asyncio.run(_serve(exposures, prefix))


def _end_with_input() -> None:
    """End with the process that holds the other end of the input, however that ends."""
    os.read(0, 1)
    os._exit(0)


async def _serve(exposures: Exposures, prefix: str) -> None:
    with ThreadPoolExecutor(1, "camera") as worker, ThreadPoolExecutor(1, "disk") as disk:
        x, y = (MotorRecord(f"{prefix}{name}", position=5.0) for name in "xy")
        monitor = Records(f"{prefix}I0")
        monitor.add("", 0.0, readback=False, units="counts")
        noise = np.random.default_rng(0)

        async def count(seconds: float) -> None:
            await monitor.set_value("", float(noise.poisson(_FLUX * seconds)))

        hdf5 = Hdf5Plugin(f"{prefix}HDF1:", "HDF1", "CAM", disk, exposures.dtype)
        tiff = TiffPlugin(f"{prefix}TIFF1:", "TIFF1", "CAM", disk)
        plugins = [hdf5, tiff]
        camera = Camera(f"{prefix}cam1:", exposures, lambda: (x.position, y.position), plugins, count, worker)

        async def begin(library: Any) -> None:
            await camera.prime()
            print("ready", flush=True)
            await asyncio.gather(*(plugin.run() for plugin in plugins))

        records = ChainMap[str, Any](camera, hdf5, tiff, x, y, monitor)
        await Context(records, interfaces=["127.0.0.1"]).run(startup_hook=begin)
