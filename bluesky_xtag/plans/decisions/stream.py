"""The shape of the stream "decisions", one row for each decision: the only place that knows its column names."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from bluesky.protocols import Hints, Reading
from event_model import DataKey

from ...documents import Column, TagRow, TagRows, column, data_key
from .decision import Decider, Decision, LineSeen

__all__ = [
    "ASKED",
    "CHOSEN",
    "COLUMNS",
    "DRIFT",
    "FLOWN",
    "SETTINGS",
    "STREAM",
    "WISHED",
    "DecisionLog",
    "TagsWatch",
    "target_column",
    "data_keys",
    "row",
]

STREAM = "decisions"

SETTINGS = "decision_settings"
"""Configuration key of all that is needed to compute the decisions again, as JSON."""

# What each column of a row says, filled from the decider, the decision and whether the outcome came in time.
COLUMNS = (
    Column(
        "point",
        "integer",
        "number of the place that the frame belongs to, from 1; 0 before the first frame and at a reference place",
        lambda of: of.decision.point,
    ),
    Column(
        "strategy", "string", "name of the strategy, or of the plan that has its own", lambda of: of.decider.strategy
    ),
    Column(
        "row",
        "integer",
        "sequence number of the row of the stream `tags` that the plan decided on; 0 before the first frame",
        lambda of: of.seen.row,
    ),
    Column(
        "tag",
        "string",
        'the tag that decides, the first one of a condition; `""` if there is none',
        lambda of: of.decider.tag,
    ),
    Column(
        "p",
        "number",
        "its probability; NaN if there is none",
        lambda of: float(of.seen.scores.get(of.decider.tag, math.nan)),
    ),
    Column("tags", "string", "the accepted tags, separated by spaces", lambda of: " ".join(of.seen.tags)),
    Column("status", "string", 'status of the frame; `""` before the first frame', lambda of: of.seen.status),
    Column("deadline_met", "boolean", "whether the outcome came by the deadline", lambda of: of.in_time),
    Column(
        "action",
        "string",
        "`move`, `repeat`, `expose`, `skip` or `stop`; `note` while frames of a batch are still to be decided on",
        lambda of: of.decision.action,
    ),
    Column("reason", "string", "why, in words", lambda of: of.decision.reason),
)
CHOSEN = Column(
    "to_<name>",
    "number",
    "the value chosen for a motor or signal, or for the interval to the next frame and the dose with it (s), one "
    "column for each; NaN if nothing was chosen",
    lambda value: float(value),
)
ASKED = (
    Column(
        "condition",
        "string",
        'of plan stubs only: the condition that the plan asked for; `""` if it asked for tags alone',
        lambda of: of.decision.condition,
    ),
    Column(
        "fallback",
        "string",
        "of plan stubs only: what the plan does when there are no tags",
        lambda of: of.decision.fallback,
    ),
)
WISHED = (
    Column(
        "wishes",
        "string",
        'of `tag_adaptive_scan` only: the pins and vetoes that the plan took with this decision, as JSON; `""` if none',
        lambda of: of.decision.wishes,
    ),
)
DRIFT = (
    Column(
        "drift",
        "number",
        "with a reference place only: how far its tags were from those at the start when it was last looked at, in "
        "units of the change that counts; NaN before",
        lambda of: of.decision.drift,
    ),
)
FLOWN = (
    Column(
        "line_frames",
        "integer",
        "of `tag_adaptive_fly` only: how many frames of the line had tags",
        lambda of: of.line.frames,
    ),
    Column("line_lost", "integer", "how many frames of the line had none, or did not come", lambda of: of.line.lost),
    Column(
        "line_accepted",
        "integer",
        "how many frames of the line have the tag that decides, or any tag if there is none",
        lambda of: of.line.accepted,
    ),
)
# The columns that only some deciders have, by the attribute that says so.
_SPECIAL = (("is_asked", ASKED), ("takes_wishes", WISHED), ("watches_reference", DRIFT), ("flies", FLOWN))
_NAME = "decision"
_SOURCE = "bluesky_xtag:decisions"


@dataclass(frozen=True)
class _Decided:
    """The values that a row is filled from."""

    decider: Decider
    decision: Decision
    in_time: bool

    @property
    def seen(self) -> TagRow:
        return self.decision.seen

    @property
    def line(self) -> LineSeen:
        return self.decision.line or LineSeen()


def target_column(name: str) -> str:
    """Return the column that holds what was chosen for a motor or signal."""
    return column(_NAME, f"to_{name}")


def data_keys(decider: Decider) -> dict[str, DataKey]:
    """Return event-model data keys of the columns of a decider, in column order."""
    columns = {column(_NAME, each.suffix): data_key(_SOURCE, each.dtype) for each in _columns(decider)}
    return columns | {target_column(name): data_key(_SOURCE, CHOSEN.dtype) for name in decider.names}


def row(decider: Decider, decision: Decision, deadline: float) -> dict[str, float | int | str | bool]:
    """Return the row of a decision, a scalar for each column of `data_keys`.

    Parameters
    ----------
    decider : Decider
        Who decided.
    decision : Decision
        What was decided.
    deadline : float
        Seconds within which a frame must be tagged.
    """
    seen = decision.seen
    in_time = seen.row == 0 or (seen.status != "late" and seen.latency <= deadline)
    decided = _Decided(decider, decision, in_time)
    return {column(_NAME, each.suffix): each.fill(decided) for each in _columns(decider)} | {
        target_column(name): CHOSEN.fill(decision.values.get(name, math.nan)) for name in decider.names
    }


def _columns(decider: Decider) -> list[Column]:
    special = (each for name, columns in _SPECIAL if getattr(decider, name, False) for each in columns)
    return [*COLUMNS, *special]


class TagsWatch(TagRows):
    """A document callback that keeps the newest rows of the stream "tags" of each run.

    Plans decide with this row, not with what the tagger returns: after a pause the RunEngine takes points again, and
    the row that it emitted last counts.

    Parameters
    ----------
    tagger : str
        The tagger's name, which begins the names of the columns.
    tags : sequence of str
        The names of the tags.
    keep : int
        So many events are remembered, which is more than a batch has.
    """

    def __init__(self, tagger: str, tags: Sequence[str], keep: int = 512) -> None:
        super().__init__()
        self._keep = keep
        self._tagger = tagger
        self._tags = tags
        self._rows: dict[str, dict[int, TagRow]] = {}  # of the newest frames, by run and number of the frame
        self.run = ""
        """Uid of the run that was opened last."""

    def begin(self, doc: Mapping[str, Any]) -> None:
        """Remember the run that was opened last."""
        self.run = doc["uid"]

    def add(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        """Keep the newest row of a frame's event, unless it is of another tagger."""
        if column(self._tagger, "status") not in data:
            return
        rows, frame = self._rows.setdefault(run, {}), int(data[column(self._tagger, "frame_seq_num")])
        rows.pop(frame, None)  # the newest is the last
        rows[frame] = TagRow.read(number, data, self._tagger, self._tags)
        if len(rows) > self._keep:
            del rows[next(iter(rows))]

    def newest(self, run: str) -> TagRow:
        """Return what the newest row of a run says; "failed" as row 0 if the run has none.

        A plan asks after it has read the tagger: without a row by then, the frame has no tags, and none will come.
        """
        return self.newest_of(run, 1)[0]

    def newest_of(self, run: str, count: int) -> list[TagRow]:
        """Return what the rows of the newest events say, the newest last; see `newest`.

        Of an event with several images the last one counts.
        """
        rows = list(self._rows.get(run, {}).values())[-count:]
        return rows + [TagRow(status="failed")] * (count - len(rows))

    def rows_after(self, run: str, row: int) -> list[TagRow]:
        """Return the rows of a run that came after a row, which is given by its sequence number, in their order."""
        return [each for each in self._rows.get(run, {}).values() if each.row > row]


