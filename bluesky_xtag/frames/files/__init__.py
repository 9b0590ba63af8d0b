"""Files of images: one registry of their formats, and the readers that documents name."""

from .adapters import ConsolidatedImages, import_for
from .file_format import FileFormat
from .formats import (
    FORMATS,
    can_read,
    data_sets,
    format_of,
    format_of_mimetype,
    images_in,
    linked_files,
    pack,
    read,
    read_mask,
)
from .handlers import HandlerImages, import_handler, warn_of_surplus
from .hdf5 import Hdf5Frames, warm
from .hdf5_held import without_hint
from .hdf5_new import new_hdf5
from .hdf5_others import find_node, refuse_sources

__all__ = [
    "FORMATS",
    "ConsolidatedImages",
    "FileFormat",
    "HandlerImages",
    "Hdf5Frames",
    "can_read",
    "data_sets",
    "find_node",
    "format_of",
    "format_of_mimetype",
    "images_in",
    "import_for",
    "import_handler",
    "linked_files",
    "new_hdf5",
    "pack",
    "read",
    "read_mask",
    "refuse_sources",
    "warm",
    "warn_of_surplus",
    "without_hint",
]
