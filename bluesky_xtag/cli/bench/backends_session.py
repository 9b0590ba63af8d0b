"""A session of its own that `xtag bench backends` starts: when its prompt is back, when scores come, what it holds."""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import Any

__all__ = ["session"]

_POINTS = 20


def session(backend: str, shape: tuple[int, int]) -> dict[str, float]:
    """Return seconds from `install(RE)` to the prompt and to the first scores, and the memory after a scan in MiB.

    Parameters
    ----------
    backend : str
        Its name; "without" for a session without tagging, of which there is only the memory.
    shape : tuple of int
        Rows and columns of the frames, which are in the events.
    """
    from bluesky import plans as bp

    from .scanning import Camera, run_engine

    came: list[float] = []

    def look(name: str, doc: Any) -> None:
        if name == "event" and doc["data"].get("xtag_status") == "ok":
            came.append(perf_counter())

    found: dict[str, float] = {}
    with run_engine() as RE:  # noqa: N806
        camera = Camera(shape, exposure=0.05)
        RE.subscribe(look)
        begin = perf_counter()
        if backend != "without":
            _install(RE, backend)
            found["prompt_s"] = perf_counter() - begin
        RE(bp.count([camera], 1))
        RE(bp.count([camera], _POINTS))
        if came:
            found["first_scores_s"] = came[0] - begin
        return found | {"memory_mib": _memory()}


def _install(RE: Any, backend: str) -> None:  # noqa: N803
    from ...tagger import install

    with redirect_stdout(None):
        install(RE, backend=backend, deadline=120.0)


def _memory() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    print(json.dumps(session(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3])))), flush=True)
    os._exit(0)
