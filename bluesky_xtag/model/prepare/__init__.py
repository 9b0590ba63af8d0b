"""Detector image -> network inputs: the one implementation, for training and for serving.

Nothing is repaired or interpolated. Photons are masked and added up (`Preparation.bin`). Three views are made of the
sums: the detector image as it is, the polar image about the beam centre, and the radial profile with the azimuthal
harmonics of each radius (`Preparation.views`). The logarithms have a fixed scale, so that one hot pixel cannot flatten
a frame. The views also hold residuals in units of the counting noise, because the number of photons decides what is
visible, not the shade of grey.
"""

from .binning import Binned
from .centre import estimate_centre
from .compiled import compiled as compile_loop
from .compiled import compiled_function as compile_function
from .grid import coarse
from .packed import CompiledRows, PackedImage
from .polar import POLAR_CHANNELS, PROFILE_CHANNELS
from .preparation import PLAIN_CHANNELS, SCALARS, Inputs, Preparation
from .strips import SPIKE_COUNTS, SPIKE_RATIO
from .validity import describe_counts

__all__ = [
    "PLAIN_CHANNELS",
    "POLAR_CHANNELS",
    "PROFILE_CHANNELS",
    "SCALARS",
    "SPIKE_COUNTS",
    "SPIKE_RATIO",
    "Binned",
    "CompiledRows",
    "Inputs",
    "PackedImage",
    "Preparation",
    "coarse",
    "compile_function",
    "compile_loop",
    "describe_counts",
    "estimate_centre",
]
