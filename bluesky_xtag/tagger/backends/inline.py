"""Inference in this process, on the tagger's own thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...model import TagModel

__all__ = ["InlineBackend"]


class InlineBackend:
    """Runs the model in this process; the preparation and the network let other threads run meanwhile.

    Parameters
    ----------
    model : TagModel
        The model; it is warmed here, so that the first frame need not wait.
    """

    def __init__(self, model: TagModel) -> None:
        self.model = model
        model.warm()

    def score(
        self,
        images: Sequence[np.ndarray],
        beam_centres: Sequence[tuple[float, float] | None],
        masks: Sequence[np.ndarray | None],
    ) -> np.ndarray:
        """Return scores, shape (n, tags), of n raw images (rows, columns)."""
        return self.model.predict(images, beam_centres, masks)

    def close(self) -> None:
        """Nothing to free: the model goes with its last reference."""
