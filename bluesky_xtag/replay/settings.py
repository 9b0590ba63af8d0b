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
from ..model import DEFAULT, ModelCard, load_model
from ..tagger import BACKENDS, Backend, is_cluster_address, make_backend

if TYPE_CHECKING:
    from ..model import TagModel

__all__ = ["Watch", "choose_backend", "fingerprint", "needed", "work_directory"]

_PATIENCE = 60.0  # seconds for a cluster to score a few frames of an archive; nobody waits for them

# Told after each batch: the run (or the table), how many of its frames are done, and how many there are, if known.
Watch = Callable[[str, int, int | None], None]


def needed(model: TagModel | str | Path | None, backend: str | None) -> tuple[TagModel | str | Path, Any]:
    """Return the model as a backend takes it, and what has its name, tags and thresholds.

    A backend that loads the model itself, in another process, is given the directory: then this process need not load
    TensorFlow.
    """
    if getattr(BACKENDS.get(backend or ""), "loads_model", False) and (model is None or isinstance(model, str | Path)):
        directory = DEFAULT if model is None else model
        return directory, ModelCard.load(directory)
    loaded = load_model(model)
    return loaded, loaded


def choose_backend(
    model: TagModel | str | Path,
    scheduler: str | None,
    workers: int | None,
    *,
    insecure: bool = False,
    backend: str | None = None,
) -> Backend:
    """Return the backend that tags frames: threads of this process, a backend by its name, or a Dask cluster.

    `backend` is the address of a scheduler, as `scheduler`, or the name of one of `bluesky_xtag.tagger.BACKENDS`.

    Raises
    ------
    XTagValueError
        The caller asks for several, there is no such backend, Dask is not installed, or the scheduler is beyond this
        machine and not secured.
    XTagError
        The scheduler cannot be reached.
    """
    if backend is not None and (scheduler is not None or workers is not None):
        raise XTagValueError(
            f"give backend={backend!r}, or a scheduler, or a number of workers: each is a place of its own"
        )
    if backend is not None and is_cluster_address(backend):
        scheduler = backend
    elif backend is not None and backend != "dask":
        return make_backend(backend, model)
    if scheduler is None and workers is None and backend is None:
        return make_backend("threads", model)
    if scheduler is not None and workers is not None:
        raise XTagValueError("give a scheduler or a number of workers, not both: a scheduler has its own workers")
    if workers is not None and workers < 1:
        raise XTagValueError(f"workers={workers}: give at least 1")
    options = {"scheduler": scheduler, "workers": workers or 1, "insecure": insecure}
    return make_backend("dask", model, **options, patience=_PATIENCE, required=True)


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
