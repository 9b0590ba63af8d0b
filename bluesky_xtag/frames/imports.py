"""Imports what the frames of a stream need before the first of them comes, and off the RunEngine's thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..model import unbroken
from .assembler import READ_HERE
from .data_keys import is_image
from .files import format_of_mimetype, import_for, import_handler

__all__ = ["Imports"]

logger = logging.getLogger("bluesky_xtag")


class Imports:
    """Looks at documents, and imports once what reading their images needs, each time in a thread of its own.

    Parameters
    ----------
    elsewhere : bool
        Whether another process reads the files of known formats: nothing is imported for them, nor on a guess.
    """

    def __init__(self, elsewhere: bool = False) -> None:
        self._elsewhere = elsewhere
        self._begun: set[tuple[str, str | None]] = set()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document; never waits and never raises."""
        try:
            match name:
                case "descriptor" if not self._elsewhere:
                    keys = doc["data_keys"].values()
                    if any(str(key.get("external", "")).startswith("STREAM") and is_image(key) for key in keys):
                        self._begin("stream", None, import_for)
                case "stream_resource" if not (self._elsewhere and _has_format(doc)):
                    self._begin("stream", doc.get("mimetype"), import_for)
                case "resource" if doc["spec"] not in READ_HERE:
                    self._begin("resource", doc["spec"], import_handler)
        except Exception:
            logger.debug("nothing is imported for a %s document", name, exc_info=True)

    def _begin(self, kind: str, what: str | None, action: Callable[[Any], None]) -> None:
        if (kind, what) in self._begun:
            return
        self._begun.add((kind, what))
        try:
            threading.Thread(target=_do, args=(action, what), name="xtag-imports", daemon=True).start()
        except RuntimeError:  # the system gives no more threads: the first frame imports it
            logger.debug("no thread can be started to import what %s needs", what or kind)


def _has_format(resource: Mapping[str, Any]) -> bool:
    if "uri" not in resource:  # as ophyd-async wrote it before 0.4: HDF5
        return True
    return bool(resource.get("mimetype")) and format_of_mimetype(resource["mimetype"]) is not None


def _do(action: Callable[[Any], None], what: str | None) -> None:
    try:
        with unbroken():
            action(what)
    except Exception:
        logger.debug("what %s needs cannot be imported", what or "a stream", exc_info=True)
