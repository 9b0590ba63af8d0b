"""The simulated IOC with frames that a test can foresee: the same counts everywhere, by place and exposure."""

import sys

import numpy as np

from bluesky_xtag.simulate.epics import PREFIX
from bluesky_xtag.simulate.epics.beamline_ioc import serve


class Flat:
    """A thousand counts a second at the place 0, twice as many at 10."""

    shape = (64, 48)
    dtype = np.dtype(np.int32)
    wavelength = 1.0
    distance = 0.3
    fixed_beam = True

    def beam_centre(self, x, y):
        return (20.0, 30.0)

    def expose(self, x, y, seconds):
        return np.full(self.shape, counts(x, seconds), np.int32)


def counts(x, seconds):
    return round(1000 * seconds * (1 + x / 10))


if __name__ == "__main__":
    serve(Flat(), *sys.argv[1:] or [PREFIX])
