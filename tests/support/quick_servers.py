"""`tiled serve` that starts again in a moment: each process is forked from one that has imported Tiled."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import httpx

from support.catalogs import Server

IMPORTED = ["tiled.server.app", "tiled.commandline._serve", "tiled.catalog.adapter", "uvicorn", "pandas", "pyarrow"]


class QuickServer(Server):
    """`tiled serve` in a process of its own, which can be killed at any moment and started again."""

    def __init__(self, directory, trees, **settings):
        super().__init__(directory, trees, **settings)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, *IMPORTED])

    def start(self):
        self.kill()
        self._process = self._context.Process(target=_serve, args=(self._config, self._log, self.port), daemon=True)
        self._process.start()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self._process.is_alive():
            try:
                if httpx.get(f"{self.address}/healthz", timeout=5).status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.01)
        self.kill()
        raise AssertionError("the server did not answer:\n" + self._log.read_text())

    def kill(self):
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.join(20)
            self._process = None


def _serve(config, log, port):
    with Path(log).open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    from tiled.commandline._serve import serve_config

    serve_config(
        Path(config),
        public=False,
        api_key=None,
        host="127.0.0.1",
        port=port,
        scalable=False,
        log_config=None,
        log_timestamps=False,
    )
