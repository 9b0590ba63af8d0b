"""The backends by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import XTagValueError
from .backend import Backend
from .inline import InlineBackend
from .threads import ThreadsBackend

if TYPE_CHECKING:
    from ...model import TagModel

__all__ = ["BACKENDS", "make_backend"]


def _dask(model: TagModel, **options: Any) -> Backend:
    try:
        from .dask_cluster import DaskBackend
    except ImportError as error:
        raise XTagValueError("workers need Dask: pip install 'bluesky_xtag[dask]'") from error
    return DaskBackend(model, **options)


# Another backend is one more line here. Each is called with the model, and with options of its own.
BACKENDS: dict[str, Callable[..., Backend]] = {
    "inline": InlineBackend,
    "threads": ThreadsBackend,
    "dask": _dask,
}


def make_backend(name: str, model: TagModel, **options: Any) -> Backend:
    """Return a new backend.

    Parameters
    ----------
    name : str
        One of `BACKENDS`.
    model : TagModel
        The model that it serves.
    **options
        What the backend takes besides: ``scheduler`` and ``workers`` of "dask".

    Raises
    ------
    XTagValueError
        There is no backend of that name, or what it needs is not installed.
    """
    if name not in BACKENDS:
        raise XTagValueError(f"backend={name!r} is not known; choose one of {', '.join(BACKENDS)}")
    return BACKENDS[name](model, **options)
