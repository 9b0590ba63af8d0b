"""The errors of the package. Each one is also the built-in error that a caller would expect.

::

    XTagError
    ├── XTagValueError  (ValueError)   an argument or a file does not fit
    │   └── ConditionError             a condition on tags is not understood
    ├── ModelError      (ValueError)   a model directory is damaged, foreign or does not fit
    ├── NoTagsError     (KeyError)     a stored run has no stream "tags"
    ├── CatalogError    (OSError)      a catalogue cannot be reached, or refuses
    └── FrameError      (ValueError)   the pixels of a frame cannot be used
        └── FrameNotReady (OSError)    the pixels cannot be read yet: the file may still be on its way
"""

__all__ = [
    "CatalogError",
    "ConditionError",
    "FrameError",
    "FrameNotReady",
    "ModelError",
    "NoTagsError",
    "XTagError",
    "XTagValueError",
]


class XTagError(Exception):
    """Base class of every error raised by bluesky_xtag."""


class XTagValueError(XTagError, ValueError):
    """An argument or an input file does not fit; the message names it and the remedy."""


class ConditionError(XTagValueError):
    """A condition on tags is not understood; the message shows the place."""


class ModelError(XTagError, ValueError):
    """A model directory is damaged, foreign, or does not fit this version of the package."""


class NoTagsError(XTagError, KeyError):
    """A stored run has no stream "tags"."""

    __str__ = Exception.__str__  # KeyError's would show the message in quotes


class CatalogError(XTagError, OSError):
    """A catalogue cannot be reached, refuses what was asked, or cannot store it."""


class FrameError(XTagError, ValueError):
    """The pixels of a frame cannot be used: foreign file, wrong shape, nothing valid in it."""


class FrameNotReady(FrameError, OSError):
    """The pixels of a frame cannot be read yet; trying again before the deadline may help."""
