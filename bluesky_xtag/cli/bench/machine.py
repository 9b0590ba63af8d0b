"""What measurements share: frames to measure with, and the words that say what they were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ...model import ServedModel

__all__ = ["BATCH", "NO_MODEL", "describe", "frames", "machine"]

NO_MODEL = "none"
"""What figures name as their model if the packaged one has no part in them."""
BATCH = 16  # frames a call, as many as the tagger takes


def describe(model: ServedModel, *packages: str) -> dict[str, Any]:
    """Return what figures were measured with: machine, load, versions, model and device."""
    return {
        "machine": machine(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in (*packages, "bluesky_xtag", "tensorflow")},
        "model": f"{model.name} {model.version}",
        "device": model.device,
    }


def machine() -> str:
    """Return processor, its number and Python's version in words."""
    return f"{_processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def frames(shape: tuple[int, int], count: int) -> list[np.ndarray]:
    """Return photon counts of scattering that falls from the beam, and of a ring.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    count : int
        How many exposures of the same scene.

    Returns
    -------
    list of numpy.ndarray
        (rows, columns) int32 each.
    """
    rows, columns = np.indices(shape, dtype=np.float32)
    radius = np.hypot(rows - 0.5 * shape[0], columns - 0.5 * shape[1]) * (1043 / max(shape))
    expected = 200 * np.exp(-radius / 60) + 20 * np.exp(-(((radius - 300) / 5) ** 2)) + 0.5
    rng = np.random.default_rng(1)
    return [rng.poisson(expected).astype(np.int32) for _ in range(count)]


def _processor() -> str:
    """Return the name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
