"""Tag stored runs, or files, again: with any model, through the code that tags live."""

from .engine import BATCH, Engine
from .files import frames_of, replay_files
from .runs import replay
from .settings import loaded, make_engine

__all__ = [
    "BATCH",
    "Engine",
    "make_engine",
    "frames_of",
    "loaded",
    "replay",
    "replay_files",
]
