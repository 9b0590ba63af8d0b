"""Detector image -> network inputs: the one implementation, for training and for serving.

Nothing is repaired or interpolated. Photons are masked and added up (`Preparation.bin`). Three views are made of the
sums: the detector image as it is, the polar image about the beam centre, and the radial profile with the azimuthal
harmonics of each radius (`Preparation.views`). The logarithms have a fixed scale, so that one hot pixel cannot flatten
a frame. The views also hold residuals in units of the counting noise, because the number of photons decides what is
visible, not the shade of grey.
"""

from .binning import SPIKE_COUNTS, SPIKE_RATIO, Binned
from .centre import estimate_centre
from .compiled import compiled as compile_loop
from .grid import coarse
from .packed import PackedImage
from .polar import POLAR_CHANNELS, PROFILE_CHANNELS
from .preparation import PLAIN_CHANNELS, SCALARS, Inputs, Preparation

__all__ = [
    "PLAIN_CHANNELS",
    "POLAR_CHANNELS",
    "PROFILE_CHANNELS",
    "SCALARS",
    "SPIKE_COUNTS",
    "SPIKE_RATIO",
    "Binned",
    "Inputs",
    "PackedImage",
    "Preparation",
    "coarse",
    "compile_loop",
    "estimate_centre",
]
