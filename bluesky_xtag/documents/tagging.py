"""The outcome for one frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["STATUSES", "Status", "Tagging"]

Status = Literal["ok", "late", "dropped", "unreadable", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Tagging:
    """The outcome for one frame.

    Parameters
    ----------
    event : str
        Uid of the event or stream_datum that brought the frame.
    key : str
        Data key of the frame: two cameras may be read in one event.
    seq_num : int
        Sequence number of that event, from 1.
    index : int
        Which image within that event, from 0.
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

    event: str
    key: str
    seq_num: int
    index: int
    status: Status
    scores: tuple[float, ...] = ()
    tags: tuple[str, ...] = ()
    latency: float = math.nan
    reason: str = ""
