"""The Tagger: takes frames from documents, has them scored, gives their rows to the RunEngine."""

from .backends import Backend, InlineBackend
from .messages import Plan, accompany
from .session import install
from .statistics import percentile
from .tagger import Mask, Tagger, Wait
from .worker import Policy

__all__ = [
    "Backend",
    "InlineBackend",
    "Mask",
    "Plan",
    "Policy",
    "Tagger",
    "Wait",
    "accompany",
    "install",
    "percentile",
]
