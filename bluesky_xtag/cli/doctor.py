"""Loads a profile as IPython would, and looks at its detectors: `xtag doctor`."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from ..errors import XTagError, XTagValueError
from ..tagger import Tagger, exposure_of

__all__ = ["examine"]


def examine(profile: Path) -> list[str]:
    """Load a profile, print what its tagger says of each detector, and return what has to change.

    Parameters
    ----------
    profile : Path
        A profile directory of IPython, or its directory of startup files.

    Raises
    ------
    XTagValueError
        There are no startup files, or they install no tagger.
    XTagError
        A startup file fails.
    """
    startup = profile / "startup" if (profile / "startup").is_dir() else profile
    files = sorted(startup.glob("*.py"))
    if not files:
        raise XTagValueError(f"{profile} has no startup files: name a profile directory of IPython")
    names: dict[str, Any] = {}
    for file in files:
        try:
            names |= runpy.run_path(str(file), init_globals=names)
        except Exception as error:
            raise XTagError(f"{file} fails ({type(error).__name__}: {error})") from error
    tagger = next((value for value in names.values() if isinstance(value, Tagger)), None)
    if tagger is None:
        raise XTagValueError(
            f"{startup} installs no tagger: add `xtag = install(RE)` to a startup file, as docs/how-to/install.md shows"
        )
    detectors = {id(value): value for value in names.values() if _is_detector(value)}
    if not detectors:
        return [f"{startup} has no detector"]
    changes = []
    for detector in detectors.values():
        found = tagger.check(detector)
        changes += [f"{detector.name}: {each.about}" for each in found if each.kind == "change"]
    return changes


def _is_detector(value: Any) -> bool:
    """Tell whether a value is a device that may take images: it has an exposure, or reads an array."""
    device = all(callable(getattr(value, method, None)) for method in ("read", "describe", "trigger"))
    if not device or isinstance(value, Tagger | type):
        return False
    if exposure_of(value) is not None:
        return True
    try:
        return any(key.get("dtype") == "array" for key in value.describe().values())
    except Exception:  # noqa: BLE001 - of ophyd-async, or not connected
        return False
