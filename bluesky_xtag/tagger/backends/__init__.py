"""Where inference runs: a protocol, and the backends that are known by name."""

from .backend import Backend
from .inline import InlineBackend
from .registry import BACKENDS, make_backend
from .threads import ThreadsBackend

__all__ = ["BACKENDS", "Backend", "InlineBackend", "ThreadsBackend", "make_backend"]
