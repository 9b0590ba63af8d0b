"""Counts what came of runs: frames, rows, their statuses, and how the runs ended."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

__all__ = ["Counts"]


class Counts:
    """A document callback that counts, and keeps nothing of a run that has ended but the moments of its last frames.

    Attributes
    ----------
    runs, failed, frames, rows : int
        Runs that ended; those of them that did not end well; events with a frame, and rows.
    odd : int
        Runs whose rows are not as many as their frames.
    statuses : Counter
        Rows by status.
    arrived : dict
        When each event of the newest run with a frame came, by its uid.
    """

    def __init__(self) -> None:
        self.runs = self.failed = self.frames = self.rows = self.odd = 0
        self.statuses: Counter[str] = Counter()
        self.arrived: dict[str, float] = {}
        self._tags: set[str] = set()

    def __call__(self, name: str, doc: Any) -> None:
        """Take a document."""
        if name == "start":
            self._tags.clear()
            self.arrived = {}
        elif name == "descriptor" and doc["name"] == "tags":
            self._tags.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._tags:
            self.rows += 1
            self.statuses[doc["data"]["xtag_status"]] += 1
        elif name == "event":
            self.frames += 1
            self.arrived[doc["uid"]] = time.monotonic()
        elif name == "stop":
            self.runs += 1
            self.failed += doc["exit_status"] != "success"
            events = doc["num_events"]
            self.odd += events.get("primary") != events.get("tags")

    def figures(self) -> dict[str, Any]:
        """Return the counts by name."""
        counts = {name: getattr(self, name) for name in ("runs", "failed", "frames", "rows", "odd")}
        return counts | {"statuses": dict(self.statuses)}

    def troubles(self) -> list[str]:
        """Return what is not as promised, in sentences."""
        found = []
        if self.failed:
            found.append(f"{self.failed} of {self.runs} scans failed")
        if self.odd or self.rows != self.frames:
            found.append(f"{self.rows} rows for {self.frames} frames; {self.odd} runs have too few or too many")
        return found
