"""Limits that measured figures of kinds of frames must keep, for `xtag bench model` and `xtag bench read`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

__all__ = ["Bar", "missed", "table_of"]


@dataclass(frozen=True)
class Bar:
    """What a figure must reach: at most, or else at least, the limit; `frame` is "" for figures of no frame."""

    frame: str
    figure: str
    limit: float
    at_most: bool = False

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.limit:g}"

    @property
    def name(self) -> str:
        """Of which frames, and of what, it is."""
        return f"{self.frame} {self.figure}".strip()

    def holds(self, figures: Mapping[str, Any]) -> bool:
        """Return whether the figures reach it."""
        value = self.value(figures)
        return value <= self.limit if self.at_most else value >= self.limit

    def value(self, figures: Mapping[str, Any]) -> float:
        """Return the figure that it is about; those of frames are by frame and name in `figures["frames"]`."""
        return (figures["frames"][self.frame] if self.frame else figures)[self.figure]


def missed(bars: Iterable[Bar], figures: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each bar that figures miss."""
    return [f"{bar.name} is {bar.value(figures):.3g}, but must be {bar}" for bar in bars if not bar.holds(figures)]


def table_of(bars: Iterable[Bar], figures: Mapping[str, Any]) -> Table:
    """Return a table of what was measured and of what is asked for."""
    table = Table("figure", "measured", "bar")
    for bar in bars:
        table.add_row(bar.name, f"{bar.value(figures):.3g}", str(bar))
    return table
