"""Where inference runs."""

from .backend import Backend
from .inline import InlineBackend

__all__ = [
    "Backend",
    "InlineBackend",
]
