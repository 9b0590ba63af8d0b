"""The backends by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import XTagValueError
from .backend import Backend
from .cluster_address import is_cluster_address
from .inline import InlineBackend
from .process import ProcessBackend, is_possible, origin
from .threads import ThreadsBackend

if TYPE_CHECKING:
    from ...model import TagModel

__all__ = ["BACKENDS", "suitable_backend", "make_backend"]


def _dask(model: TagModel, **options: Any) -> Backend:
    try:
        from .dask_cluster import DaskBackend
    except ImportError as error:
        raise XTagValueError('Dask is not installed: pip install "bluesky_xtag[dask]"') from error
    return DaskBackend(model, **options)


# Another backend is one more line here. Each is called with the model, and with options of its own; one with a true
# attribute `loads_model` is given what the user gave, a directory or None instead of a model, too.
BACKENDS: dict[str, Callable[..., Backend]] = {
    "inline": InlineBackend,
    "process": ProcessBackend,
    "threads": ThreadsBackend,
    "dask": _dask,
}


def suitable_backend(model: Any = None) -> tuple[str, str]:
    """Return the name of the backend that suits a model, and in words why it is not a process of its own, else "".

    Only what is read from a directory is read in another process: an object of this one would have to be pickled.
    """
    if not is_possible():
        return "inline", "in this process, since another one needs Linux"
    model = origin(model)
    if model is None or isinstance(model, str | Path):
        return "process", ""
    return "inline", "in this process, since a model was given and not its directory"


def make_backend(name: str, model: TagModel | str | Path | None = None, **options: Any) -> Backend:
    """Return a new backend.

    Parameters
    ----------
    name : str
        One of `BACKENDS`; or the address of a Dask scheduler, such as ``tls://host:8786``.
    model : TagModel, str or Path, optional
        The model that it serves, or its directory; the packaged one if None.
    **options
        What the backend takes besides: ``insecure`` and ``patience`` of a Dask scheduler, ``scheduler`` and ``workers``
        of "dask"; ``spare``, ``patience`` and ``memory_limit`` of "process".

    Raises
    ------
    XTagValueError
        There is no backend of that name, or what it needs is not installed.
    ModelError
        The directory holds no model.
    """
    if is_cluster_address(name):
        name, options = "dask", {"scheduler": name, **options}
    if name not in BACKENDS:
        raise XTagValueError(
            f"backend={name!r} is not known; choose one of {', '.join(BACKENDS)}, or give the address of a Dask "
            "scheduler, such as tls://host:8786"
        )
    make, model = BACKENDS[name], origin(model)
    if not getattr(make, "loads_model", False):
        from ...model import load_model  # only when it is needed: loading a model brings TensorFlow

        model = load_model(model)
    return make(model, **options)
