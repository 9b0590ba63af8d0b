"""Documents and files to frames, for every flavour in which Bluesky and detectors keep images."""

from .assembler import FrameAssembler
from .data_keys import images_and_size
from .files import FORMATS, FileFormat, can_read, data_sets, images_in, origins, pack, read, warm
from .frame import Frame, bytes_held
from .labelled import (
    LabelledFile,
    LabelledFrame,
    MeasuredFrames,
    add_labelled,
    as_source,
    check_new,
    each_frame,
    join_labelled,
    open_labelled,
    read_frames,
    write_labelled,
)
from .masks import Mask, load_mask
from .selection import FrameSelection

__all__ = [
    "FORMATS",
    "FileFormat",
    "Frame",
    "FrameAssembler",
    "FrameSelection",
    "LabelledFile",
    "LabelledFrame",
    "Mask",
    "MeasuredFrames",
    "add_labelled",
    "as_source",
    "bytes_held",
    "can_read",
    "check_new",
    "data_sets",
    "each_frame",
    "images_and_size",
    "images_in",
    "origins",
    "join_labelled",
    "load_mask",
    "open_labelled",
    "pack",
    "read",
    "read_frames",
    "warm",
    "write_labelled",
]
