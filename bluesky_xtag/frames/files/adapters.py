"""Files that Bluesky's consolidators find and Tiled's adapters read."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ...errors import FrameError, FrameNotReady
from ..arrays import pick_image

__all__ = ["ConsolidatedImages"]


@dataclass(frozen=True, eq=False, slots=True)
class ConsolidatedImages:
    """Images of one index of a stream_datum in files that Bluesky's consolidators know: TIFF, JPEG, NPY sequences."""

    stream_resource: Mapping[str, Any]
    descriptor: Mapping[str, Any]
    position: int
    size: tuple[int, int] | None

    def read(self, index: int) -> np.ndarray:
        """Return image `index`."""
        uris, adapter = self._files()
        try:
            return pick_image(adapter.from_uris(*uris).read(), index)
        except Exception as error:  # noqa: BLE001 - adapters raise anything while a file is incomplete
            raise FrameNotReady(f"{' '.join(uris)} cannot be read yet: {type(error).__name__}: {error}") from error

    def _files(self) -> tuple[list[str], Any]:
        """Return the URIs of the files of this index, and the adapter that reads them."""
        kind = self.stream_resource["mimetype"]
        try:
            from bluesky.consolidators import consolidator_factory
            from tiled.mimetypes import DEFAULT_ADAPTERS_BY_MIMETYPE
        except ImportError as error:
            raise FrameError(f"{kind} is read with Tiled: pip install 'bluesky_xtag[tiled]'") from error
        indices: Any = {"start": self.position, "stop": self.position + 1}
        try:
            # A copy, for some consolidators change the document.
            consolidator = consolidator_factory(copy.deepcopy(self.stream_resource), self.descriptor)
            consolidator.consume_stream_datum(cast(Any, {"indices": indices, "seq_nums": indices}))
            return [asset.data_uri for asset in consolidator.assets], DEFAULT_ADAPTERS_BY_MIMETYPE[kind]
        except Exception as error:  # noqa: BLE001 - whatever they raise, they will raise it again
            raise FrameError(f"Bluesky's consolidators cannot read {kind}: {type(error).__name__}: {error}") from error
