"""Finds the beam centre that the documents carry for an image key."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..errors import XTagValueError

__all__ = ["BeamCentre", "BeamCentreRule", "check_beam_centre", "find_beam_centre"]

BeamCentre = tuple[float, float]

_X_KEY = re.compile(r"(?:(?P<prefix>.+?)[_.-])??(?:cam[_.-])?beam_?cent(?:er|re)_x", re.IGNORECASE)
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
    """

    keys: tuple[str, str] | None = None
    constant: BeamCentre | None = None

    def of(self, data: Mapping[str, Any]) -> BeamCentre | None:
        """Return (column, row) for an event's data, None if unknown."""
        return (self.keys and _read_centre(data, self.keys)) or self.constant


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
    counts as unknown.

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
    in_event = [name for name in descriptor["data_keys"] if owners.get(name) not in foreign]
    settings = [config["data"] for owner, config in descriptor.get("configuration", {}).items() if owner not in foreign]
    constants = (_read_centre(data, pair) for data in [*settings, start] for pair in pairs(data))
    return BeamCentreRule(
        keys=next((pair for pair in pairs(in_event) if set(pair) <= set(in_event)), None),
        constant=next((centre for centre in constants if centre), None),
    )


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


def _read_centre(data: Mapping[str, Any], keys: tuple[str, str]) -> BeamCentre | None:
    try:
        x, y = (float(np.asarray(data[key]).item()) for key in keys)
    except (KeyError, TypeError, ValueError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) and (x or y) else None
