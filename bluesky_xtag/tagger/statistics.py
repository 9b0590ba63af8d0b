"""Counts and times of a tagger."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Sequence

import numpy as np

from ..documents import STATUSES, Tagging

__all__ = ["Statistics", "percentile"]

_KEPT = 100_000  # enough for percentiles, bounded for sessions that last for weeks


class Statistics:
    """Counts and times of a tagger since it was made.

    Attributes
    ----------
    frames : int
        Frames taken over; those that the RunEngine took again after a pause count once.
    unwritten : int
        Frames whose run ended before their row could be written.
    unread : int
        Frames whose file could not be read while their run was taken.
    tagged_later : int
        Those of them that were tagged after the run.
    write_errors : int
        Rows or pages of rows that failed on their way out, such as at a subscriber that cannot take them.
    callback_errors : int
        Documents that could not be used.
    latencies : deque of float
        Seconds from the arrival of the document to the scores, of the newest rows with scores.
    callback_seconds : deque of float
        Seconds spent in the document callback, of the newest documents.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.unwritten = 0
        self.unread = 0
        self.tagged_later = 0
        self.write_errors = 0
        self.callback_errors = 0
        self.latencies: deque[float] = deque(maxlen=_KEPT)
        self.callback_seconds: deque[float] = deque(maxlen=_KEPT)
        self._rows: Counter[str] = Counter()

    def add(self, taggings: Sequence[Tagging]) -> None:
        """Count rows."""
        self._rows.update(tagging.status for tagging in taggings)
        self.latencies.extend(tagging.latency for tagging in taggings if tagging.status == "ok")

    def rows_by_status(self) -> dict[str, int]:
        """Return how many rows there are of each status."""
        return {status: self._rows[status] for status in STATUSES}

    def __str__(self) -> str:
        rows = ", ".join(f"{status} {count}" for status, count in self.rows_by_status().items())
        lines = [
            f"frames    {self.frames}",
            f"rows      {self._rows.total()}: {rows}",
            f"latency   {_percentiles(self.latencies)} (from document to scores)",
            f"callback  {_percentiles(self.callback_seconds)} (taken from the RunEngine, a document)",
        ]
        if self.unwritten:
            lines.append(f"no row    {self.unwritten}: their run ended before the row could be written")
        if self.unread:
            lines.append(f"later     {self.tagged_later} of {self.unread} frames that could not be read in time")
        if self.write_errors:
            lines.append(f"failed on their way out {self.write_errors}: see the log")
        if self.callback_errors:
            lines.append(f"unusable documents {self.callback_errors}: see the log")
        return "\n".join(lines)


def percentile(seconds: Collection[float], percent: float) -> float:
    """Return a percentile of times; NaN if there are none."""
    return float(np.percentile(list(seconds), percent)) if seconds else math.nan


def _percentiles(seconds: Collection[float]) -> str:
    if not seconds:
        return "none yet"
    return ", ".join(f"p{percent} {1e3 * percentile(seconds, percent):.3g} ms" for percent in (50, 95, 99))