class DecisionLog:
    """The device that plans read after each decision. It gives the row of the newest decision.

    Parameters
    ----------
    decider : Decider
        Who decides.
    tagger : str
        The tagger's name.
    deadline : float
        Its deadline in seconds.
    """

    name = STREAM
    parent = None

    def __init__(self, decider: Decider, tagger: str, deadline: float) -> None:
        self._decider = decider
        self._deadline = deadline
        self._tagger = tagger
        self._row: dict[str, Any] = {}

    def note(self, decision: Decision) -> None:
        """Take the decision that the plan reads next."""
        self._row = row(self._decider, decision, self._deadline)

    @property
    def hints(self) -> Hints:
        """Empty, so that the tables and plots of other callbacks show no columns of this device by default."""
        return {"fields": []}

    def read(self) -> dict[str, Reading]:
        """Return the row of the newest decision; the same again if the RunEngine asks again after a pause."""
        now = time.time()
        return {column: {"value": value, "timestamp": now} for column, value in self._row.items()}

    def describe(self) -> dict[str, DataKey]:
        """Return the data keys of the columns."""
        return data_keys(self._decider)

    def read_configuration(self) -> dict[str, Reading]:
        """Return all that is needed to compute the decisions again."""
        now = time.time()
        settings = self._decider.settings | {"tagger": self._tagger, "deadline": self._deadline}
        values = {SETTINGS: json.dumps(settings), column(_NAME, "package_version"): version("bluesky_xtag")}
        return {key: {"value": value, "timestamp": now} for key, value in values.items()}

    def describe_configuration(self) -> dict[str, DataKey]:
        """Return the data keys of `read_configuration`."""
        return dict.fromkeys((SETTINGS, column(_NAME, "package_version")), data_key(_SOURCE, "string"))
