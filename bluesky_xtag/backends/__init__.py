"""Where inference runs."""

from .inline import InlineBackend
from .protocol import Backend

__all__ = ["Backend", "InlineBackend"]
