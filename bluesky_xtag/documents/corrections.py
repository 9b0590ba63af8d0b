"""Lays what people said of frames over the tags that a model gave them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from .columns import tagger_name
from .tagging import FrameId

__all__ = ["Correction", "Verdict", "decided_by", "overlay", "verdicts"]

logger = logging.getLogger(__name__)

MODEL = "model"  # who decided where no person did


@dataclass(frozen=True)
class Correction:
    """What one person said of one frame at one time.

    Parameters
    ----------
    frame : FrameId
        Which frame.
    added, removed : tuple of str
        Tags that hold, and tags that do not.
    by : str
        Who said so.
    note : str
        Why.
    time : float
        When, seconds since 1970; 0 before it is stored.
    correction : str
        Uid of the derived run that holds it; "" before it is stored.
    """

    frame: FrameId
    added: tuple[str, ...]
    removed: tuple[str, ...]
    by: str
    note: str = ""
    time: float = 0.0
    correction: str = ""

    @classmethod
    def read(cls, start: Mapping[str, Any]) -> list[Correction]:
        """Return what the start document of a correction tells."""
        return [
            cls(
                FrameId(
                    run=str(start["original_run_uid"]),
                    stream="",
                    key=each["key"],
                    seq_num=int(each["seq_num"]),
                    index=int(each["index"]),
                    event=each["event"],
                ),
                added=tuple(each["added"]),
                removed=tuple(each["removed"]),
                by=each["by"],
                note=each["note"],
                time=float(start["time"]),
                correction=str(start["uid"]),
            )
            for each in start["xtag"]["said"]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return what the start document of a correction tells of this."""
        return {
            **{name: getattr(self.frame, name) for name in ("event", "key", "seq_num", "index")},
            **{name: getattr(self, name) for name in ("by", "note")},
            **{name: list(getattr(self, name)) for name in ("added", "removed")},
        }


@dataclass(frozen=True)
class Verdict:
    """What people hold of one frame in the end: of each tag that anybody spoke of, the newest word.

    Parameters
    ----------
    truth : mapping of str to bool
        Whether a tag holds.
    by : str
        Who said the newest.
    note : str
        The newest note that is not empty.
    """

    truth: Mapping[str, bool]
    by: str
    note: str

    def apply(self, accepted: Iterable[str]) -> list[str]:
        """Return accepted tags with those that hold added and those that do not left out; new ones come last."""
        given = list(accepted)
        kept = [tag for tag in given if self.truth.get(tag, True)]
        return kept + [tag for tag, holds in self.truth.items() if holds and tag not in given]


def decided_by(name: str) -> str:
    """Return the column that says who decided on a frame's tags: "model", or who corrected them last."""
    return f"{name}_decided_by"


def verdicts(table: pd.DataFrame, said: Iterable[Correction]) -> dict[Any, Verdict]:
    """Return what people hold of the frames of a table, by the table's index.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of a stream "tags", of any model.
    said : iterable of Correction
        In any order. What was said of frames that are not in the table is left out.
    """
    name = tagger_name(table.columns)
    places = [table[f"{name}_frame_{part}"].tolist() for part in ("event", "key", "seq_num", "index")]
    rows: dict[tuple[Any, ...], list[Any]] = {}
    for row, event, *place in zip(table.index, *places, strict=True):
        rows.setdefault((event, *place), []).append(row)
        # A store may give the events of a replay other uids than they had live.
        rows.setdefault(tuple(place), []).append(row)
    found: dict[Any, Verdict] = {}
    for each in sorted(said, key=lambda each: each.time):
        place = (each.frame.key, each.frame.seq_num, each.frame.index)
        at = rows.get((each.frame.event, *place)) or rows.get(place, [])
        if len(at) > 1:
            logger.warning(
                "What %s said of the frame %s, point %d, image %d is left out: %d frames are called so",
                *(each.by, *place, len(at)),
            )
        elif at:
            before = found.get(at[0])
            now = dict.fromkeys(each.added, True) | dict.fromkeys(each.removed, False)
            found[at[0]] = Verdict((dict(before.truth) if before else {}) | now, each.by, each.note or _note(before))
    return found


def _note(verdict: Verdict | None) -> str:
    return verdict.note if verdict else ""


def overlay(table: pd.DataFrame, said: Iterable[Correction]) -> pd.DataFrame:
    """Return a table of tags with what people said laid over it, and a column that says who decided.

    The scores stay those of the model. Tags stand in the order of the table's scores, those that its model does not
    know behind them.
    """
    name = tagger_name(table.columns)
    found = verdicts(table, said)
    order = [column.removeprefix(f"{name}_p_") for column in table.columns if column.startswith(f"{name}_p_")]
    place = {tag: number for number, tag in enumerate(order)}
    changed = table.copy()
    for row, verdict in found.items():
        tags = verdict.apply(str(table.at[row, f"{name}_tags"]).split())
        changed.at[row, f"{name}_tags"] = " ".join(sorted(tags, key=lambda tag: place.get(tag, len(place))))
    # The rows of a correction tell themselves who decided.
    own = f"{name}_by"
    deciders = table[own].to_list() if own in table else [MODEL] * len(table)
    changed[decided_by(name)] = [
        found[row].by if row in found else decider for row, decider in zip(table.index, deciders, strict=True)
    ]
    return changed
