"""The IOC in a process of its own, on a free port of this machine, and the environment with which clients find it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from types import TracebackType

from ...errors import XTagError

__all__ = ["PREFIX", "EpicsBeamline"]

PREFIX = "XTAG:"
"""What the names of all records begin with."""


class EpicsBeamline:
    """The simulated beamline in a process of its own; a context manager that ends it.

    Clients that are made in this process afterwards find it: the environment is set for libca and caproto, which read
    it once. So make it before the first EPICS device, and before ophyd connects to anything. One that is made later in
    the same process is found on the same port; there can be one at a time.

    Parameters
    ----------
    command : sequence of str, optional
        What to start instead of ``python -m bluesky_xtag.simulate.epics``; it must print "ready".

    Raises
    ------
    XTagError
        It does not start, or another one of this process has not been closed.
    """

    prefix = PREFIX
    _port: int | None = None  # of all beamlines of this process
    _open: weakref.ref[EpicsBeamline] | None = None

    def __init__(self, command: Sequence[str] | None = None) -> None:
        if EpicsBeamline._open is not None and EpicsBeamline._open() is not None:
            raise XTagError("there is a simulated beamline in this process already: close it first")
        EpicsBeamline._port = EpicsBeamline._port or _free_port()
        self.environment = {
            "EPICS_CA_SERVER_PORT": str(EpicsBeamline._port),
            "EPICS_CA_ADDR_LIST": "127.0.0.1",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CAS_BEACON_ADDR_LIST": "",  # nobody listens to beacons, which is then told as an error
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        }
        os.environ.update(self.environment)
        command = [sys.executable, "-m", "bluesky_xtag.simulate.epics"] if command is None else list(command)
        # It ends when nobody holds the other end of its input any more.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        EpicsBeamline._open = weakref.ref(self)
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            self.close()
            raise XTagError('the simulated IOC did not start; is caproto installed? pip install "bluesky_xtag[epics]"')

    def close(self) -> None:
        """End the process."""
        if EpicsBeamline._open is not None and EpicsBeamline._open() is self:
            EpicsBeamline._open = None
        self._process.terminate()
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> EpicsBeamline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _free_port() -> int:
    """Return a port that is free for TCP and for UDP."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
    raise XTagError("no free port was found for the simulated IOC")
