"""One run as the live page shows it: its places, what was tagged there, and what a plan decided because of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..documents import STATUSES, Tagging
from .live_notes import FramesNote

__all__ = ["MOST_PLACES", "LiveRun"]

MOST_PLACES = 5000
"""Newest places of a run that are kept."""
_DECISIONS = 100  # newest ones that are kept
_CHOOSES = ("move", "repeat", "expose")  # actions after which a frame comes where the decision says
_PREFIX = "decision_"

WAITING = 0  # states of a place: no outcome yet; else 1 + its place in STATUSES
_CODES = {status: code for code, status in enumerate(STATUSES, 1)}

_Frame = tuple[str, str, int, int]  # stream, key, sequence number, index


class LiveRun:
    """What is known of a run while it is taken. Used from one thread.

    A place belongs to a frame: a stream, a key, a sequence number and an index. After a pause the RunEngine may go back
    and take points again with the same numbers; their places are then those of before, without an outcome, until the
    new one comes. A point that a plan repeats has a new number, so it has a place of its own at the same position.

    Parameters
    ----------
    note : mapping
        Of its start document.
    tags : sequence of str
        The tags of the model, in their order.
    thresholds : sequence of float
        Score from which on each tag is accepted.
    """

    def __init__(self, note: Mapping[str, Any], tags: Sequence[str], thresholds: Sequence[float]) -> None:
        self.uid: str = note["uid"]
        self._about = {
            "scan_id": note["scan_id"],
            "plan": note["plan"],
            "sample": note["sample"],
            "time": note["time"],
            "points": note["points"],
            "extents": note["extents"],
            "shape": note["shape"],
            "tags": list(tags),
            "thresholds": [round(float(each), 4) for each in thresholds],
            "ended": None,
        }
        self._motors: tuple[str, ...] = note["motors"]
        self._fields: tuple[str, ...] = note["fields"]
        self._order = {tag: place for place, tag in enumerate(tags)}
        self._places: dict[_Frame, list[Any]] = {}
        self._events: dict[_Frame, str] = {}
        self._at: dict[tuple[str, int], list[float | None]] = {}
        self._of_point: dict[tuple[str, int], list[_Frame]] = {}
        self._counts: Counter[int] = Counter()
        self._decisions: dict[int, dict[str, Any]] = {}
        self._next: list[float | None] | None = None
        self._latest = -1
        self._total = 0
        self._first = 0
        self._keys: list[str] = []
        self._changed: dict[int, list[Any]] = {}
        self._decided: dict[int, dict[str, Any]] = {}
        self._is_new = True

    @property
    def is_open(self) -> bool:
        """Whether its stop document has not come yet."""
        return self._about["ended"] is None

    def add_motors(self, fields: Sequence[str]) -> None:
        """Take the columns of motors that the start document did not name."""
        self._fields = self._motors = tuple(dict.fromkeys((*self._fields, *fields)))
        self._is_new = True

    def add_frames(self, note: FramesNote) -> None:
        """Take frames that have no outcome yet, or that are taken again after a pause."""
        if note.key not in self._keys:
            self._keys.append(note.key)
            self._is_new = True
        total = note.events * note.images
        for position in range(max(total - MOST_PLACES, 0), total):
            number, index = note.first + position // note.images, position % note.images
            frame = note.stream, note.key, number, index
            place = self._places.get(frame)
            if place is None:
                place = self._add_place(frame)
                self._counts[WAITING] += 1
            else:
                self._set_state(place, WAITING)
                place[TIMES] += 1
                place[TAGS], place[SCORES], place[REASON], place[LATENCY] = [], [], "", None
            place[TIME] = round(note.time, 3)
            place[WHERE] = self._at.get((note.stream, number), [])
            self._events[frame] = note.event
            self._changed[place[ID]] = place
        self._forget()

    def add_point(self, stream: str, number: int, where: Mapping[str, float]) -> None:
        """Take where the motors were at a sequence number of a stream."""
        at = [where.get(field) for field in self._fields]
        self._at[stream, number] = at
        while len(self._at) > MOST_PLACES:
            del self._at[next(iter(self._at))]
        for frame in self._of_point.get((stream, number), ()):
            place = self._places[frame]
            place[WHERE] = at
            self._changed[place[ID]] = place
        self._next = None

    def add_tagging(self, tagging: Tagging) -> int | None:
        """Take an outcome; return the number of its place, None if it is of a frame that was taken again since."""
        frame = tagging.frame.stream, tagging.frame.key, tagging.frame.seq_num, tagging.frame.index
        place = self._places.get(frame)
        if place is None or self._events[frame] != tagging.frame.event:
            return None
        self._set_state(place, _CODES[tagging.status])
        place[TAGS] = [self._order[tag] for tag in tagging.tags if tag in self._order]
        place[SCORES] = [None if math.isnan(score) else round(score, 3) for score in tagging.scores]
        place[REASON] = tagging.reason[:300]
        place[LATENCY] = round(tagging.latency, 4) if math.isfinite(tagging.latency) else None
        self._changed[place[ID]] = place
        self._latest = place[ID]
        return place[ID]

    def add_decision(self, number: int, row: Mapping[str, Any]) -> None:
        """Take a row of the stream "decisions"; one that comes again after a pause replaces the one before."""
        said = {key.removeprefix(_PREFIX): value for key, value in row.items()}
        to = {key.removeprefix("to_"): _number(value) for key, value in said.items() if key.startswith("to_")}
        decision = {
            "number": int(number),
            "point": int(said.get("point", 0)),
            "action": str(said.get("action", "")),
            "reason": str(said.get("reason", "")),
            "tag": str(said.get("tag", "")),
            "p": _number(said.get("p")),
            "to": to,
        }
        self._decisions[number] = self._decided[number] = decision
        while len(self._decisions) > _DECISIONS:
            del self._decisions[next(iter(self._decisions))]
        where = [to.get(motor) for motor in self._motors]
        chooses = decision["action"] in _CHOOSES and any(each is not None for each in where)
        self._next = where if chooses else None

    def end(self, exit_status: str, reason: str) -> None:
        """Take the end of the run."""
        self._about["ended"] = {"status": exit_status, "reason": reason}
        self._next = None
        self._is_new = True

    def take_changes(self) -> dict[str, Any]:
        """Return what changed since the last call, places and decisions as a whole."""
        changed, self._changed = self._changed, {}
        decided, self._decided = self._decided, {}
        is_new, self._is_new = self._is_new, False
        told = self._told(list(changed.values()), list(decided.values()))
        return told | self._whole_about() if is_new else told

    def whole(self) -> dict[str, Any]:
        """Return all that is known."""
        return self._told(list(self._places.values()), list(self._decisions.values())) | self._whole_about()

    def _whole_about(self) -> dict[str, Any]:
        return {"about": dict(self._about), "motors": self._motors, "fields": self._fields, "keys": list(self._keys)}

    def _told(self, places: list[list[Any]], decisions: list[dict[str, Any]]) -> dict[str, Any]:
        counts = {"waiting": self._counts[WAITING]}
        counts |= {status: self._counts[code] for status, code in _CODES.items()}
        return {
            "uid": self.uid,
            "places": places,
            "decisions": decisions,
            "next": self._next,
            "counts": counts,
            "total": self._total,
            "first": self._first,
            "latest": self._latest,
        }

    def _add_place(self, frame: _Frame) -> list[Any]:
        place = [self._total, WAITING, [], [], [], 0.0, frame[2], frame[3], self._keys.index(frame[1]), 1, "", None]
        self._total += 1
        self._places[frame] = place
        self._of_point.setdefault((frame[0], frame[2]), []).append(frame)
        return place

    def _set_state(self, place: list[Any], state: int) -> None:
        self._counts[place[STATE]] -= 1
        self._counts[state] += 1
        place[STATE] = state

    def _forget(self) -> None:
        """Let the oldest places go; they stay counted."""
        while len(self._places) > MOST_PLACES:
            frame = next(iter(self._places))
            place = self._places.pop(frame)
            del self._events[frame]
            of_point = self._of_point[frame[0], frame[2]]
            of_point.remove(frame)
            if not of_point:
                del self._of_point[frame[0], frame[2]]
            self._changed.pop(place[ID], None)
            self._first = place[ID] + 1


# What a place consists of; `live_state.js` has the same list.
ID, STATE, TAGS, SCORES, WHERE, TIME, NUMBER, INDEX, KEY, TIMES, REASON, LATENCY = range(12)


def _number(value: Any) -> float | None:
    try:
        return float(value) if math.isfinite(value) else None
    except (TypeError, ValueError):
        return None
