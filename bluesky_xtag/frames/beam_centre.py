"""Finds the beam centre that the documents carry for an image key."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..errors import XTagValueError

__all__ = ["BeamCentre", "BeamCentreRule", "check_beam_centre", "find_beam_centre"]

logger = logging.getLogger("bluesky_xtag")

BeamCentre = tuple[float, float]

_X_KEY = re.compile(r"(?:(?P<prefix>.+?)[_.-])??(?:cam[_.-])?beam_?cent(?:er|re)_x", re.IGNORECASE)
_PIXEL_SIZE = re.compile(r"(?:.*?[_.-])??(?:(?P<before>[xy])_)?pixel_?size(?:_?(?P<axis>[xy]))?", re.IGNORECASE)
_PIXEL_UNITS = frozenset({"", "pixel", "pixels", "px", "pix"})
_METRES = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    "cm": 1e-2,
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e-3),
    **dict.fromkeys(("um", "micrometer", "micrometers", "micrometre", "micrometres"), 1e-6),
    "\u00b5m": 1e-6,
    "\u03bcm": 1e-6,
    "micron": 1e-6,
    "microns": 1e-6,
    "nm": 1e-9,
}
_SEPARATOR = re.compile(r"[_.-]")


@dataclass(frozen=True)
class BeamCentreRule:
    """Where the beam centre of an image key comes from.

    Parameters
    ----------
    keys : (str, str) or None
        Data keys of x and y in the event itself.
    constant : (float, float) or None
        Column and row, where the event does not tell.
    scale : (float, float)
        Pixels a unit of the data keys.
    """

    keys: tuple[str, str] | None = None
    constant: BeamCentre | None = None
    scale: tuple[float, float] = (1.0, 1.0)

    def of(self, data: Mapping[str, Any]) -> BeamCentre | None:
        """Return (column, row) for an event's data, None if unknown."""
        return (self.keys and _read_centre(data, self.keys, self.scale)) or self.constant


def check_beam_centre(wanted: Any) -> BeamCentre | tuple[str, str] | None:
    """Return a fixed (x, y) as floats or a pair of key names; XTagValueError for anything else."""
    if wanted is None:
        return None
    pair = () if isinstance(wanted, str) or not isinstance(wanted, Iterable) else tuple(wanted)
    if len(pair) == 2 and all(isinstance(part, str) for part in pair):
        return pair
    try:
        x, y = (float(part) for part in pair)
    except (TypeError, ValueError):
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise XTagValueError(f"beam_centre={wanted!r}: give (x, y) = (column, row) in pixels, or the names of two keys")
    return (x, y)


