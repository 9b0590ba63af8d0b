"""Tag stored runs or files again, with any model and with the code that tags live."""

from .files import frames_of, tag_files
from .runs import replay
from .settings import choose_backend

__all__ = [
    "choose_backend",
    "frames_of",
    "replay",
    "tag_files",
]
