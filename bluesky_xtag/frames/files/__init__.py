"""Files of images."""

from .formats import data_sets, images_in, is_hdf5, read
from .hdf5 import Hdf5Frames, read_image, warm

__all__ = [
    "Hdf5Frames",
    "data_sets",
    "images_in",
    "is_hdf5",
    "read",
    "read_image",
    "warm",
]
