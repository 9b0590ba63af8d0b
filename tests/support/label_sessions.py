"""Sessions in which frames are labelled: files to label, and a person who presses keys."""

import h5py
import numpy as np
import tifffile

from bluesky_xtag.frames import each_frame
from bluesky_xtag.review import label_files
from support.models import GradedModel


def frame(first, size=(12, 10)):
    """A frame on which `GradedModel` sees a ring with `first` percent."""
    image = np.ones(size, np.int32)
    image.flat[0] = first
    return image


def write_scan(path, firsts):
    """An HDF5 file with one frame for each number."""
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.array([frame(first) for first in firsts])
    return path


def write_tiff(path, first):
    tifffile.imwrite(path, frame(first))
    return path


class Person:
    """Presses keys, in lists of one for each frame, and notes what was shown before each list; then stops."""

    def __init__(self, *keys):
        self.keys = keys
        self.seen = []

    def __call__(self, session):
        for keys in self.keys:
            if session.finished:
                return
            self.seen.append(session.page)
            for key in keys:
                session.press(key)
        self.seen.append(session.page)
        if not session.finished:
            session.press("escape")

    @property
    def firsts(self):
        """The first pixels of the frames that were shown."""
        return [int(page.pixels.flat[0]) for page in self.seen if page.pixels is not None]


def label(files, out, *keys, **options):
    """Label files as a person does who presses these keys, and return that person and what came of it."""
    person = Person(*keys)
    options = {"model": GradedModel(), "order": "files", "by": "ab"} | options
    return person, label_files(files, out, show=person, **options)


def read(path):
    """The labelled frames of a file by their names."""
    return {each.name: each for each in each_frame(path)}
