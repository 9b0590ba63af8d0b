"""Decisions are data: what a plan did because of tags, as the stream "decisions", and how it is computed again."""

from .decision import ACTIONS, Action, Decider, Decision, Missing, OnMissing
from .empty import SkipEmpty
from .exposure import ByExposure
from .line import LineUntil
from .places import ByStrategy
from .replay import DecisionsAgain, made, replay_decisions
from .stream import SETTINGS, STREAM, DecisionLog, TagsWatch, chosen_column, data_keys, row, seen_in

__all__ = [
    "ACTIONS",
    "SETTINGS",
    "STREAM",
    "Action",
    "ByExposure",
    "ByStrategy",
    "Decider",
    "Decision",
    "DecisionLog",
    "DecisionsAgain",
    "LineUntil",
    "Missing",
    "OnMissing",
    "SkipEmpty",
    "TagsWatch",
    "chosen_column",
    "data_keys",
    "made",
    "replay_decisions",
    "row",
    "seen_in",
]
