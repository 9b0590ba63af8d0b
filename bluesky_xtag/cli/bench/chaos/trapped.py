"""A model that breaks its process over frames that say so, and scores all others."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....model import ModelCard, load_model

__all__ = ["HANG", "HOARD", "STOP", "Trapped", "with_trap"]

HANG, STOP, HOARD = 900_001, 900_002, 900_003
_LONG = 3600.0  # seconds
_CHUNK = 2**27  # bytes


class Trapped:
    """A model that scores as another one does, unless the first pixel of a frame is a trap.

    Parameters
    ----------
    model : str, Path or a model
        The other one; a directory is loaded where frames are scored.
    """

    def __init__(self, model: Any) -> None:
        self._given = model
        self._model: Any = None
        card = ModelCard.load(model) if isinstance(model, str | Path) else model
        self.name, self.version, self.sha256 = card.name, card.version, card.sha256
        self.taxonomy, self.thresholds, self.preparation = card.taxonomy, card.thresholds, card.preparation
        self.device = "CPU"

    def warm(self) -> None:
        """Load the other model."""
        self._model = load_model(self._given)
        self.device = self._model.device
        self._model.warm()

    def predict(
        self, images: Sequence[np.ndarray], beam_centres: Sequence[Any] | None = None, masks: Any = None
    ) -> np.ndarray:
        """Return the other model's scores, or walk into the trap."""
        for image in images:
            _spring(int(image.flat[0]))
        return self._model.predict(images, beam_centres, masks)


def with_trap(image: np.ndarray, trap: int) -> np.ndarray:
    """Return an image whose first pixel is a trap."""
    trapped = image.copy()
    trapped.flat[0] = trap
    return trapped


def _spring(first: int) -> None:
    if first == HANG:
        time.sleep(_LONG)
    elif first == STOP:  # as a read does from a mount that does not answer: nothing of the process goes on
        os.kill(os.getpid(), signal.SIGSTOP)
    elif first == HOARD:
        held = []
        while True:
            held.append(np.ones(_CHUNK // 8))
            time.sleep(0.01)
