"""The identity of a frame, and the outcome of tagging it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

__all__ = ["STATUSES", "FrameId", "Status", "Tagging"]

Status = Literal["ok", "late", "dropped", "unreadable", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class FrameId:
    """The identity of a frame. It stays the same when the RunEngine rewinds and takes the frame again.

    Parameters
    ----------
    run : str
        Uid of the run, or the path of the file if the frame has no run.
    stream : str
        Name of the stream; "" if it is not known, as in rows that were read back.
    key : str
        Data key of the image: two cameras may be read in one event.
    seq_num : int
        Sequence number of the event, from 1.
    index : int
        Which image within that event, from 0.
    event : str
        Uid of the event, or of the stream_datum if images come without events. Comparisons ignore it, because a point
        that is taken again has a new uid.
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
    device : str
        What scored the frame, as in `ServedModel.device`; empty unless the status is "ok".
    strengths : tuple of float
        Log10 of the estimated signal-to-noise ratio of the component of each graded tag, in taxonomy order; empty
        unless the status is "ok", and where the model has none.
    """

    frame: FrameId
    status: Status
    scores: tuple[float, ...] = ()
    tags: tuple[str, ...] = ()
    latency: float = math.nan
    reason: str = ""
    device: str = ""
    strengths: tuple[float, ...] = ()
