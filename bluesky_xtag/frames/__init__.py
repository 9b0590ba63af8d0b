"""Documents and files to frames, for every flavour in which Bluesky and detectors keep images."""

from .addresses import Address, address_of, images_at
from .assembler import FrameAssembler
from .beam_centre import find_beam_centre
from .data_keys import images_and_size
from .files import (
    FORMATS,
    FileFormat,
    can_read,
    data_sets,
    format_of,
    images_in,
    pack,
    read,
    warm,
    without_hint,
)
from .frame import Frame, FrameRange, Images, is_first
from .guarded import GuardedImages, NamedRoots, Roots
from .imports import Imports
from .in_files import each_once, frames_of, matching_files
from .label_store import LabelStore
from .labelled import (
    LabelledFile,
    LabelledFrame,
    MeasuredFrames,
    as_source,
    each_frame,
    open_labelled,
    read_frames,
)
from .labelled_writing import add_labelled, check_new, join_labelled, write_labelled, write_part
from .masks import Mask, load_mask
from .pva_image import PvaImage
from .roots import RootMap
from .selection import FrameSelection
from .sources import FileImages, MissingImages

__all__ = [
    "FORMATS",
    "Address",
    "FileFormat",
    "FileImages",
    "Frame",
    "FrameAssembler",
    "FrameRange",
    "FrameSelection",
    "GuardedImages",
    "Images",
    "Imports",
    "LabelStore",
    "LabelledFile",
    "LabelledFrame",
    "Mask",
    "NamedRoots",
    "Roots",
    "MeasuredFrames",
    "MissingImages",
    "PvaImage",
    "RootMap",
    "add_labelled",
    "address_of",
    "as_source",
    "can_read",
    "check_new",
    "data_sets",
    "each_frame",
    "each_once",
    "find_beam_centre",
    "format_of",
    "frames_of",
    "images_and_size",
    "images_at",
    "images_in",
    "is_first",
    "join_labelled",
    "load_mask",
    "matching_files",
    "open_labelled",
    "pack",
    "read",
    "read_frames",
    "warm",
    "without_hint",
    "write_labelled",
    "write_part",
]
