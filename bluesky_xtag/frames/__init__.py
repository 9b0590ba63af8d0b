"""Documents to frames, for every flavour of document in which Bluesky speaks of images."""

from .assembler import FrameAssembler
from .frame import Frame

__all__ = ["Frame", "FrameAssembler"]
