"""Plans that tags steer. Each plan makes one run, with the streams primary, tags and decisions."""

from .adaptive import tag_adaptive_scan
from .conditions import condition
from .decisions import STREAM, DecisionCheck, SkipEmpty, replay_decisions
from .exposure import expose_until
from .flight import Flight, tag_adaptive_fly
from .line import scan_until
from .resume import known_places
from .skip import skip_empty
from .steps import queueable
from .strategies import REVISION as STRATEGIES_REVISION
from .strategies import Axis, Motion, make
from .time_series import watch
from .tray import compare_samples
from .wish_file import pin, veto

__all__ = [
    "STRATEGIES_REVISION",
    "Axis",
    "Flight",
    "Motion",
    "STREAM",
    "SkipEmpty",
    "DecisionCheck",
    "compare_samples",
    "condition",
    "expose_until",
    "known_places",
    "make",
    "pin",
    "queueable",
    "replay_decisions",
    "scan_until",
    "skip_empty",
    "tag_adaptive_fly",
    "tag_adaptive_scan",
    "veto",
    "watch",
]
