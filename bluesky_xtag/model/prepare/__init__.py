"""Detector image -> network inputs: the one implementation, for training and for serving.

Nothing is repaired or interpolated. Photons are masked and added up (`Preparation.bin`). Three views are made of the
sums: the detector image as it is, the polar image about the beam centre, and the radial profile with the azimuthal
harmonics of each radius (`Preparation.views`). The logarithms have a fixed scale, so that one hot pixel cannot flatten
a frame. The views also hold residuals in units of the counting noise, because the number of photons decides what is
visible, not the shade of grey.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
