"""What plans decided because of tags: the stream "decisions", and how to compute the decisions again."""

from .by_change import DOSE, INTERVAL, ByChange, WatchRules
from .by_condition import ByCondition, fallback_rules
from .by_emptiness import SkipEmpty
from .by_exposure import ByExposure
from .by_line import LineUntil
from .by_lines import ByLines, stop_name
from .by_sample import BySample
from .by_strategy import ByStrategy
from .check import DecisionCheck, make_decider, replay_decisions
from .decision import ACTIONS, Action, Decider, Decision, Missing, OnMissing, further_decisions, needs_frame
from .stream import (
    ASKED,
    CHOSEN,
    COLUMNS,
    DRIFT,
    FLOWN,
    SETTINGS,
    STREAM,
    WISHED,
    DecisionLog,
    TagsWatch,
    data_keys,
    row,
    target_column,
)
from .wishes import Terms, Wish, read_wish
from .with_reference import ReferenceRules, WithReference

__all__ = [
    "ACTIONS",
    "ASKED",
    "CHOSEN",
    "COLUMNS",
    "DRIFT",
    "FLOWN",
    "SETTINGS",
    "STREAM",
    "Action",
    "DOSE",
    "INTERVAL",
    "ByChange",
    "BySample",
    "WatchRules",
    "ByCondition",
    "ByExposure",
    "ByLines",
    "ByStrategy",
    "Decider",
    "Decision",
    "DecisionLog",
    "DecisionCheck",
    "LineUntil",
    "Missing",
    "OnMissing",
    "ReferenceRules",
    "SkipEmpty",
    "TagsWatch",
    "Terms",
    "WISHED",
    "Wish",
    "WithReference",
    "target_column",
    "data_keys",
    "fallback_rules",
    "further_decisions",
    "make_decider",
    "needs_frame",
    "read_wish",
    "replay_decisions",
    "row",
    "stop_name",
]
