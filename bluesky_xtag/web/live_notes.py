"""What the live page keeps of a document: scalars, taken out on the RunEngine's thread in some microseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..documents import STREAM as TAGS
from ..plans import STREAM as DECISIONS

__all__ = ["FramesNote", "NoteMaker"]

_LONGEST = 1000  # characters of a text that is kept
_ROWS = 5000  # newest rows of a page of events
_MOTORS = 12


@dataclass(frozen=True, slots=True)
class FramesNote:
    """Which frames a document brought, without a way to their pixels: the parts of `FrameRange`, and when."""

    run: str
    stream: str
    key: str
    event: str
    first: int
    events: int
    images: int
    time: float


class NoteMaker:
    """Turns documents into notes; remembers which descriptors belong to open runs."""

    def __init__(self) -> None:
        self._motors: dict[str, tuple[str, ...]] = {}  # by run
        self._streams: dict[str, tuple[str, str, tuple[str, ...] | None]] = {}  # by descriptor: run, stream, columns

    def __call__(self, name: str, doc: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        """Return the kind of a note and its content; None for a document of which the page shows nothing."""
        make = {
            "start": self._start,
            "descriptor": self._descriptor,
            "event": self._event,
            "event_page": self._event_page,
            "stop": self._stop,
        }.get(name)
        return None if make is None else make(doc)

    def _start(self, doc: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        motors, fields = _axes(doc)
        self._motors[doc["uid"]] = fields
        points, scan_id = doc.get("num_points"), doc.get("scan_id")
        return "start", {
            "uid": doc["uid"],
            "time": float(doc["time"]),
            "scan_id": scan_id if isinstance(scan_id, int) else 0,
            "plan": str(doc.get("plan_name", ""))[:_LONGEST],
            "sample": _sample(doc),
            "points": points if isinstance(points, int) else None,
            "motors": motors,
            "fields": fields,
            "extents": _extents(doc, len(fields)),
            "shape": _shape(doc, len(fields)),
        }

    def _descriptor(self, doc: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        run, stream, keys = doc["run_start"], str(doc.get("name", "primary")), doc["data_keys"]
        if run not in self._motors or stream == TAGS:
            return None
        if stream == DECISIONS:
            self._streams[doc["uid"]] = run, stream, None
            return None
        fields = self._motors[run]
        known = tuple(field for field in fields if field in keys)
        if not fields:  # a plan that names no motors: what has a setpoint is one
            marks = ("_setpoint", "_user_setpoint")
            known = tuple(key for key in keys if any(key + mark in keys for mark in marks))[:_MOTORS]
        self._streams[doc["uid"]] = run, stream, known
        return ("motors", {"run": run, "fields": known}) if known and not fields else None

    def _event(self, doc: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        found = self._streams.get(doc["descriptor"])
        if found is None:
            return None
        run, stream, columns = found
        data = doc["data"]
        if columns is None:
            row = {key: value for key, value in data.items() if _is_scalar(value)}
            return "decision", {"run": run, "seq_num": doc["seq_num"], "data": row}
        where = {key: float(data[key]) for key in columns if _is_number(data.get(key))}
        return "point", {"run": run, "stream": stream, "seq_num": doc["seq_num"], "where": where}

    def _event_page(self, doc: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        found = self._streams.get(doc["descriptor"])
        run, stream, columns = found if found is not None else ("", "", None)
        if not columns:
            return None
        moved = {key: list(doc["data"][key][-_ROWS:]) for key in columns if key in doc["data"]}
        where = {key: values for key, values in moved.items() if all(map(_is_number, values))}
        return "points", {"run": run, "stream": stream, "seq_num": list(doc["seq_num"][-_ROWS:]), "where": where}

    def _stop(self, doc: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        run = doc["run_start"]
        self._motors.pop(run, None)
        self._streams = {uid: found for uid, found in self._streams.items() if found[0] != run}
        status, reason = str(doc.get("exit_status", "")), str(doc.get("reason", ""))[:_LONGEST]
        return "stop", {"run": run, "exit_status": status, "reason": reason}


def _axes(doc: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a run's motors, and their columns; those of ophyd-async are not called as the motors are."""
    motors = doc.get("motors")
    motors = tuple(map(str, motors)) if isinstance(motors, Sequence) and not isinstance(motors, str) else ()
    try:
        fields = tuple(str(field) for names, _ in doc["hints"]["dimensions"] for field in names if field != "time")
    except (KeyError, TypeError, ValueError):  # hints are written by people, too
        fields = motors
    fields = fields[:_MOTORS]
    return motors if len(motors) == len(fields) else fields, fields


def _extents(doc: Mapping[str, Any], count: int) -> list[list[float]] | None:
    """Return from where to where each motor moves, as bluesky's plans and ours tell it; None if they do not."""
    try:
        found = doc["extents"] if "extents" in doc else _triples(doc["plan_args"]["args"])
        pairs = [[float(low), float(high)] for low, high in found]
    except (KeyError, TypeError, ValueError):
        return None
    pairs = [sorted(pair) for pair in pairs if all(map(_is_number, pair))]
    return pairs if count and len(pairs) == count else None


def _triples(arguments: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return the limits in motor, low, high, motor, low, high, ..."""
    if len(arguments) % 3:
        raise ValueError("these are not motors with limits")
    return list(zip(arguments[1::3], arguments[2::3], strict=True))


def _shape(doc: Mapping[str, Any], count: int) -> list[int] | None:
    """Return how many places each motor has; None if the plan does not tell."""
    shape = doc.get("shape")
    if not isinstance(shape, Sequence) or len(shape) != count or not all(isinstance(each, int) for each in shape):
        return None
    return [max(each, 1) for each in shape]


def _sample(doc: Mapping[str, Any]) -> str:
    sample = doc.get("sample") or doc.get("sample_name") or ""
    if isinstance(sample, Mapping):
        sample = sample.get("name", "")
    return str(sample)[:_LONGEST]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST
    return isinstance(value, int | float | np.generic)
