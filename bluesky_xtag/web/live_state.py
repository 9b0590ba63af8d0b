"""All that the live page shows, as it is now, and what changed since it was last told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..documents import Tagging
from .live_notes import FramesNote
from .live_run import LiveRun

__all__ = ["LiveState"]

_RUNS = 4  # that are kept; of those that are open, more
_OPEN = 16


class LiveState:
    """The runs that are taken, and the last ones that ended. Used from one thread at a time.

    Parameters
    ----------
    tags : sequence of str
        The tags of the model, in their order.
    thresholds : sequence of float
        Score from which on each tag is accepted.
    """

    def __init__(self, tags: Sequence[str], thresholds: Sequence[float]) -> None:
        self._tags, self._thresholds = tuple(tags), tuple(thresholds)
        self._runs: dict[str, LiveRun] = {}
        self._touched: dict[str, LiveRun] = {}
        self._around: dict[str, Any] = {"waiting": 0, "capacity": 0, "left_out": 0, "engine": ""}
        self._picture: dict[str, Any] | None = None
        self.changed = False
        """Whether something changed since `take_changes`."""

    def take(self, kind: str, note: Any) -> None:
        """Take a note of a document; one about a run whose start was not seen is passed over."""
        if kind == "start":
            run = self._runs[note["uid"]] = LiveRun(note, self._tags, self._thresholds)
            self._touch(run)
            self._forget()
            return
        frames: FramesNote | None = note if kind == "frames" else None
        run = self._runs.get(note["run"] if frames is None else frames.run)
        if run is None:
            return
        self._touch(run)
        if frames is not None:
            run.add_frames(frames)
        elif kind == "motors":
            run.add_motors(note["fields"])
        elif kind == "point":
            run.add_point(note["stream"], note["seq_num"], note["where"])
        elif kind == "points":
            for row, number in enumerate(note["seq_num"]):
                run.add_point(note["stream"], number, {key: float(each[row]) for key, each in note["where"].items()})
        elif kind == "decision":
            run.add_decision(note["seq_num"], note["data"])
        else:
            run.end(note["exit_status"], note["reason"])

    def take_taggings(self, taggings: Sequence[Tagging]) -> tuple[Tagging, int] | None:
        """Take outcomes; return the last one that holds, with the number of its place."""
        last = None
        for tagging in taggings:
            run = self._runs.get(tagging.frame.run)
            place = None if run is None else run.add_tagging(tagging)
            if run is not None and place is not None:
                self._touch(run)
                last = tagging, place
        return last

    def take_picture(self, run: str, place: int, number: int) -> None:
        """Take the number under which the picture of a place can be asked for."""
        self._picture = {"run": run, "place": place, "number": number}
        self.changed = True

    def set_around(self, **around: Any) -> None:
        """Set what is around the runs: `waiting`, `capacity`, `left_out`, `engine`."""
        if self._around | around != self._around:
            self._around |= around
            self.changed = True

    def take_changes(self) -> Mapping[str, Any]:
        """Return what changed since the last call."""
        touched, self._touched = self._touched, {}
        self.changed = False
        return self._told([run.take_changes() for run in touched.values() if run.uid in self._runs])

    def whole(self) -> Mapping[str, Any]:
        """Return all that is known."""
        return self._told([run.whole() for run in self._runs.values()])

    def _told(self, runs: list[dict[str, Any]]) -> Mapping[str, Any]:
        return {"runs": runs, "known": list(self._runs), "around": dict(self._around), "picture": self._picture}

    def _touch(self, run: LiveRun) -> None:
        self._touched[run.uid] = run
        self.changed = True

    def _forget(self) -> None:
        """Let the oldest runs go, those that have ended before those that are open."""
        ended = [uid for uid, run in self._runs.items() if not run.is_open]
        while len(self._runs) > _RUNS and ended:
            del self._runs[ended.pop(0)]
        while len(self._runs) > _OPEN:
            del self._runs[next(iter(self._runs))]
