"""Detectors with an exposure time, whose frames a test can foresee from place and exposure."""

import numpy as np
from ophyd import Component, Device, Signal

from bluesky_xtag import DEFAULT_TAXONOMY
from support.detectors import ArrayDetector
from support.models import CountsModel


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


class GradedModel(CountsModel):
    """Tags by the counts of the first pixel: ring in thousandths; below 100 weak_scattering, above 2000 saturated."""

    taxonomy = DEFAULT_TAXONOMY.subset(["saturated", "weak_scattering", "ring"])
    thresholds = np.array([0.5, 0.5, 0.5])

    def score(self, image):
        self.seen += 1
        counts = float(image.flat[0])
        return [float(counts > 2000), float(counts < 100), min(counts, 1000.0) / 1000]
