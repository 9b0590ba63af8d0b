"""Find runs and frames by tag, and read stored tags back, from Tiled and from databroker."""

from .taggings import tags

__all__ = ["tags"]
