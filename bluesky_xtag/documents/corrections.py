"""Combines people's corrections with the tags that a model gave."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from .table import TagTable
from .tagging import FrameId

__all__ = ["MODEL", "Correction", "Verdict", "overlay", "verdicts"]

logger = logging.getLogger(__name__)

MODEL = "model"  # who decided where no person did


@dataclass(frozen=True)
class Correction:
    """What one person said about one frame at one time.

    Parameters
    ----------
    frame : FrameId
        Which frame.
    added, removed : tuple of str
        Tags that hold, and tags that do not.
    by : str
        Who made the correction.
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
        """Return the corrections that the start document of a derived run holds."""
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
        """Return the entry of this correction in the start document of its derived run."""
        return {
            **{name: getattr(self.frame, name) for name in ("event", "key", "seq_num", "index")},
            **{name: getattr(self, name) for name in ("by", "note")},
            **{name: list(getattr(self, name)) for name in ("added", "removed")},
        }


@dataclass(frozen=True)
class Verdict:
    """The result of all corrections of one frame: for each tag that a person spoke of, the newest statement counts.

    Parameters
    ----------
    truth : mapping of str to bool
        Whether a tag holds.
    by : str
        Who made the newest correction.
    note : str
        The newest note that is not empty.
    """

    truth: Mapping[str, bool]
    by: str
    note: str

    def apply(self, accepted: Iterable[str]) -> list[str]:
        """Return accepted tags, plus the tags that hold, minus the tags that do not. New tags come last."""
        given = list(accepted)
        kept = [tag for tag in given if self.truth.get(tag, True)]
        return kept + [tag for tag, holds in self.truth.items() if holds and tag not in given]


def verdicts(frames: Sequence[FrameId], said: Iterable[Correction]) -> dict[int, Verdict]:
    """Return the verdicts of people on frames, by the position of the frame.

    Parameters
    ----------
    frames : sequence of FrameId
        The frames of a run.
    said : iterable of Correction
        In any order. Corrections of other frames are left out.
    """
    rows: dict[tuple[Any, ...], list[int]] = {}
    for row, frame in enumerate(frames):
        place = (frame.key, frame.seq_num, frame.index)
        rows.setdefault((frame.event, *place), []).append(row)
        # A store may give the events of a replay other uids than they had live.
        rows.setdefault(place, []).append(row)
    found: dict[int, Verdict] = {}
    for each in sorted(said, key=lambda each: each.time):
        place = (each.frame.key, each.frame.seq_num, each.frame.index)
        at = rows.get((each.frame.event, *place)) or rows.get(place, [])
        if len(at) > 1:
            logger.warning(
                "The correction by %s of the frame %s, point %d, image %d is left out: it fits %d frames",
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
    """Return a table of tags in which people's corrections replace tags, with a column that says who decided.

    The scores are still those of the model. The tags are in the order of the table's scores; tags that the model does
    not know come last.
    """
    rows = TagTable(table)
    found = {table.index[row]: verdict for row, verdict in verdicts(rows.frames(), said).items()}
    place = {tag: number for number, tag in enumerate(rows.tags)}
    changed = table.copy()
    for row, verdict in found.items():
        tags = verdict.apply(str(table.at[row, rows.column("tags")]).split())
        changed.at[row, rows.column("tags")] = " ".join(sorted(tags, key=lambda tag: place.get(tag, len(place))))
    # The rows of a correction tell themselves who decided.
    deciders = rows["by"].to_list() if "by" in rows else [MODEL] * len(table)
    changed[rows.decided_by()] = [
        found[row].by if row in found else decider for row, decider in zip(table.index, deciders, strict=True)
    ]
    return changed
