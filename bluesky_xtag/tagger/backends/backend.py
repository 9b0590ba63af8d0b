"""What a tagger needs of a place where inference runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from ...model import TagModel

__all__ = ["Backend"]


class Backend(Protocol):
    """A place where inference runs.

    The tagger calls `score` from one thread of its own, never from the RunEngine's, and survives whatever it raises.
    """

    @property
    def model(self) -> TagModel:
        """The model whose scores `score` returns."""
        ...

    def score(
        self,
        images: Sequence[np.ndarray],
        beam_centres: Sequence[tuple[float, float] | None],
        masks: Sequence[np.ndarray | None],
    ) -> np.ndarray:
        """Return scores, shape (n, tags), of n raw images (rows, columns).

        Centres are (x, y) in pixels, masks (rows, columns) and true where pixels must not be used.
        """
        ...

    def close(self) -> None:
        """Free what the backend holds; called once, at the end."""
        ...
