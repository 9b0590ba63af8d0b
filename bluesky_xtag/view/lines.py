"""Lines of the live table: one frame, its tags with small bars for their scores, and how they agree with labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from .colours import colour, group, order_tags

__all__ = ["Labels", "Lines"]

_STATUS_STYLES = {"ok": "green", "late": "yellow", "dropped": "yellow"}
_NUMBER, _POSITION, _KNOWN, _STATUS, _LATENCY = 4, 8, 18, 10, 8  # widths of columns; a status has ten letters
_ROOM = 30  # width that tags need: other columns are left out for it
_NEAR = 0.2  # scores of rejected tags are shown from here on


@dataclass(frozen=True)
class Labels:
    """What is known about a frame.

    Parameters
    ----------
    name : str
        Name of the frame in the table.
    present, absent : frozenset of str
        Tags that are known to hold and known not to hold.
    """

    name: str
    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Signs:
    """The characters that a line is drawn with."""

    bars: str
    right: str
    wrong: str
    overflow: Any  # rich's name for what happens to text that is too long


_UNICODE = Signs("▁▂▃▄▅▆▇█", "✓", "✗", "ellipsis")
_ASCII = Signs("01234567", "+", "!", "crop")


class Lines:
    """Lays out the lines of one run.

    Where the terminal is too narrow for all columns, the number, the tags and the status stay. Of the others the
    latency is left out first, then what is known, then the motors from the last one on.

    Parameters
    ----------
    console : rich.console.Console
        Decides the width (at least 120 if it is not a terminal) and whether only plain ASCII is possible.
    motors : sequence of str
        A column for each.
    labelled : bool
        Whether there is a column for the labels of a frame.
    """

    def __init__(self, console: Console, motors: Sequence[str], labelled: bool):
        self._signs = _ASCII if console.options.ascii_only else _UNICODE
        self._motors = tuple(motors)
        self._labelled = labelled
        width = console.width if console.is_terminal else max(console.width, 120)
        self._room = width - _NUMBER - _STATUS - 3
        wanted = [*(_POSITION for _ in motors), *([_KNOWN] if labelled else []), _LATENCY]
        while wanted and self._room - sum(wanted) - len(wanted) < _ROOM:
            wanted.pop()
        self._room = max(self._room - sum(wanted) - len(wanted), 8)
        self._positions = min(len(wanted), len(self._motors))
        self._known = labelled and len(wanted) > len(self._motors)
        self._latency = len(wanted) == len(self._motors) + labelled + 1

    def heading(self) -> Text:
        """Return the line above the first frame."""
        legend = "bar: score; dim: below threshold"
        if self._labelled:
            legend += f"; {self._signs.right} {self._signs.wrong}: as known"
        tags = Text("tags", style="bold").append(f"  ({legend})", style="dim")
        return self._join(
            _right("#", _NUMBER, "bold"),
            [_right(name, _POSITION, "bold") for name in self._motors],
            Text("known", style="bold"),
            tags,
            Text("status", style="bold"),
            Text("latency", style="bold"),
        )

    def frame(self, number: int, reading: Mapping[str, Any], row: Mapping[str, Any], labels: Labels | None) -> Text:
        """Return the line of a frame.

        Parameters
        ----------
        number : int
            Its number in the table, from 1.
        reading : mapping
            The data of its event: motor positions and so on.
        row : mapping
            Its row of the stream "tags", without the tagger's name in the columns.
        labels : Labels or None
            What is known about the frame.
        """
        latency = f"{1000 * row['latency']:.0f} ms" if math.isfinite(row["latency"]) else ""
        return self._join(
            _right(str(number), _NUMBER, "dim"),
            [_right(_number(reading.get(name)), _POSITION) for name in self._motors],
            Text(labels.name if labels else "", style="cyan"),
            self._tags(row, labels or Labels("")),
            Text(row["status"], style=_STATUS_STYLES.get(row["status"], "bold red")),
            Text(latency),
        )

    def _tags(self, row: Mapping[str, Any], labels: Labels) -> Text:
        """Return the tags: those about the sample, missed ones, the best rejected ones, the instrument's."""
        scores = {key.removeprefix("p_"): value for key, value in row.items() if key.startswith("p_")}
        ranked = order_tags(scores)
        accepted = set(row["tags"].split())
        missed = labels.present & scores.keys() - accepted if row["status"] == "ok" else set()
        text = Text()
        for tag in (tag for tag in ranked if tag in accepted and group(tag) != "instrument"):
            text.append(f"{self._bar(scores[tag])} ", colour(tag)).append(tag, f"bold {colour(tag)}")
            self._mark(text, tag, labels)
        for tag in (tag for tag in ranked if tag in missed):
            text.append(f"{self._bar(scores[tag])} ", "dim").append(f"{tag} missed  ", "red")
        near = (tag for tag in ranked if tag not in accepted | missed and scores[tag] >= _NEAR)
        for tag in [*near][:2]:
            text.append(f"{self._bar(scores[tag])} {tag}  ", "dim")
        for tag in (tag for tag in ranked if tag in accepted and group(tag) == "instrument"):
            text.append(f"{self._bar(scores[tag])} {tag}", "dim")
            self._mark(text, tag, labels)
        return text

    def _mark(self, text: Text, tag: str, labels: Labels) -> None:
        """Append whether an accepted tag is known to be right or wrong."""
        if tag in labels.present:
            text.append(self._signs.right, "green")
        elif tag in labels.absent:
            text.append(self._signs.wrong, "bold red")
        text.append("  ")

    def _bar(self, score: float) -> str:
        bars = self._signs.bars
        return bars[min(int(score * len(bars)), len(bars) - 1)] if math.isfinite(score) else " "

    def _join(self, number: Text, positions: list[Text], known: Text, tags: Text, status: Text, latency: Text) -> Text:
        more = max(len(number) - _NUMBER, 0)
        columns = [(number, _NUMBER + more), *((position, _POSITION) for position in positions[: self._positions])]
        columns += [(known, _KNOWN)] if self._known else []
        columns += [(tags, self._room - more), (status, _STATUS)]
        columns += [(latency, _LATENCY)] if self._latency else []
        line = Text(no_wrap=True, overflow="ignore")
        for cell, width in columns:
            cell.truncate(width, overflow=self._signs.overflow, pad=True)
            line.append_text(cell).append(" ")
        line.rstrip()
        return line


def _right(text: str, width: int, style: str = "") -> Text:
    return Text(f"{text:>{width}}", style=style)


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else "" if value is None else str(value)
