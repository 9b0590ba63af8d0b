"""The Tagger: takes frames from documents, has them scored, gives their rows to the RunEngine."""

from .backends import BACKENDS, Backend, InlineBackend, ProcessBackend, ThreadsBackend, is_cluster_address, make_backend
from .device_check import Finding, exposure_of
from .followers import Follower
from .messages import Plan, accompany
from .preprocessor import tag_wrapper
from .scoring import BATCH, NotReady, Outcome, batches, finish
from .service import FORMATS, Bus, KafkaBus, RunService, ServedBackend, WireFormat, ZeroMQBus
from .session import install
from .shadow import Shadow
from .statistics import percentile
from .tagger import Mask, Tagger, Wait
from .worker import Policy

__all__ = [
    "BACKENDS",
    "BATCH",
    "FORMATS",
    "Bus",
    "KafkaBus",
    "NotReady",
    "Outcome",
    "RunService",
    "ServedBackend",
    "Shadow",
    "ThreadsBackend",
    "batches",
    "exposure_of",
    "finish",
    "make_backend",
    "Backend",
    "Finding",
    "Follower",
    "InlineBackend",
    "Mask",
    "Plan",
    "Policy",
    "ProcessBackend",
    "Tagger",
    "Wait",
    "WireFormat",
    "ZeroMQBus",
    "accompany",
    "install",
    "is_cluster_address",
    "percentile",
    "tag_wrapper",
]
