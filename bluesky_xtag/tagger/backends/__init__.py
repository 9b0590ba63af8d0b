"""Where inference runs: a protocol, and the backends that are known by name."""

from .backend import Backend
from .cluster_address import is_cluster_address
from .inline import InlineBackend
from .process import ProcessBackend, is_possible, origin
from .registry import BACKENDS, make_backend, suitable_backend
from .threads import ThreadsBackend

__all__ = [
    "BACKENDS",
    "Backend",
    "InlineBackend",
    "ProcessBackend",
    "ThreadsBackend",
    "suitable_backend",
    "is_cluster_address",
    "is_possible",
    "make_backend",
    "origin",
]
