"""Which frames are taken, and what their user knows of them: one object behind every way to tag frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..documents import SHADOW, STREAM
from ..errors import XTagValueError
from .beam_centre import BeamCentre, check_beam_centre
from .data_keys import is_image
from .masks import Mask, load_mask

__all__ = ["FrameSelection"]

# Streams whose images are of the detector, not of the sample: dark, darks, flat_field, white_frames ...
_LEFT_ALONE = re.compile(
    r"baseline|(darks?|flats?|whites?|brights?|backgrounds?|bkg|blanks?)([_-]?(fields?|frames?|images?|currents?|noise))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False, init=False)
class FrameSelection:
    """Which frames are taken, and what their user knows of them; checked, and masks read, when it is made.

    Parameters
    ----------
    key : str or iterable of str, optional
        Data keys of the images. None takes all that look like images (`is_image`).
    streams : str or iterable of str, optional
        Names of the streams. None takes all but "baseline" and those of darks, flat fields and
        backgrounds, such as "dark", "darks" and "flat_field". The stream of the tags is never taken.
    beam_centre : (float, float) or (str, str), optional
        A fixed (column, row) in pixels, or the names of two keys in the event, the configuration or the start
        document. None searches there for areaDetector's names, see `find_beam_centre`.
    mask : array, str or Path, or a mapping of these, optional
        Pixels that must not be used: (rows, columns), true where masked, or a file, see `load_mask`; or one for each
        data key.

    Raises
    ------
    XTagValueError
        An argument does not fit, or a mask cannot be read.
    """

    key: frozenset[str] | None
    streams: frozenset[str] | None
    beam_centre: BeamCentre | tuple[str, str] | None
    mask: np.ndarray | Mapping[str, np.ndarray] | None

    def __init__(
        self,
        key: str | Iterable[str] | None = None,
        streams: str | Iterable[str] | None = None,
        beam_centre: BeamCentre | tuple[str, str] | None = None,
        mask: Mask | Mapping[str, Mask] | None = None,
    ) -> None:
        checked = {
            "key": _check_names("key", key),
            "streams": _check_names("streams", streams),
            "beam_centre": check_beam_centre(beam_centre),
            "mask": _load_masks(mask),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def takes_stream(self, name: str) -> bool:
        """Tell whether the frames of a stream are wanted."""
        if name in (STREAM, SHADOW):
            return False
        return not _LEFT_ALONE.fullmatch(name) if self.streams is None else name in self.streams

    def choose_keys(self, data_keys: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return the data keys of a descriptor whose images are wanted, in their order."""
        if self.key is None:
            return [key for key, data_key in data_keys.items() if is_image(data_key)]
        return [key for key in data_keys if key in self.key]

    def mask_of(self, key: str) -> np.ndarray | None:
        """Return the mask of a data key, None if it has none."""
        return self.mask.get(key) if isinstance(self.mask, Mapping) else self.mask

    @property
    def fixed_centre(self) -> BeamCentre | None:
        """The beam centre of images that come without documents, None if it is to be estimated.

        Raises
        ------
        XTagValueError
            Names of keys were given, of which such images have none.
        """
        if self.beam_centre is None:
            return None
        x, y = self.beam_centre
        if isinstance(x, str) or isinstance(y, str):
            raise XTagValueError(f"beam_centre={self.beam_centre!r}: files have no such keys, so give (x, y) in pixels")
        return x, y


def _check_names(argument: str, names: str | Iterable[str] | None) -> frozenset[str] | None:
    if names is None:
        return None
    listed = [names] if isinstance(names, str) else list(names) if isinstance(names, Iterable) else [names]
    if not all(isinstance(name, str) for name in listed):
        raise XTagValueError(f"{argument}={names!r}: give a name or several names")
    return frozenset(listed)


def _load_masks(mask: Mask | Mapping[str, Mask] | None) -> np.ndarray | dict[str, np.ndarray] | None:
    if mask is None:
        return None
    return {key: load_mask(one) for key, one in mask.items()} if isinstance(mask, Mapping) else load_mask(mask)
