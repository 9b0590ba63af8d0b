"""Scans over frames that hang, stop or fill the process that tags, and the end of their session.

Each fault has a session of its own, in which two scans run: one without the fault, and one with it.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bluesky import plans as bp

from ....tagger import ProcessBackend, install
from ..machine import frames
from ..scanning import Camera, run_engine
from .counted import Counts
from .trapped import HANG, HOARD, STOP, Trapped, with_trap

__all__ = ["FAULTS", "break_it"]

_SHAPE = (512, 512)
_EXPOSURE = 0.05  # seconds
_POINTS = 12
_AT = 3  # the point of the fault
_DEADLINE = 1.0  # seconds
_SLACK = 0.5  # seconds that a scan may differ from another
_LEAVE = 5.0  # seconds in which the session must end
_ROOM = 2**19  # bytes that may be shared, where memory for it is full: less than a frame
_MORE = 2**29  # bytes that the process may take beyond what it has when it is ready


@dataclass(frozen=True)
class Fault:
    """What goes wrong: over which frame, and whether memory can be shared."""

    trap: int | None = None
    is_full: bool = False
    limits_memory: bool = False


FAULTS = {
    "a model that hangs": Fault(HANG),
    "a mount that does not answer": Fault(STOP),
    "no memory left to the process": Fault(HOARD, limits_memory=True),
    "no memory to share": Fault(is_full=True),
}
"""By name. Instead of a mount, the process itself is stopped while it has the frame: nothing of it goes on."""


def break_it(name: str, model: Any, patience: float = 20.0) -> dict[str, Any]:
    """Let a fault befall a session; return its figures and `troubles`.

    Parameters
    ----------
    name : str
        One of `FAULTS`.
    model : str, Path or a model
        The model.
    patience : float
        Of the backend, seconds.
    """
    with tempfile.TemporaryDirectory() as place:
        said, given = Path(place) / "said.json", Path(place) / "given"
        given.write_bytes(pickle.dumps((Trapped(model), patience)))
        process = subprocess.Popen(
            [sys.executable, "-m", "bluesky_xtag.cli.bench.chaos.breaking", name, str(given), str(said)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            assert process.stdout is not None and process.stderr is not None
            for line in process.stdout:
                if line.startswith("leaving"):
                    break
            begin = time.monotonic()
            process.wait(60)
            leaves = time.monotonic() - begin
        finally:
            process.kill()
            words = process.communicate()[1]
        if not said.exists():
            return {"troubles": [f"the session ended early: {words.strip()[-500:]}"]}
        figures = json.loads(said.read_text()) | {"leaves_s": leaves}
    if figures["longer_s"] > _DEADLINE + _SLACK:
        figures["troubles"].append(f"the scan took {figures['longer_s']:.1f} s longer, more than one deadline")
    if leaves > _LEAVE:
        figures["troubles"].append(f"the session took {leaves:.1f} s to end")
    return figures


def _session(name: str, given: str, said: str) -> None:
    fault = FAULTS[name]
    model, patience = pickle.loads(Path(given).read_bytes())  # noqa: S301 - from `break_it`
    images = frames(_SHAPE, _POINTS + 1)
    backend = ProcessBackend(model, patience=patience)
    backend.wait_ready()
    if fault.limits_memory:
        limit = backend.memory()[0] + _MORE
        backend.close()
        backend = ProcessBackend(model, patience=patience, memory_limit=limit)
        backend.wait_ready()
    counts, seconds = Counts(), []
    with run_engine() as RE:  # noqa: N806
        with redirect_stdout(None):
            install(RE, backend=backend, deadline=_DEADLINE)
        RE.subscribe(counts)
        for is_broken in (False, True):
            if is_broken and fault.trap is not None:
                images[_AT] = with_trap(images[_AT], fault.trap)
            if is_broken and fault.is_full:
                resource.setrlimit(resource.RLIMIT_FSIZE, (_ROOM, resource.RLIM_INFINITY))
            begin = time.monotonic()
            RE(bp.count([Camera(_SHAPE, _EXPOSURE, images)], _POINTS))
            seconds.append(time.monotonic() - begin)
        figures = counts.figures() | {"seconds": seconds, "longer_s": seconds[1] - seconds[0]}
        figures |= {"restarts": backend.restarts, "troubles": counts.troubles()}
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        Path(said).write_text(json.dumps(figures))
    print("leaving", flush=True)


if __name__ == "__main__":
    _session(*sys.argv[1:])
