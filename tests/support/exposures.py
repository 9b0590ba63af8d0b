"""Something in front of the simulated detector whose pixels a test can foresee."""

import threading

import numpy as np


class Numbered:
    """Frames full of their motor's position, -1 in the first pixel."""

    shape = (12, 10)
    dtype = np.dtype(np.int32)
    wavelength = 1.0
    distance = 0.3
    fixed_beam = True

    def beam_centre(self, x, y):
        return (4.5, 6.0)

    def expose(self, x, y, seconds):
        frame = np.full(self.shape, round(x), self.dtype)
        frame[0, 0] = -1
        return frame


class Held(Numbered):
    """An exposure that lasts until it is released."""

    def __init__(self):
        self.released = threading.Event()

    def expose(self, x, y, seconds):
        self.released.wait(30)
        return super().expose(x, y, seconds)


class Broken(Numbered):
    """A detector that fails."""

    def expose(self, x, y, seconds):
        raise RuntimeError("no high voltage")
