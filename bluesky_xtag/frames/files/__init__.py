"""Files of images: one registry of their formats, and the readers that documents name."""

from .adapters import ConsolidatedImages
from .file_format import FileFormat
from .formats import (
    FORMATS,
    can_read,
    data_sets,
    format_of,
    format_of_mimetype,
    images_in,
    origins,
    pack,
    read,
    read_mask,
)
from .handlers import HandlerImages, warn_of_surplus
from .hdf5 import Hdf5Frames, warm

__all__ = [
    "FORMATS",
    "ConsolidatedImages",
    "FileFormat",
    "HandlerImages",
    "Hdf5Frames",
    "can_read",
    "data_sets",
    "format_of",
    "format_of_mimetype",
    "images_in",
    "origins",
    "pack",
    "read",
    "read_mask",
    "warm",
    "warn_of_surplus",
]
