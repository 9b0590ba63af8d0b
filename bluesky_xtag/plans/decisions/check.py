"""Computes the decisions of a stored run again, from its documents alone, and compares them with the stored ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...catalog import Run, StoredRun, as_run
from ...documents import STREAM as TAGS
from ...documents import TagRow
from ...errors import XTagError
from .by_change import ByChange
from .by_condition import ByCondition
from .by_emptiness import SkipEmpty
from .by_exposure import ByExposure
from .by_line import LineUntil
from .by_lines import ByLines
from .by_sample import BySample
from .by_strategy import ByStrategy
from .decision import Decider, Decision, further_decisions
from .stream import SETTINGS, STREAM, row
from .with_reference import WithReference

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DecisionCheck", "make_decider", "replay_decisions"]

_DECIDERS = {
    "by_strategy": ByStrategy,
    LineUntil.strategy: LineUntil,
    ByExposure.strategy: ByExposure,
    SkipEmpty.strategy: SkipEmpty,
    ByCondition.strategy: ByCondition,
    ByChange.strategy: ByChange,
    BySample.strategy: BySample,
    "by_lines": ByLines,
    "with_reference": WithReference,
}


@dataclass(frozen=True)
class DecisionCheck:
    """The result of comparing stored decisions with those that were computed again.

    Parameters
    ----------
    run : str
        Uid of the run.
    decisions : int
        How many decisions are stored.
    divergence : str
        The first decision that differs, and how; empty if all are equal.
    """

    run: str
    decisions: int
    divergence: str = ""

    @property
    def equal(self) -> bool:
        """Whether all decisions are the same."""
        return not self.divergence

    def __str__(self) -> str:
        if self.equal:
            return f"run {self.run}: {self.decisions} decisions, all equal when computed again"
        return f"run {self.run}: {self.decisions} decisions; {self.divergence}"


def make_decider(settings: Mapping[str, Any]) -> Decider:
    """Return a decider as it was when it was new, from its `settings`.

    Raises
    ------
    XTagError
        The decider used something that is not stored, or it belongs to another version.
    """
    if not settings.get("known"):
        raise XTagError(
            "these decisions cannot be computed again: a function, or a strategy of another package or one that was "
            "used before, decided; give strategies by name and conditions as text"
        )
    kind = _DECIDERS.get(settings["decider"])
    if kind is None:
        raise XTagError(
            f"there is no decider {settings['decider']!r} here: a newer version of bluesky_xtag may have it"
        )
    return kind.from_settings(dict(settings))


def replay_decisions(run: StoredRun) -> DecisionCheck:
    """Compute the decisions of a stored run again, from its documents alone.

    Parameters
    ----------
    run : BlueskyRun or Header
        A run of a Tiled catalogue or of databroker.

    Returns
    -------
    DecisionCheck
        Whether they are equal, or the first one that differs. Numbers count as equal if they differ by at most one part
        in a thousand million.

    Raises
    ------
    XTagError
        The run has no decisions, or they cannot be computed again.
    """
    run = as_run(run)
    if STREAM not in run.streams:
        raise XTagError(f"run {run.uid} has no stream {STREAM!r}: no plan used tags to decide in it")
    stored = run.table(STREAM)
    settings = json.loads(run.descriptor(STREAM)["configuration"][STREAM]["data"][SETTINGS])
    divergence = first_divergence(stored, _rows_seen(run, settings), settings)
    return DecisionCheck(run.uid, len(stored), divergence)


def _rows_seen(run: Run, settings: Mapping[str, Any]) -> dict[int, TagRow]:
    """Return the rows of the stream "tags" by their sequence number."""
    if TAGS not in run.streams:
        return {}
    rows = run.table(TAGS)
    return {
        int(number): TagRow.read(int(number), data, settings["tagger"], settings["tags"])
        for number, data in zip(rows.index, rows.to_dict("records"), strict=True)
    }


def first_divergence(stored: pd.DataFrame, seen: Mapping[int, TagRow], settings: Mapping[str, Any]) -> str:
    """Return the first decision that differs when it is computed again, and how; "" if all are equal.

    Parameters
    ----------
    stored : pandas.DataFrame
        The stream "decisions", index ``seq_num``.
    seen : mapping of int to TagRow
        The rows of the stream "tags" by sequence number.
    settings : mapping
        The settings of the decider, with the tagger's deadline.
    """
    decider: Any = make_decider(settings)
    first = decider.first()
    waiting: list[Decision] = [] if first is None else [first, *further_decisions(decider)]
    ended, before = False, 0
    for number, data in zip(stored.index, stored.to_dict("records"), strict=True):
        if ended:
            return f"decision {number} is stored, but the plan had already ended"
        seen_row = int(data["decision_row"])
        if waiting:
            again = waiting.pop(0)
        elif getattr(decider, "flies", False):
            again = decider.decide_line(seen[row] for row in range(before + 1, seen_row + 1) if row in seen)
            before = max(before, seen_row)
        elif seen_row not in seen:
            return f"decision {number} uses row {seen_row} of the stream {TAGS!r}, which is not stored"
        else:
            if recall := getattr(decider, "recall", None):
                recall(data)  # what people asked or wanted
            again = decider.decide(seen[seen_row])
            waiting = further_decisions(decider)
        for column, value in row(decider, again, settings["deadline"]).items():
            if column not in data:
                return f"decision {number}: {column} is not stored, but computed again it is {value!r}"
            if not _same(data[column], value):
                return f"decision {number}: {column} is stored as {data[column]!r}, but computed again it is {value!r}"
        ended = again.action == "stop"
    return ""


def _same(stored: Any, again: float | int | str | bool) -> bool:
    if isinstance(again, float):
        stored = float(stored)
        return (math.isnan(stored) and math.isnan(again)) or math.isclose(stored, again, rel_tol=1e-9, abs_tol=1e-12)
    return type(again)(stored) == again
