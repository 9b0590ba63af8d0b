"""The Tagger: takes frames from documents, has them scored, gives their rows to the RunEngine."""

from .backends import BACKENDS, Backend, InlineBackend, ThreadsBackend, make_backend
from .messages import Plan, accompany
from .scoring import BATCH, NotReady, Outcome, batches, finish
from .session import install
from .statistics import percentile
from .tagger import Mask, Tagger, Wait
from .worker import Policy

__all__ = [
    "BACKENDS",
    "BATCH",
    "NotReady",
    "Outcome",
    "ThreadsBackend",
    "batches",
    "finish",
    "make_backend",
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
