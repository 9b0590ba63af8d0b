"""What the network saw of the newest frames, kept for a second model that prepares frames in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..scoring import BATCH

if TYPE_CHECKING:
    import numpy as np

    from ...documents import FrameId
    from ...model import Inputs

__all__ = ["forget_oldest", "take_newest"]


def forget_oldest(kept: dict[FrameId, Inputs]) -> None:
    """Keep the newest frames only, as many as are tagged together."""
    for oldest in list(kept)[:-BATCH]:
        del kept[oldest]


def take_newest(kept: dict[FrameId, Inputs], most: int) -> dict[FrameId, dict[str, np.ndarray]]:
    """Return the inputs of the newest frames, at most so many, as arrays by name; and forget all."""
    newest = {frame: dict(vars(kept[frame])) for frame in list(kept)[-most:]} if most > 0 else {}
    kept.clear()
    return newest
