"""Combines people's corrections with the tags that a model gave."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from .table import TagTable
from .tagging import FrameId

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MODEL", "Correction", "Verdict", "in_order", "newest", "overlay", "standing", "verdicts"]

logger = logging.getLogger("bluesky_xtag")

MODEL = "model"  # who decided where no person did
_OPTIONAL = ("request", "retracts")  # left out of what is stored where they are empty


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
    follows : tuple of str
        Uids of the newest corrections that its author saw. It counts after them, whatever the clocks say.
    request : str
        A name that its author gave to it, by which it is stored once; "" if none.
    retracts : str
        The uid or the request of a correction of the same run that is taken back; "" if this one says something about
        tags. Neither counts then.
    """

    frame: FrameId
    added: tuple[str, ...]
    removed: tuple[str, ...]
    by: str
    note: str = ""
    time: float = 0.0
    correction: str = ""
    follows: tuple[str, ...] = ()
    request: str = ""
    retracts: str = ""

    @classmethod
    def read(cls, start: Mapping[str, Any]) -> list[Correction]:
        """Return the corrections that the start document of a derived run holds.

        Raises
        ------
        LookupError, TypeError or ValueError
            They are not what `to_dict` gives.
        """
        time, said = start["time"], start["xtag"]["said"]
        if isinstance(time, bool) or not abs(time) <= sys.float_info.max:
            raise ValueError(f"the time {time!r} is none")
        if not isinstance(said, list | tuple) or not said:
            raise TypeError(f"{type(said).__name__} is not a list of corrections")
        return [cls._read(start, each) for each in said]

    @classmethod
    def _read(cls, start: Mapping[str, Any], said: Mapping[str, Any]) -> Correction:
        by = _text(said, "by")
        if by.strip() in ("", MODEL):
            raise ValueError(f"{by!r} is nobody who corrects")
        return cls(
            FrameId(
                run=str(start["original_run_uid"]),
                stream="",
                key=_text(said, "key"),
                seq_num=_number(said, "seq_num"),
                index=_number(said, "index"),
                event=_text(said, "event"),
            ),
            added=_tags(said, "added"),
            removed=_tags(said, "removed"),
            by=by,
            note=_text(said, "note"),
            time=float(start["time"]),
            correction=_text(start, "uid"),
            follows=_texts(start["xtag"].get("follows")),
            **{name: _text(said, name) for name in _OPTIONAL if name in said},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of this correction in the start document of its derived run."""
        return {
            **{name: getattr(self.frame, name) for name in ("event", "key", "seq_num", "index")},
            **{name: getattr(self, name) for name in ("by", "note")},
            **{name: list(getattr(self, name)) for name in ("added", "removed")},
            **{name: value for name in _OPTIONAL if (value := getattr(self, name))},
        }


def _text(said: Mapping[str, Any], name: str) -> str:
    if not isinstance(said[name], str):
        raise TypeError(f"{name} is {said[name]!r}, not a text")
    return said[name]


def _number(said: Mapping[str, Any], name: str) -> int:
    value = said[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{name} is {value!r}, not a number of a frame")
    return value


def _tags(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    tags = said[name]
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) and tag.split() == [tag] for tag in tags):
        raise TypeError(f"{name} is {tags!r}, not a list of tags")
    return tuple(tags)


def _texts(value: object) -> tuple[str, ...]:
    """Return a list of texts, or nothing: corrections of earlier versions have none."""
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def in_order(said: Iterable[Correction]) -> list[Correction]:
    """Return corrections in the order in which they count.

    A correction comes after those that its author saw, whatever the clocks of the machines said. Corrections that did
    not see each other come in the order of their times, and of their uids where these are equal, so that everybody
    finds the same order.
    """
    parts: dict[str, list[Correction]] = {}
    for each in said:
        parts.setdefault(each.correction, []).append(each)
    sorter = TopologicalSorter(
        {uid: [seen for seen in part[0].follows if seen in parts and seen != uid] for uid, part in parts.items()}
    )
    ready: list[tuple[float, str]] = []
    found: list[Correction] = []
    try:
        sorter.prepare()
    except CycleError:  # nobody can have seen what came after: these are not of this package, so the clocks decide
        return [each for uid in sorted(parts, key=lambda uid: _moment(parts[uid])) for each in parts[uid]]
    while sorter.is_active():
        for uid in sorter.get_ready():
            heappush(ready, _moment(parts[uid]))
        _, uid = heappop(ready)
        found += parts[uid]
        sorter.done(uid)
    return found


def _moment(part: Sequence[Correction]) -> tuple[float, str]:
    return part[0].time, part[0].correction


def newest(said: Iterable[Correction]) -> tuple[str, ...]:
    """Return the uids of the corrections that no other one follows, in a fixed order."""
    said = list(said)
    followed = {uid for each in said for uid in each.follows if uid != each.correction}
    return tuple(sorted({each.correction for each in said} - followed))


def standing(said: Iterable[Correction]) -> list[Correction]:
    """Return the corrections that count, in the given order: without those taken back, and without what took them."""
    said = list(said)
    back = {each.retracts for each in said if each.retracts}
    return [each for each in said if not each.retracts and not back & {each.correction, each.request}]


@dataclass(frozen=True)
class Verdict:
    """The result of all corrections of one frame: for each tag that a person spoke of, the last statement counts.

    Parameters
    ----------
    truth : mapping of str to bool
        Whether a tag holds.
    by : str
        Who made the last correction.
    note : str
        The last note that is not empty.
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
        In any order. Corrections of other frames are left out, and so are those that were taken back.
    """
    rows: dict[tuple[Any, ...], list[int]] = {}
    for row, frame in enumerate(frames):
        place = (frame.key, frame.seq_num, frame.index)
        rows.setdefault((frame.event, *place), []).append(row)
        # A store may give the events of a replay other uids than they had live.
        rows.setdefault(place, []).append(row)
    found: dict[int, Verdict] = {}
    for each in standing(in_order(said)):
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