def find_beam_centre(
    wanted: BeamCentre | tuple[str, str] | None,
    key: str,
    image_keys: Iterable[str],
    descriptor: Mapping[str, Any],
    start: Mapping[str, Any],
) -> BeamCentreRule:
    """Decide where the beam centre of an image key comes from.

    The event's data goes before the configuration in the descriptor, and that before the start document. A pair of keys
    such as ``pilatus_cam_beam_center_x`` and ``..._y`` belongs to the image key with which it shares the longest
    prefix; ``beam_center_x`` without a prefix belongs to all. A pair of zeros means "not set" in areaDetector and
    counts as unknown. A pair whose data keys have a unit of length is converted with the pixel size that is next to it,
    such as ``pilatus_cam_pixel_size`` or ``x_pixel_size``; without one it is said, and counts as unknown.

    Parameters
    ----------
    wanted : (float, float), (str, str) or None
        A fixed centre, the names of two keys, or None to search.
    key, image_keys : str, iterable of str
        The image key, and all image keys of the descriptor.
    descriptor, start : dict
        The documents.
    """
    if wanted and not isinstance(wanted[0], str):
        return BeamCentreRule(constant=cast(BeamCentre, wanted))
    images = set(image_keys)

    def pairs(names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield the pairs of keys that may speak of the image key, the best first."""
        if wanted:
            yield cast("tuple[str, str]", wanted)
        else:
            yield from _find_pairs(set(names), key, images)

    owners = {name: owner for owner, names in descriptor.get("object_keys", {}).items() for name in names}
    # What another detector says of itself does not concern this one, unless the user named it.
    foreign = set() if wanted else {owners[image] for image in images if image in owners} - {owners.get(key)}
    in_event = {name: key for name, key in descriptor["data_keys"].items() if owners.get(name) not in foreign}
    configurations = [each for owner, each in descriptor.get("configuration", {}).items() if owner not in foreign]
    settings = [(each["data"], each.get("data_keys") or {}) for each in configurations]
    everything = [*settings, (start, {})]
    in_pixels = _Pixels(everything)
    for pair in pairs(in_event):
        if set(pair) <= set(in_event) and (scale := in_pixels.scale(pair, in_event)):
            keys, factors = pair, scale
            break
    else:
        keys, factors = None, (1.0, 1.0)
    constants = (
        _read_centre(data, pair, scale)
        for data, about in everything
        for pair in pairs(data)
        if set(pair) <= set(data) and (scale := in_pixels.scale(pair, about))
    )
    return BeamCentreRule(keys, next((centre for centre in constants if centre), None), factors)


class _Pixels:
    """How many pixels a unit of a beam centre is, from the pixel sizes that documents tell."""

    def __init__(self, settings: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        self._settings = settings

    def scale(self, pair: tuple[str, str], data_keys: Mapping[str, Any]) -> tuple[float, float] | None:
        """Return pixels a unit for x and y; None if that is not known, which is said."""
        found = []
        for axis, name in zip("xy", pair, strict=True):
            unit = str((data_keys.get(name) or {}).get("units") or "").strip().lower()
            if unit in _PIXEL_UNITS:
                found.append(1.0)
            elif unit in _METRES and (size := self._pixel_size(axis)):
                found.append(_METRES[unit] / size)
            else:
                without = "" if unit not in _METRES else ", and no pixel size is told"
                logger.warning("The beam centre %s, %s has the unit %r%s: it is estimated", *pair, unit, without)
                return None
        return found[0], found[1]

    def _pixel_size(self, axis: str) -> float | None:
        """Return the size of a pixel in metres."""
        for data, about in self._settings:
            for name, value in data.items():
                if (
                    not (match := _PIXEL_SIZE.fullmatch(name))
                    or (match["axis"] or match["before"] or axis).lower() != axis
                ):
                    continue
                try:
                    size = float(np.asarray(value).item())
                except (TypeError, ValueError):
                    continue
                unit = str((about.get(name) or {}).get("units") or "").strip().lower()
                # Without a unit: pixels of detectors have 1 um to 1 mm.
                factor = _METRES.get(unit) or (1.0 if size < 1e-3 else 1e-3 if size < 1 else 1e-6)
                if size > 0 and math.isfinite(size):
                    return size * factor
        return None


def _find_pairs(names: set[str], key: str, images: set[str]) -> list[tuple[str, str]]:
    found = []
    for x_name in names:
        match = _X_KEY.fullmatch(x_name)
        y_name = x_name[:-1] + ("y" if x_name.endswith("x") else "Y")
        if match and y_name in names:
            prefix = match["prefix"] or ""
            shared = _count_shared_words(prefix, key)
            if not prefix or shared and shared == max(_count_shared_words(prefix, image) for image in images | {key}):
                found.append((-shared, len(prefix), x_name, y_name))
    return [(x_name, y_name) for *_, x_name, y_name in sorted(found)]


def _count_shared_words(prefix: str, key: str) -> int:
    """Return how many leading words two names share."""
    return len(os.path.commonprefix([_SEPARATOR.split(prefix), _SEPARATOR.split(key)]))


def _read_centre(
    data: Mapping[str, Any], keys: tuple[str, str], scale: tuple[float, float] = (1.0, 1.0)
) -> BeamCentre | None:
    try:
        x, y = (float(np.asarray(data[key]).item()) * factor for key, factor in zip(keys, scale, strict=True))
    except (KeyError, TypeError, ValueError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) and (x or y) else None
