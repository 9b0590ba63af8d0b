"""Documents and files to frames, for every flavour in which Bluesky and detectors keep images."""

from .assembler import FrameAssembler
from .data_keys import images_and_size
from .files import data_sets, images_in, is_hdf5, read, warm
from .frame import Frame
from .labelled import MeasuredFrames, each_frame, read_frames
from .masks import Mask, load_mask, load_masks

__all__ = [
    "Frame",
    "FrameAssembler",
    "Mask",
    "MeasuredFrames",
    "data_sets",
    "each_frame",
    "read_frames",
    "images_and_size",
    "images_in",
    "is_hdf5",
    "load_mask",
    "load_masks",
    "read",
    "warm",
]
