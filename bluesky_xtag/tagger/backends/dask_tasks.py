"""What runs on the workers of a Dask cluster: a model is loaded once for each, and scores the frames that it is sent.

Frames and outcomes are plain values and arrays. What a worker unpickles is what its cluster trusts already: these
functions, and the model, from the process that sends the frames.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from ...frames import Frame, images_at
from ...model import Inputs, without_build_notes
from ..scoring import Outcome, score_prepared, tag_frame
from .wire import frame_id, of_outcome

__all__ = ["Question", "load", "packed_mask", "sees", "tag"]

Question = list[Any]
"""A frame: its identity, beam centre and mask (or its number), its address, what is prepared of it, its pixels."""

_KEPT = 4  # models of a worker
_models: dict[str, Any] = {}
_loading = threading.Lock()


def load(key: str, parts: bytes) -> tuple[str, str]:
    """Load a model, unless it is there already.

    Parameters
    ----------
    key : str
        By which it is asked for.
    parts : bytes
        The pickled model; empty if it should be there.

    Returns
    -------
    (str, str)
        What it runs on, and the version of this package here.

    Raises
    ------
    LookupError
        It is not there, and not sent.
    """
    with _loading:
        if key not in _models:
            if not parts:
                raise LookupError(f"the model {key} is not loaded")
            with without_build_notes():
                model = pickle.loads(parts)  # noqa: S301 - from the process that sends the frames
                model.warm()
            _models[key] = model
            for oldest in list(_models)[:-_KEPT]:
                del _models[oldest]
        return str(_models[key].device), version("bluesky_xtag")


def sees(path: str, inode: int) -> bool:
    """Return whether a file is here the one that another machine sees under the same name."""
    try:
        return os.stat(path).st_ino == inode
    except OSError:
        return False


def tag(key: str, questions: Sequence[Question], masks: Sequence[Any]) -> list[list[Any]]:
    """Return what came of frames, as `of_outcome` writes it, in their order."""
    if key not in _models:
        raise LookupError(f"the model {key} is not loaded")
    model = _models[key]
    unpacked = [_unpacked_mask(mask) for mask in masks]
    return [of_outcome(_tag(model, question, unpacked)) for question in questions]


def packed_mask(mask: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return a mask in an eighth of its size, and its shape."""
    return np.packbits(mask), mask.shape


def _unpacked_mask(packed: tuple[np.ndarray, tuple[int, ...]]) -> np.ndarray:
    bits, shape = packed
    return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool)


def _tag(model: Any, question: Question, masks: Sequence[np.ndarray]) -> Outcome:
    identity, centre, mask, address, prepared, pixels = question
    if prepared is not None:
        (outcome,) = score_prepared(model, [frame_id(identity)], [Inputs(**prepared)])
        return outcome
    source: Any = _Pixels(*pixels) if address is None else images_at(address)
    centre = None if centre is None else (centre[0], centre[1])
    return tag_frame(model, Frame(frame_id(identity), centre, masks[mask] if isinstance(mask, int) else mask, source))


@dataclass(frozen=True)
class _Pixels:
    """An image that was read already: its pixels, and which of them its own mask hides."""

    image: np.ndarray
    mask: np.ndarray | None
    size: None = None

    def read(self, index: int) -> np.ndarray:
        """Return it."""
        return self.image if self.mask is None else np.ma.MaskedArray(self.image, self.mask)
