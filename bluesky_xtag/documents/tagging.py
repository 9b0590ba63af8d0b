"""Which frame, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

__all__ = ["STATUSES", "FrameId", "Status", "Tagging"]

Status = Literal["ok", "late", "dropped", "unreadable", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class FrameId:
    """Which frame is meant; the same after the RunEngine has rewound and taken it again.

    Parameters
    ----------
    run : str
        Uid of the run; the path of the file where frames come without a run.
    stream : str
        Name of the stream; "" where it is not told, as in rows that were read back.
    key : str
        Data key of the image: two cameras may be read in one event.
    seq_num : int
        Sequence number of the event, from 1.
    index : int
        Which image within that event, from 0.
    event : str
        Uid of the event, or of the stream_datum where images come without events. It is left out of comparisons: a
        point that is taken again has a new one.
    """

    run: str
    stream: str
    key: str
    seq_num: int
    index: int
    event: str = field(default="", compare=False)


@dataclass(frozen=True)
class Tagging:
    """The outcome for one frame.

    Parameters
    ----------
    frame : FrameId
        Which frame.
    status : str
        One of `STATUSES`.
    scores : tuple of float
        One probability per tag, in taxonomy order; empty unless the status is "ok".
    tags : tuple of str
        The accepted tags in taxonomy order.
    latency : float
        Seconds from the arrival of the document to the outcome.
    reason : str
        Why there are no scores; empty when the status is "ok".
    """

    frame: FrameId
    status: Status
    scores: tuple[float, ...] = ()
    tags: tuple[str, ...] = ()
    latency: float = math.nan
    reason: str = ""
