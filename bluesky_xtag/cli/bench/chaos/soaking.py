"""Many frames in many runs: memory, threads and files of a session and of the process that tags."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from bluesky import plans as bp

from ....tagger import ProcessBackend, install
from ..machine import frames
from ..scanning import Camera, run_engine
from .counted import Counts

__all__ = ["soak"]

_SHAPE = (64, 64)
_WARM = 0.05  # share of the runs after which nothing grows any more
_GROWTH = 1.01


def soak(
    frames_in_all: int,
    runs: int,
    model: Any = None,
    watch: Callable[[int], object] = lambda done: None,
) -> dict[str, Any]:
    """Tag so many frames in so many runs.

    Parameters
    ----------
    frames_in_all : int
        Frames.
    runs : int
        Runs, two at least.
    model : str, Path or a model, optional
        The model; the packaged one if None.
    watch : callable
        Called with the number of runs so far.

    Returns
    -------
    dict
        Counts of runs, frames and rows; memory in MiB, threads and files after the first 5 % and at the end, of both
        processes; and `troubles`.
    """
    points = max(1, frames_in_all // runs)
    counts = Counts()
    backend = ProcessBackend(model)
    early: dict[str, float] = {}
    with run_engine() as RE:  # noqa: N806
        with redirect_stdout(None):
            tagger = install(RE, backend=backend, policy="block", deadline=30.0)
        RE.subscribe(counts)
        camera = Camera(_SHAPE, images=frames(_SHAPE, 8))
        quick = _Quick(camera)
        begin = time.monotonic()
        for number in range(1, runs + 1):
            RE(bp.count([quick], points))
            watch(number)
            if number == max(1, round(_WARM * runs)):
                early = _use(backend.pid)
        late = _use(backend.pid)
        seconds = time.monotonic() - begin
        tagger.uninstall()
        backend.close()
    troubles = counts.troubles()
    for name, value in late.items():
        if value > (_GROWTH * early[name] if name.endswith("mib") else early[name]):
            troubles.append(f"{name} grew from {early[name]:.1f} to {value:.1f}")
    if backend.restarts:
        troubles.append(f"the process was replaced {backend.restarts} times: it {backend.last_restart}")
    figures = counts.figures() | {"seconds": seconds, "troubles": troubles}
    return figures | {f"early_{name}": each for name, each in early.items()} | {f"late_{k}": v for k, v in late.items()}


class _Quick:
    """A camera without exposure: its frames come as fast as a RunEngine takes them."""

    parent = None

    def __init__(self, camera: Camera) -> None:
        self.name, self.describe, self._camera = camera.name, camera.describe, camera

    def read(self) -> dict[str, Any]:
        """Return the next frame."""
        self._camera.taken += 1
        return self._camera.read()


def _use(process: int) -> dict[str, float]:
    gc.collect()
    return {
        "session_mib": _held(os.getpid()),
        "process_mib": _held(process),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
        "process_files": len(os.listdir(f"/proc/{process}/fd")),
    }


def _held(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
