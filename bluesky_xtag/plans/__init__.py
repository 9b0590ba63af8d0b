"""Plans steered by tags; each makes one run, with the streams primary, tags and decisions."""

from .adaptive import tag_adaptive_scan
from .exposure import expose_until
from .line import scan_until
from .skip import skip_empty

__all__ = ["expose_until", "scan_until", "skip_empty", "tag_adaptive_scan"]
