"""What plans decided because of tags: the stream "decisions", and how to compute the decisions again."""

from .by_emptiness import SkipEmpty
from .by_exposure import ByExposure
from .by_line import LineUntil
from .by_strategy import ByStrategy
from .check import DecisionCheck, make_decider, replay_decisions
from .decision import ACTIONS, Action, Decider, Decision, Missing, OnMissing
from .stream import CHOSEN, COLUMNS, SETTINGS, STREAM, DecisionLog, TagsWatch, data_keys, row, target_column

__all__ = [
    "ACTIONS",
    "CHOSEN",
    "COLUMNS",
    "SETTINGS",
    "STREAM",
    "Action",
    "ByExposure",
    "ByStrategy",
    "Decider",
    "Decision",
    "DecisionLog",
    "DecisionCheck",
    "LineUntil",
    "Missing",
    "OnMissing",
    "SkipEmpty",
    "TagsWatch",
    "target_column",
    "data_keys",
    "make_decider",
    "replay_decisions",
    "row",
]
