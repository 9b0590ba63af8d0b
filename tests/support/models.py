"""Small models with the interface of a TagModel, whose answers and troubles a test can foresee."""

import os
import tempfile
import threading
from types import SimpleNamespace

import numpy as np

from bluesky_xtag import DEFAULT_TAXONOMY, FrameError


class CountsModel:
    """Tags by total counts: "empty" where there are none, "ring" where the first pixel counted something."""

    name = "counts"
    version = "1"
    sha256 = "0" * 64
    device = "CPU"
    taxonomy = DEFAULT_TAXONOMY.subset(["empty", "ring"])
    thresholds = np.array([0.5, 0.5])
    preparation = SimpleNamespace(to_dict=dict)

    def __init__(self):
        self.seen = 0

    def warm(self):
        """Nothing to warm."""

    def predict(self, images, beam_centres=None, masks=None):
        masks = masks or [None] * len(images)
        return np.array([self.score(_masked(*pair)) for pair in zip(images, masks, strict=True)], dtype=np.float32)

    def score(self, image):
        self.seen += 1
        valid = np.isfinite(image) & (image >= 0)
        if not valid.any():
            raise FrameError("no valid pixel")
        return [float(not image[valid].any()), float(image.flat[0] > 0)]


class GradedModel(CountsModel):
    """The score of "ring" is the first pixel's counts, in percent."""

    name = "graded"
    version = "1.0"
    sha256 = "ab" * 32

    def score(self, image):
        empty, _ = super().score(image)
        return [empty, min(float(image.flat[0]) / 100, 1.0)]


class StrengthModel(CountsModel):
    """Estimates how strong the ring is: a tenth of the counts of the first pixel; no number from 999 on."""

    name = "strength"
    sha256 = "57" * 32
    taxonomy = CountsModel.taxonomy.grade(["ring"])

    def predict_all(self, images, beam_centres=None, masks=None):
        first = [float(image.flat[0]) for image in images]
        strengths = [[value / 10 if value < 999 else np.inf] for value in first]
        return self.predict(images, beam_centres, masks), np.array(strengths, np.float32)


class RaisingModel(CountsModel):
    """Raises on the frames whose first pixel is in `on`, or on all."""

    def __init__(self, on=None):
        super().__init__()
        self.on = on

    def score(self, image):
        if self.on is None or image.flat[0] in self.on:
            raise RuntimeError("the network is broken")
        return super().score(image)


class MarkingModel(CountsModel):
    """Leaves a mark in a directory, named after the process, each time that it is loaded in another one."""

    def __init__(self, marks):
        super().__init__()
        self.marks = marks

    def __reduce__(self):
        return _marked, (self.marks,)


def _marked(marks):
    tempfile.mkstemp(prefix=f"{os.getpid()}-", dir=marks)
    return MarkingModel(marks)


class HangingModel(CountsModel):
    """Hangs until it is released."""

    def __init__(self):
        super().__init__()
        self.released = threading.Event()
        self.started = threading.Event()

    def predict(self, images, beam_centres=None, masks=None):
        self.started.set()
        self.released.wait(60)
        return super().predict(images, beam_centres, masks)


def _masked(image, mask):
    return image if mask is None else np.where(mask, -1, image)
