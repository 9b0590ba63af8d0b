"""Files that are read by a handler of another package, found in the entry-point group ``databroker.handlers``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..arrays import layout_of, pick_image, shape_of
from .hdf5_format import refuse_linked_pipes
from .hdf5_held import check_held, without_hint

__all__ = ["HandlerImages", "import_handler", "warn_of_surplus"]

logger = logging.getLogger("bluesky_xtag")


@cache
def _find_handlers() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="databroker.handlers")}


def import_handler(spec: str) -> None:
    """Import the handler of a resource spec, if there is one."""
    if spec in _find_handlers():
        with suppress(ImportError, AttributeError):  # which is said for each frame that needs it
            _find_handlers()[spec].load()


@lru_cache(maxsize=256)  # so that it is said once for each resource, not for each event
def warn_of_surplus(path: str, announced: int, found: int) -> None:
    """Say that a file has more images of each event than were announced."""
    if found <= announced:
        return
    logger.warning(
        "Only the first %d of the %d images of each event in %s are used: correct the shape of the data key",
        announced,
        found,
        path,
    )


@dataclass(eq=False, slots=True)
class HandlerImages:
    """Images of a datum that a handler of the entry-point group ``databroker.handlers`` reads.

    A new handler is made for each attempt, as handlers keep the state of the file at their first look; what it returns
    is kept while other images of the same event may want it.
    """

    spec: str
    path: str
    resource_kwargs: Mapping[str, Any]
    datum_kwargs: Mapping[str, Any]
    count: int
    size: tuple[int, int] | None
    _payload: Any = field(default=None, init=False)

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        payload = self._load() if self._payload is None else self._payload
        if self.count > 1:
            self._payload = payload
        shape = shape_of(payload)
        found = layout_of(shape).count if len(shape) > 2 else 1
        warn_of_surplus(self.path, self.count, found)
        if index >= found:
            self._payload = None
            raise FrameNotReady(f"{self.path} holds {found} images of this event; number {index} is wanted")
        return self._attempt(pick_image, payload, index)

    def _load(self) -> Any:
        if self.spec not in _find_handlers():
            raise FrameError(
                f"no handler for the resource spec {self.spec!r} of {self.path}: install the package that registers "
                "it in the entry-point group 'databroker.handlers'"
            )
        refuse_linked_pipes(self.path)
        try:
            import hdf5plugin  # noqa: F401 - handlers of HDF5 files rely on somebody having registered the filters

            handler = _find_handlers()[self.spec].load()
        except (ImportError, AttributeError) as error:
            raise FrameError(f"the handler of the resource spec {self.spec!r} does not load: {error}") from error
        return self._attempt(lambda: handler(self.path, **self.resource_kwargs)(**self.datum_kwargs))

    def _attempt(self, action: Callable[..., Any], *args: Any) -> Any:
        try:
            return action(*args)
        except (ImportError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise FrameError(f"the handler of {self.spec!r} cannot read {self.path}: {reason}") from error
        except Exception as error:  # noqa: BLE001 - handlers raise anything while a file is incomplete
            check_held(self.path)
            reason = f"{type(error).__name__}: {without_hint(error)}"
            raise FrameNotReady(f"the handler of {self.spec!r} cannot read {self.path} yet: {reason}") from None
