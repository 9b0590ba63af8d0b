"""Rows that were read back from a catalogue, whatever the tagger's name was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from .columns import DECIDED_BY, FRAME, column, score_column, strength_column, tagger_name
from .tagging import FrameId

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PLACE", "TagRow", "TagTable", "score_tags"]

PLACE = ["key", "seq_num", "index"]  # plain names of the columns that say which frame of a run it is


@dataclass(frozen=True)
class TagRow:
    """A row of the stream "tags", as plans see it.

    Parameters
    ----------
    row : int
        Sequence number of the row in its stream, from 1; 0 if no frame was seen yet.
    status : str
        Status of the tagging; empty if no frame was seen yet. For a plan that waited for a row that did not come, it is
        "failed", with 0 as `row`.
    tags : tuple of str
        The accepted tags.
    scores : mapping of str to float
        Probability by tag; NaN unless the status is "ok".
    latency : float
        Seconds from the frame's document to the outcome.
    frame : str
        Uid of the event that holds the frame; empty if there was none.
    strengths : mapping of str to float
        Log10 of the estimated signal-to-noise ratio by graded tag; NaN unless the status is "ok"; empty for models
        that estimate none.
    key : str
        Data key of the image.
    seq_num : int
        Sequence number, in its stream, of the event that holds the frame; 0 if there was none.
    """

    row: int = 0
    status: str = ""
    tags: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    latency: float = math.nan
    frame: str = ""
    strengths: Mapping[str, float] = field(default_factory=dict)
    key: str = ""
    seq_num: int = 0

    @property
    def missing(self) -> bool:
        """Whether the frame has no tags."""
        return self.status != "ok"

    @classmethod
    def read(cls, number: int, data: Mapping[str, Any], name: str, tags: Sequence[str]) -> TagRow:
        """Return what the columns of a row say.

        Parameters
        ----------
        number : int
            Sequence number of the row.
        data : mapping
            Its columns.
        name : str
            The tagger's name, which begins the names of the columns.
        tags : sequence of str
            The names of the tags.
        """
        return cls(
            row=int(number),
            status=str(data[column(name, "status")]),
            tags=tuple(str(data[column(name, "tags")]).split()),
            scores={tag: float(data[score_column(name, tag)]) for tag in tags},
            latency=float(data[column(name, "latency")]),
            frame=str(data[column(name, "frame_event")]),
            strengths={tag: float(data[key]) for tag in tags if (key := strength_column(name, tag)) in data},
            key=str(data[column(name, "frame_key")]),
            seq_num=int(data[column(name, "frame_seq_num")]),
        )


@dataclass(frozen=True, eq=False)
class TagTable:
    """Rows of the stream "tags" as a table, with the names of their columns.

    Parameters
    ----------
    rows : pandas.DataFrame
        As from `bluesky_xtag.search.tags`: one row for each frame, and columns that begin with the tagger's name.

    Raises
    ------
    XTagValueError
        These are not rows of a tagger.
    """

    rows: pd.DataFrame

    def __post_init__(self) -> None:
        assert self.name

    @cached_property
    def name(self) -> str:
        """The tagger's name."""
        return tagger_name(self.rows.columns)

    def column(self, suffix: str) -> str:
        """Return the full name of a column."""
        return column(self.name, suffix)

    def __contains__(self, suffix: str) -> bool:
        return self.column(suffix) in self.rows

    def __getitem__(self, suffix: str) -> pd.Series:
        """Return a column by the part of its name after the tagger's name."""
        return cast("pd.Series", self.rows[self.column(suffix)])

    @cached_property
    def tags(self) -> list[str]:
        """The tags that have scores, in their order."""
        mark = score_column(self.name, "")
        return [str(each).removeprefix(mark) for each in self.rows if str(each).startswith(mark)]

    def scores(self, tags: Sequence[str] | None = None) -> pd.DataFrame:
        """Return scores with the tags as columns; NaN for tags without scores. If None, all tags."""
        tags = self.tags if tags is None else list(tags)
        return self.rows.reindex(columns=[score_column(self.name, tag) for tag in tags]).set_axis(tags, axis="columns")

    @cached_property
    def graded(self) -> list[str]:
        """The tags that have strengths, in their order."""
        mark = strength_column(self.name, "")
        return [str(each).removeprefix(mark) for each in self.rows if str(each).startswith(mark)]

    def strengths(self, tags: Sequence[str] | None = None) -> pd.DataFrame:
        """Return strengths with the tags as columns; NaN for tags without. If None, all graded tags."""
        tags = self.graded if tags is None else list(tags)
        columns = [strength_column(self.name, tag) for tag in tags]
        return self.rows.reindex(columns=columns).set_axis(tags, axis="columns")

    def accepted(self) -> list[list[str]]:
        """Return the accepted tags of each row."""
        return [str(tags).split() for tags in self["tags"]]

    def frames(self, run: str = "") -> list[FrameId]:
        """Return which frame each row is about; `run` is the uid of their run."""
        event, key, seq_num, index = (self[each.suffix].tolist() for each in FRAME)
        return [
            FrameId(run, "", str(k), int(s), int(i), str(e))
            for e, k, s, i in zip(event, key, seq_num, index, strict=True)
        ]

    def plain(self, run: str, scan_id: Any) -> pd.DataFrame:
        """Return the rows with column names without the tagger's name, and with the run that they belong to.

        Returns
        -------
        pandas.DataFrame
            Columns `run` (uid), `scan_id`, `row`, `time`, `p_<tag>`, `tags`, `status`, `event`, `key`, `seq_num`,
            `index`, ...
        """
        mark = self.column("")
        shown = self.rows.rename(columns=lambda each: each.removeprefix(mark).removeprefix("frame_"))
        shown = shown.rename_axis("row").reset_index()
        shown.insert(0, "run", run)
        shown.insert(1, "scan_id", scan_id)
        return shown

    def decided_by(self) -> str:
        """Return the column that says who decided on a frame's tags: "model", or the person who corrected them last."""
        return self.column(DECIDED_BY)


def score_tags(table: pd.DataFrame) -> list[str]:
    """Return the tags of which a table with plain names has scores."""
    return [column.removeprefix("p_") for column in table.columns if column.startswith("p_")]
