"""Tag stored runs, or files, again: with any model, through the code that tags live."""

from .files import replay_files
from .replay import replay

__all__ = ["replay", "replay_files"]
