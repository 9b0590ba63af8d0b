"""The shape of the stream "decisions", a row a decision: the only place that knows its column names."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, cast

from bluesky.protocols import Hints, Reading
from event_model import DataKey, unpack_event_page

from ...documents import STREAM as TAGS
from ...documents import score_column
from ..conditions import Seen
from .decision import Decider, Decision

__all__ = ["SETTINGS", "STREAM", "DecisionLog", "TagsWatch", "chosen_column", "data_keys", "row", "seen_in"]

STREAM = "decisions"

SETTINGS = "decision_settings"
"""Configuration key of all that is needed to compute the decisions again, as JSON."""

_COLUMNS = {
    "decision_point": "integer",
    "decision_strategy": "string",
    "decision_row": "integer",
    "decision_tag": "string",
    "decision_p": "number",
    "decision_tags": "string",
    "decision_status": "string",
    "decision_deadline_met": "boolean",
    "decision_action": "string",
    "decision_reason": "string",
}
# Types that every store gives back as they went in; strings of any length have no NumPy name in the schema.
_NUMPY_TYPES = {"number": "<f8", "integer": "<i8", "boolean": "|b1"}


def chosen_column(name: str) -> str:
    """Return the column that holds what was chosen for a motor or signal."""
    return f"decision_to_{name}"


def data_keys(names: Sequence[str]) -> dict[str, DataKey]:
    """Return event-model data keys of the columns, in column order, for these motors and signals."""
    columns = _COLUMNS | {chosen_column(name): "number" for name in names}
    return {column: _key(dtype) for column, dtype in columns.items()}


def _key(dtype: str) -> DataKey:
    key = {"source": "bluesky_xtag:decisions", "dtype": dtype, "shape": []}
    if dtype in _NUMPY_TYPES:
        key["dtype_numpy"] = _NUMPY_TYPES[dtype]
    return cast("DataKey", key)


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
    return {
        "decision_point": decision.point,
        "decision_strategy": decider.strategy,
        "decision_row": seen.row,
        "decision_tag": decider.tag,
        "decision_p": float(seen.scores.get(decider.tag, math.nan)),
        "decision_tags": " ".join(seen.tags),
        "decision_status": seen.status,
        "decision_deadline_met": in_time,
        "decision_action": decision.action,
        "decision_reason": decision.reason,
    } | {chosen_column(name): float(decision.values.get(name, math.nan)) for name in decider.names}


def seen_in(number: int, data: Mapping[str, Any], tagger: str, tags: Sequence[str]) -> Seen:
    """Return what a row of the stream "tags" says.

    Parameters
    ----------
    number : int
        Sequence number of the row.
    data : mapping
        Its columns.
    tagger : str
        The tagger's name, with which the columns begin.
    tags : sequence of str
        The names of the tags.
    """
    return Seen(
        row=int(number),
        status=str(data[f"{tagger}_status"]),
        tags=tuple(str(data[f"{tagger}_tags"]).split()),
        scores={tag: float(data[score_column(tagger, tag)]) for tag in tags},
        latency=float(data[f"{tagger}_latency"]),
        frame=str(data[f"{tagger}_frame_event"]),
    )


class TagsWatch:
    """A document callback that keeps the newest row of the stream "tags" of each run.

    Plans decide by it, and not by what the tagger told them: after a pause the RunEngine takes points again, and the
    row that counts is the one that it emitted last.

    Parameters
    ----------
    tagger : str
        The tagger's name, with which the columns begin.
    tags : sequence of str
        The names of the tags.
    """

    def __init__(self, tagger: str, tags: Sequence[str]) -> None:
        self._tagger = tagger
        self._tags = tags
        self._streams: dict[str, str] = {}  # descriptor to run
        self._newest: dict[str, Seen] = {}
        self.run = ""
        """Uid of the run that was opened last."""

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document."""
        match name:
            case "start":
                self.run = doc["uid"]
            case "descriptor" if doc.get("name") == TAGS:
                self._streams[doc["uid"]] = doc["run_start"]
            case "event" if doc["descriptor"] in self._streams:
                seen = seen_in(doc["seq_num"], doc["data"], self._tagger, self._tags)
                self._newest[self._streams[doc["descriptor"]]] = seen
            case "event_page" if doc["descriptor"] in self._streams:
                for event in unpack_event_page(cast(Any, doc)):
                    self("event", event)

    def newest(self, run: str) -> Seen:
        """Return what the newest row of a run says; of a run without rows, that nothing was seen."""
        return self._newest.get(run, Seen(status="failed"))


class DecisionLog:
    """The device that plans read after each decision: it gives the row of the newest one.

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
        """Take the decision that is read next."""
        self._row = row(self._decider, decision, self._deadline)

    @property
    def hints(self) -> Hints:
        """No columns by default in other callbacks' tables and plots."""
        return {"fields": []}

    def read(self) -> dict[str, Reading]:
        """Return the row of the newest decision; the same again if the RunEngine asks again after a pause."""
        now = time.time()
        return {column: {"value": value, "timestamp": now} for column, value in self._row.items()}

    def describe(self) -> dict[str, DataKey]:
        """Return the data keys of the columns."""
        return data_keys(self._decider.names)

    def read_configuration(self) -> dict[str, Reading]:
        """Return all that is needed to compute the decisions again."""
        now = time.time()
        settings = self._decider.settings | {"tagger": self._tagger, "deadline": self._deadline}
        values = {SETTINGS: json.dumps(settings), "decision_package_version": version("bluesky_xtag")}
        return {key: {"value": value, "timestamp": now} for key, value in values.items()}

    def describe_configuration(self) -> dict[str, DataKey]:
        """Return the data keys of `read_configuration`."""
        return {SETTINGS: _key("string"), "decision_package_version": _key("string")}
