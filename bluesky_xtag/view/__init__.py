"""What a person sees: the live table and the picture of a scan."""

from .lines import Labels
from .live import LiveTags

__all__ = ["Labels", "LiveTags"]
