"""Tag stored runs or files again, with any model and with the code that tags live."""

from .files import tag_files
from .runs import replay
from .settings import choose_backend

__all__ = [
    "choose_backend",
    "replay",
    "tag_files",
]
