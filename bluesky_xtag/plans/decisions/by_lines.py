"""Decides which line is flown next, from the tags of all frames of the lines so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...documents import TagRow
from ...errors import XTagValueError
from .. import strategies
from ..strategies import Motion, Point
from .choosing import check_revision, choose_strategy
from .decision import Action, Decision, LineSeen, Missing

__all__ = ["ByLines", "stop_name"]

_LARGEST = 10_000
"""Frames of a line."""
_TOLD = 24
"""Of so many frames of a line, evenly spread, the strategy is told, and of those next to a change. A process of many
values that lie on few lines looks too far along them, and too little across: told of all 160 frames of each of 12
lines, `boundary` mapped 0.73 to 0.87 of a region, told of these 0.87 to 0.93."""
_IN_VAIN = 3
"""The plan ends after so many lines without any tags in succession."""


class ByLines:
    """Asks a strategy for lines along the last motor, and reports to it what was seen on each as a whole.

    A frame lies in the middle of its part of the line: frame i of n at (i + 1/2) / n of it. Frames that have no tags
    tell nothing. A line without any tags is flown again, left out, and so on, as `on_missing` says.

    Parameters
    ----------
    strategy : str
        The name of a strategy that knows the use of each place: "boundary", "novelty", "phases" or "seek".
    axes : mapping of str to (float, float)
        The limits of each motor, by its name; the last one flies.
    tags : sequence of str
        The names of the model's tags.
    tag : str, optional
        The tag to look for.
    frames : int
        Frames of a line, from 2 on.
    span : float, optional
        Length of a line in units of the last motor; its whole range if None.
    max_lines : int
        The largest number of lines.
    initial_lines : int
        So many lines are spread evenly before one is chosen by its use.
    on_missing : str
        See `Missing`.
    cameras : sequence of str
        Names of the detectors; what other cameras see meanwhile does not count.
    motions : mapping of str to Motion, optional
        How long motors take, by their names, with the seconds that a frame takes.
    region : mapping, optional
        Where frames may be taken within the limits, see `bluesky_xtag.plans.strategies.region`.

    Raises
    ------
    XTagValueError
        An argument does not fit.
    """

    flies = True

    def __init__(
        self,
        strategy: str,
        axes: Mapping[str, Sequence[float]],
        tags: Sequence[str],
        *,
        tag: str | None = None,
        frames: int,
        span: float | None = None,
        max_lines: int = 20,
        initial_lines: int = 4,
        on_missing: str = "repeat",
        cameras: Sequence[str],
        motions: Mapping[str, Motion] | None = None,
        region: Mapping[str, Any] | None = None,
    ) -> None:
        for name, number, low in (
            ("frames", frames, 2), ("max_lines", max_lines, 1), ("initial_lines", initial_lines, 1),
        ):  # fmt: skip
            if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= _LARGEST:
                raise XTagValueError(f"{name}={number!r} must be a whole number from {low} to {_LARGEST}")
        if not isinstance(strategy, str):
            raise XTagValueError(f"{strategy!r} is no name of a strategy: lines need one by name, such as 'boundary'")
        self._chooser: Any = choose_strategy(strategy, axes, tags, tag, None, motions or {}, region)
        if not hasattr(self._chooser, "suggest_line"):
            raise XTagValueError(
                f"{strategy} does not know the use of a line: choose one of boundary, novelty, phases, seek"
            )
        fast, (low, high, *_) = list(axes.items())[-1]
        span = high - low if span is None else span
        if not 0 < span <= (high - low) * (1 + 1e-9):
            raise XTagValueError(f"span={span:g} must be above 0 and at most {high - low:g}, the range of {fast}")
        if len(axes) == 1 and span > (high - low) / 2:
            raise XTagValueError(f"{fast} alone has no lines to choose from: give a second motor, or a smaller span")
        if stop_name(fast) in axes:
            raise XTagValueError(f"a motor is named {stop_name(fast)}, as where {fast} stops: rename it")
        self.strategy, self.tag = strategy, tag or ""
        self.names = (*axes, stop_name(fast))
        self._fast = fast
        self._axes = tuple(axes)
        self._length = min(1.0, span / (high - low))
        self._frames, self._most, self._initial = frames, max_lines, initial_lines
        self._cameras = tuple(cameras)
        self._missing = Missing(on_missing)
        self._settings = {
            "decider": "by_lines",
            "recipe": strategies.recipe(self._chooser),
            "known": True,
            "axes": {name: list(limits) for name, limits in axes.items()},
            "tags": list(tags),
            "tag": tag,
            "frames": frames,
            "span": span,
            "max_lines": max_lines,
            "initial_lines": initial_lines,
            "on_missing": on_missing,
            "cameras": list(cameras),
            "region": None if region is None else dict(region),
        }
        self._line = 0
        self._ends: tuple[Point, Point] = {}, {}
        self._before = 0  # sequence number of the last frame of the lines before
        self._in_vain = 0

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> ByLines:
        """Return the decider as it was when it was new, from its `settings`.

        Raises
        ------
        XTagError
            The strategy of this version decides in another way than the one that the settings are of.
        """
        recipe = settings["recipe"]
        check_revision(recipe)
        motions = {name: Motion(**stored[3]) for name, stored in recipe["axes"].items() if len(stored) > 3}
        kept = ("tag", "frames", "span", "max_lines", "initial_lines", "on_missing", "cameras", "region")
        given = {key: settings[key] for key in kept}
        return cls(recipe["name"], settings["axes"], settings["tags"], motions=motions, **given)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Decider`."""
        return self._settings

    @property
    def chooser(self) -> Any:
        """The strategy, for callers that want its result."""
        return self._chooser

    def first(self) -> Decision:
        """See `Decider`."""
        return self._onward(TagRow(), "move", "the first line", None)

    def decide(self, seen: TagRow) -> Decision:
        """Return the decision on a line of which only one row is known."""
        return self.decide_line([seen])

    def decide_line(self, rows: Iterable[TagRow]) -> Decision:
        """Return the decision on a line, given the rows that came since the last decision."""
        frames = self._frames_of(rows)
        newest = max(frames.values(), key=lambda row: row.row, default=TagRow(status="failed"))
        on_line = {seq_num - self._before - 1: row for seq_num, row in frames.items()}
        surplus = len(frames) - len(on_line := {at: row for at, row in on_line.items() if at < self._frames})
        self._before = max(frames, default=self._before)
        told = {at: row for at, row in on_line.items() if not row.missing}
        accepted = sum(bool(row.tags) if not self.tag else self.tag in row.tags for row in told.values())
        line = LineSeen(len(told), self._frames - len(told), accepted)
        words = f"{self.tag or 'tags'} on {accepted} of {len(told)} frames"
        words += f", {line.lost} without tags" if line.lost else ""
        words += f", {surplus} more than announced" if surplus else ""
        if not told:
            return self._without_tags(newest, line)
        self._missing.over()
        self._in_vain = 0
        self._chooser.ingest([self._place(at) | dict(told[at].scores) for at in self._telling(told)])
        return self._onward(newest, "move", words, line)

    def _telling(self, told: Mapping[int, TagRow]) -> list[int]:
        """Return the positions on the line of the frames that the strategy is told of, in their order."""
        order = sorted(told)
        says = [self.tag in told[at].tags if self.tag else told[at].tags for at in order]
        places = np.arange(len(order))
        keep = np.isin(places, np.linspace(0, len(order) - 1, min(_TOLD, len(order))).round())
        differs = np.array([one != two for one, two in zip(says, says[1:], strict=False)], bool)
        keep[:-1] |= differs
        keep[1:] |= differs
        if self.tag:  # where there is most of it
            keep[max(places, key=lambda place: told[order[place]].scores[self.tag])] = True
        return [at for at, kept in zip(order, keep, strict=True) if kept]

    def _without_tags(self, newest: TagRow, line: LineSeen) -> Decision:
        decision = self._missing.decide(self._line, newest, self._values())
        if decision.action != "skip":
            return Decision(
                self._line, newest, decision.action, decision.reason, decision.values, decision.pause, line=line
            )
        self._in_vain += 1
        self._chooser.skip([self._place(self._frames // 2)])
        if self._in_vain >= _IN_VAIN:
            return Decision(
                self._line, newest, "stop", f"{decision.reason}; {_IN_VAIN} lines in succession gave no tags", line=line
            )
        return self._onward(newest, "skip", decision.reason, line)

    def _onward(self, seen: TagRow, action: Action, reason: str, line: LineSeen | None) -> Decision:
        """Return the decision to fly the next line, or to stop."""
        # What is still to be spread evenly is flown, whatever the stopping rule makes of the lines before.
        stop = self._line >= self._initial and self._chooser.should_stop()
        if stop:
            return Decision(self._line, seen, "stop", f"{reason}; {stop.reason}", line=line)
        if self._line >= self._most:
            done = f"{self._most} lines are done, as many as asked for"
            return Decision(self._line, seen, "stop", f"{reason}; {done}", line=line)
        self._ends = self._chooser.suggest_line(self._frames, self._length, self._initial)
        self._line += 1
        return Decision(self._line - 1, seen, action, reason, self._values(), line=line)

    def _frames_of(self, rows: Iterable[TagRow]) -> dict[int, TagRow]:
        """Return the newest row of each frame of the cameras, by its sequence number."""
        frames = {}
        for row in rows:
            if row.seq_num > self._before and any(_is_of(row.key, camera) for camera in self._cameras):
                frames[row.seq_num] = row
        return frames

    def _values(self) -> dict[str, float]:
        begin, end = self._ends
        return {name: begin[name] for name in self._axes} | {stop_name(self._fast): end[self._fast]}

    def _place(self, at: int) -> Point:
        begin, end = self._ends
        part = (at + 0.5) / self._frames
        low, high = sorted((begin[self._fast], end[self._fast]))
        place = begin[self._fast] + part * (end[self._fast] - begin[self._fast])
        return {name: begin[name] for name in self._axes} | {self._fast: float(np.clip(place, low, high))}


def stop_name(motor: str) -> str:
    """Return the name under which decisions say where a motor stops that flies."""
    return f"{motor}_stop"


def _is_of(key: str, camera: str) -> bool:
    """Tell whether a data key is of a detector: its name, or that and a part."""
    return key == camera or key.startswith((f"{camera}_", f"{camera}-"))
