"""Detectors with an exposure time, whose frames a test can foresee from place and exposure."""

import numpy as np
from detectors import ArrayDetector
from ophyd import Component, Device, Signal


class Exposed(Device):
    """The part of areaDetector's driver that sets the exposure."""

    acquire_time = Component(Signal, value=1.0, kind="config")


class Camera(ArrayDetector):
    """Gives `image(seconds)` for each trigger, and adds up the beam that it used."""

    def __init__(self, image, name="det", exposure=1.0, shape=(32, 32)):
        self.cam = Exposed(name=f"{name}_cam")
        self.cam.acquire_time.put(exposure)
        self.dose = 0.0
        self._image = image
        super().__init__(self._expose, name=name, shape=shape)
        self.dose = 0.0  # ophyd asks for a value before the first trigger

    def _expose(self):
        seconds = self.cam.acquire_time.get()
        self.dose += seconds
        return np.asarray(self._image(seconds))


def flat(counts, shape=(32, 32)):
    """A frame with the same counts everywhere."""
    return np.full(shape, counts, np.int32)
