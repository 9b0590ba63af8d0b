"""What others wrote, in tables of a terminal: shown as it is, and neither taken for markup nor obeyed."""

from __future__ import annotations

from rich.markup import escape

from ..errors import printable

__all__ = ["disarm"]


def disarm(text: str) -> str:
    r"""Return a text that rich shows as it is: brackets are no markup, control characters are written as ``\x1b``."""
    return escape(printable(text))
