"""The settings that a replay of runs and a replay of files share."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import XTagValueError
from ..tagger import Backend, make_backend

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["Watch", "choose_backend", "fingerprint", "work_directory"]

# Told after each batch: the run (or the table), how many of its frames are done, and how many there are, if known.
Watch = Callable[[str, int, int | None], None]


def choose_backend(model: TagModel, scheduler: str | None, workers: int | None) -> Backend:
    """Return the backend that tags frames: this process, or a Dask cluster.

    Raises
    ------
    XTagValueError
        The caller asks for both, or Dask is not installed.
    XTagError
        The scheduler cannot be reached.
    """
    if scheduler is None and workers is None:
        return make_backend("threads", model)
    if scheduler is not None and workers is not None:
        raise XTagValueError("give a scheduler or a number of workers, not both: a scheduler has its own workers")
    if workers is not None and workers < 1:
        raise XTagValueError(f"workers={workers}: give at least 1")
    return make_backend("dask", model, scheduler=scheduler, workers=workers or 1)


def fingerprint(model: TagModel, *settings: Any) -> str:
    """Return a hash of everything that decides the rows of a frame: the model, its thresholds and the settings."""
    decisive = [model.sha256, [float(threshold) for threshold in model.thresholds], *settings]
    return hashlib.sha256(json.dumps(decisive, default=_plain).encode()).hexdigest()


def work_directory() -> Path:
    """Return the default directory of journals."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "bluesky_xtag" / "replay"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    return list(value)
