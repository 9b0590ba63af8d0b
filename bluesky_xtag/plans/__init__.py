"""Plans that tags steer. Each plan makes one run, with the streams primary, tags and decisions."""

from .adaptive import tag_adaptive_scan
from .conditions import condition
from .decisions import STREAM, DecisionCheck, SkipEmpty, replay_decisions
from .exposure import expose_until
from .line import scan_until
from .skip import skip_empty
from .strategies import make

__all__ = [
    "STREAM",
    "SkipEmpty",
    "DecisionCheck",
    "condition",
    "expose_until",
    "make",
    "replay_decisions",
    "scan_until",
    "skip_empty",
    "tag_adaptive_scan",
]
