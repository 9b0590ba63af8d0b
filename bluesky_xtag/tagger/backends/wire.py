"""Frames and outcomes as plain values, which msgpack writes: nothing that came from outside is ever unpickled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack
import numpy as np

from ...documents import FrameId, Tagging
from ..scoring import NotReady, Outcome

__all__ = ["as_array", "frame_id", "of_array", "of_frame_id", "of_outcome", "outcome", "pack", "unpack"]


def of_frame_id(identity: FrameId) -> list[Any]:
    """Return the identity of a frame as plain values."""
    return [
        identity.run,
        identity.stream,
        identity.key,
        int(identity.seq_num),
        int(identity.index),
        identity.event,
    ]


def frame_id(values: Sequence[Any]) -> FrameId:
    """Return the identity that `of_frame_id` wrote."""
    return FrameId(*values)


def of_outcome(outcome: Outcome) -> list[Any]:
    """Return what came of a frame as plain values, without the frame's identity."""
    if isinstance(outcome, NotReady):
        return [outcome.reason, outcome.held]
    scores, strengths = ([float(number) for number in numbers] for numbers in (outcome.scores, outcome.strengths))
    return [outcome.status, scores, list(outcome.tags), float(outcome.latency), outcome.reason, strengths]


def outcome(identity: FrameId, values: Sequence[Any]) -> Outcome:
    """Return the outcome that `of_outcome` wrote, of the frame with this identity."""
    if len(values) == 2:
        return NotReady(identity, *values)
    status, scores, tags, latency, reason, strengths = values
    return Tagging(identity, status, tuple(scores), tuple(tags), latency, reason, strengths=tuple(strengths))


def of_array(array: np.ndarray) -> dict[str, Any]:
    """Return an array as plain values."""
    return {"bytes": array.tobytes(), "dtype": array.dtype.str, "shape": list(array.shape)}


def as_array(values: dict[str, Any]) -> np.ndarray:
    """Return the array that `of_array` wrote."""
    return np.frombuffer(values["bytes"], np.dtype(values["dtype"])).reshape(values["shape"])


def pack(values: Any) -> bytes:
    """Return plain values as bytes."""
    packed = msgpack.packb(values)
    assert isinstance(packed, bytes)
    return packed


def unpack(packed: bytes) -> Any:
    """Return the values of `pack`."""
    return msgpack.unpackb(packed)
