"""Plans steered by tags; each makes one run, with the streams primary, tags and decisions."""

from .skip import skip_empty

__all__ = ["skip_empty"]
