"""Kills the process that tags at random moments of scans, and sees what becomes of the frames."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from bluesky import plans as bp

from ....tagger import ProcessBackend, Tagger, install, percentile
from ..machine import frames
from ..scanning import Camera, FileCamera, run_engine, write_frames
from .counted import Counts

__all__ = ["kill_it"]

_SHAPE = (256, 256)
_EXPOSURE = 0.02  # seconds
_POINTS = 25  # a scan
_PAUSE = 0.5  # seconds at most between a frame that is "ok" again and the next kill
_TWICE = 0.1  # share of kills after which the next process is killed while it starts
_PATIENT = 0.5  # share of kills before which the spare process may become ready
_PATIENCE = 120.0  # seconds for a frame that is "ok" again


def kill_it(
    kills: int,
    model: Any = None,
    *,
    spare: bool = False,
    in_files: bool = False,
    seed: int = 0,
    watch: Callable[[int], object] = lambda done: None,
) -> dict[str, Any]:
    """Kill the process that tags so many times while scans run.

    Parameters
    ----------
    kills : int
        How many times.
    model : str, Path or a model, optional
        The model; the packaged one if None.
    spare : bool
        Whether a second process stands by.
    in_files : bool
        Whether the frames are in a file, or else in events.
    seed : int
        Of the moments.
    watch : callable
        Called with the number of kills so far.

    Returns
    -------
    dict
        Counts of runs, frames and rows, `restarts`, seconds until frames were "ok" again, of all kills (`again_...`)
        and of those at which a spare process stood by with its model ready (`again_with_spare_...`), and `troubles`.
    """
    with tempfile.TemporaryDirectory() as place, run_engine() as RE:  # noqa: N806
        images = frames(_SHAPE, 8)
        if in_files:
            camera: Camera = FileCamera(write_frames(Path(place) / "frames.h5", images), _SHAPE, _EXPOSURE)
        else:
            camera = Camera(_SHAPE, _EXPOSURE, images)
        backend = ProcessBackend(model, spare=spare)
        with redirect_stdout(None):
            tagger = install(RE, backend=backend)
        counts = Counts()
        RE.subscribe(counts)
        killer = _Killer(backend, tagger, counts, kills, spare, random.Random(seed), watch)  # noqa: S311
        try:
            backend.wait_ready()
            killer.start()
            while killer.is_alive():
                RE(bp.count([camera], _POINTS))
        finally:
            killer.stop()
            tagger.uninstall()
            backend.close()
    troubles = counts.troubles()
    if killer.never:
        troubles.append(f"after {killer.never} of {kills} kills no frame was ok again within {_PATIENCE:g} s")
    figures = counts.figures() | {"kills": killer.done, "restarts": backend.restarts}
    for name, seconds in (("again", killer.seconds), ("again_with_spare", killer.with_spare)):
        if seconds:
            figures |= {f"{name}_p50_s": percentile(seconds, 50), f"{name}_p99_s": percentile(seconds, 99)}
    return figures | {"with_spare": len(killer.with_spare), "troubles": troubles}


class _Killer(threading.Thread):
    def __init__(
        self,
        backend: ProcessBackend,
        tagger: Tagger,
        counts: Counts,
        kills: int,
        spare: bool,
        chance: random.Random,
        watch: Callable[[int], object],
    ) -> None:
        super().__init__(daemon=True)
        self._backend, self._tagger, self._counts = backend, tagger, counts
        self._kills, self._spare, self._chance, self._watch = kills, spare, chance, watch
        self._stopped = threading.Event()
        self.done = self.never = 0
        self.seconds: list[float] = []
        self.with_spare: list[float] = []  # those of kills at which a spare process stood by

    def stop(self) -> None:
        """Let it end."""
        self._stopped.set()

    def run(self) -> None:
        """Kill, wait until frames are "ok" again, and a moment more."""
        while self.done < self._kills and not self._stopped.is_set():
            if self._spare and self._chance.random() < _PATIENT:
                self._wait_for_spare()
            self._stopped.wait(self._chance.uniform(0, _PAUSE))
            stood_by = self._backend.has_spare_ready
            self._kill()
            if self.done < self._kills and self._chance.random() < _TWICE:
                self._stopped.wait(self._chance.uniform(0, 1))
                stood_by = self._backend.has_spare_ready
                self._kill()
            killed = time.monotonic()
            while not self._is_ok_since(killed):
                if self._stopped.wait(0.005) or time.monotonic() - killed > _PATIENCE:
                    self.never += not self._stopped.is_set()
                    break
            else:
                self.seconds.append(time.monotonic() - killed)
                if stood_by:
                    self.with_spare.append(self.seconds[-1])

    def _wait_for_spare(self) -> None:
        end = time.monotonic() + _PATIENCE
        while not self._backend.has_spare_ready and time.monotonic() < end and not self._stopped.wait(0.05):
            pass

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._backend.pid, signal.SIGKILL)
        self.done += 1
        self._watch(self.done)

    def _is_ok_since(self, moment: float) -> bool:
        latest = self._tagger.latest
        return (
            latest is not None and latest.status == "ok" and self._counts.arrived.get(latest.frame.event, 0.0) > moment
        )
