"""The language of the page's search field: words that a frame must meet, such as `ring -halo spots>0.9 x<2`."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np

from ..documents import STATUSES
from ..errors import XTagValueError
from .frame_columns import FrameColumns

__all__ = ["ORDERS", "WORDS", "select_frames"]

# Words with a colon, and what they mean.
WORDS = {
    "status": "frames with one of these outcomes: `status:late,dropped`",
    "scan": "frames of these scans: `scan:7` or `scan:7,9`, or `scan:3-6`",
    "run": "frames of the run whose uid begins so: `run:4f2a`",
    "plan": "frames of runs of this plan: `plan:grid_scan`",
    "sample": "frames of this sample: `sample:gold`",
    "model": "frames whose tags a model gave with this name: `model:default`",
    "by": "frames that this person corrected last, or `by:model` for those that nobody corrected",
    "since": "frames taken at this date or later: `since:2026-03-01`",
    "until": "frames taken before this date: `until:2026-03-02`",
}
ORDERS = {
    "newest": "newest run first, in the order of its scan",
    "oldest": "oldest run first",
    "doubt": "the tags that are most likely wrong first",
    "novelty": "scores that differ most from those of corrected frames first",
}

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": np.isclose,
}
_COMPARISON = re.compile(r"(?P<name>[^<>=:]+?)(?P<operator>>=|<=|>|<|=)(?P<value>.+)")
_LONGEST = 1000  # characters
_LIKE = re.compile(r"like:(?P<run>[0-9a-zA-Z-]+):(?P<position>\d+)")


def select_frames(columns: FrameColumns, text: str = "", order: str = "newest") -> tuple[np.ndarray, np.ndarray]:
    """Return the frames that meet all words of a text, in an order.

    Parameters
    ----------
    columns : FrameColumns
        All frames.
    text : str
        Words with spaces between. `ring` and `-ring`: the tag is accepted, or not; `ring>0.9`: its score; `x<2`: the
        position of a motor; others are those of `WORDS`. A minus negates any word.
    order : str
        One of `ORDERS`; a tag, for its highest score first; a tag or an order with a minus, for the opposite; or
        `like:RUN:POSITION`, for the frames with scores most like those of a frame.

    Returns
    -------
    numpy.ndarray, numpy.ndarray
        (selected,) int64 positions in the columns, and (selected,) float32 what they are ordered by.

    Raises
    ------
    XTagValueError
        A word is not understood. The message says which, and what may be meant.
    """
    if len(text) > _LONGEST:
        raise XTagValueError(f"the search has {len(text)} characters: give {_LONGEST} at most")
    chosen = np.ones(len(columns.run), bool)
    for word in text.split():
        negated = word.startswith("-") and len(word) > 1
        found = _meets(columns, word[1:] if negated else word)
        chosen &= ~found if negated else found
    rows = np.flatnonzero(chosen)
    return _ordered(columns, rows, order)


def _meets(columns: FrameColumns, word: str) -> np.ndarray:
    if word == "corrected":
        return columns.corrected
    if word in columns.tags:
        return columns.accepted[:, columns.tags.index(word)]
    name, colon, value = word.partition(":")
    if colon and name in WORDS:
        return _WORDS[name](columns, value)
    if found := _COMPARISON.fullmatch(word):
        return _compare(columns, found["name"], found["operator"], found["value"])
    raise XTagValueError(f"{word!r} is not understood: {_hint(columns, word)}")


def _compare(columns: FrameColumns, name: str, sign: str, value: str) -> np.ndarray:
    try:
        number = float(value)
    except ValueError:
        raise XTagValueError(f"{name}{sign}{value}: {value!r} is not a number") from None
    if name in columns.tags:
        values = columns.scores[:, columns.tags.index(name)]
    elif name in columns.motors:
        values = columns.motor(name)
    elif name in ("doubt", "novelty"):
        values = getattr(columns, name)
    else:
        raise XTagValueError(f"{name!r} is neither a tag nor a motor: {_hint(columns, name)}")
    with np.errstate(invalid="ignore"):
        return np.asarray(_OPERATORS[sign](values, number), bool)


def _hint(columns: FrameColumns, word: str) -> str:
    known = [*columns.tags, *columns.motors, *(f"{each}:" for each in WORDS), "corrected"]
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return "give a tag, a tag or a motor with a number as in ring>0.9, or a word such as status:late or scan:7"


def _of_runs(columns: FrameColumns, is_meant: Callable[[Any], bool]) -> np.ndarray:
    meant = np.array([is_meant(run) for run in columns.runs], bool)
    return meant[columns.run] if len(meant) else np.zeros(0, bool)


def _status(columns: FrameColumns, value: str) -> np.ndarray:
    names = value.split(",")
    if unknown := [name for name in names if name not in STATUSES]:
        raise XTagValueError(f"status:{unknown[0]}: choose from {', '.join(STATUSES)}")
    return np.isin(columns.status, [STATUSES.index(name) for name in names])


def _scan(columns: FrameColumns, value: str) -> np.ndarray:
    wanted: list[range] = []
    for part in value.split(","):
        found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if found is None:
            raise XTagValueError(f"scan:{part}: give the number of a scan, or two with - between")
        wanted.append(range(int(found[1]), int(found[2] or found[1]) + 1))
    return _of_runs(columns, lambda run: any(run.about["scan_id"] in each for each in wanted))


def _text(name: str) -> Callable[[FrameColumns, str], np.ndarray]:
    def meets(columns: FrameColumns, value: str) -> np.ndarray:
        return _of_runs(columns, lambda run: value.lower() in str(run.about[name]).lower())

    return meets


def _moment(value: str, word: str) -> float:
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        raise XTagValueError(f"{word}:{value}: give a date such as 2026-03-01 or 2026-03-01T17:30") from None


_WORDS: dict[str, Callable[[FrameColumns, str], np.ndarray]] = {
    "status": _status,
    "scan": _scan,
    "run": lambda columns, value: _of_runs(columns, lambda run: run.uid.startswith(value)),
    "plan": _text("plan"),
    "sample": _text("sample"),
    "model": _text("model"),
    "by": lambda columns, value: columns.decided == value,
    "since": lambda columns, value: columns.time >= _moment(value, "since"),
    "until": lambda columns, value: columns.time < _moment(value, "until"),
}
assert set(_WORDS) == set(WORDS)


def _ordered(columns: FrameColumns, rows: np.ndarray, order: str) -> tuple[np.ndarray, np.ndarray]:
    if found := _LIKE.fullmatch(order):
        return _like(columns, rows, found["run"], int(found["position"]))
    name = order.removeprefix("-")
    if name in ("newest", "oldest"):
        began = columns.began[rows]
        sign = -1 if (name == "newest") == (order == name) else 1
        at = np.lexsort((columns.position[rows], sign * columns.run[rows], sign * began))
        return rows[at], np.zeros(len(at), np.float32)
    if name in ("doubt", "novelty"):
        values = getattr(columns, name)[rows]
    elif name in columns.tags:
        values = columns.scores[rows, columns.tags.index(name)]
    else:
        raise XTagValueError(f"frames cannot be ordered by {order!r}: choose {', '.join(ORDERS)}, or a tag")
    # NaN comes last in both directions.
    at = np.argsort(values if order.startswith("-") else -values, kind="stable")
    return rows[at], values[at].astype(np.float32)


def _like(columns: FrameColumns, rows: np.ndarray, uid: str, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames that the same model scored, nearest scores first."""
    like = next((run for run in columns.runs if run.uid == uid), None)
    if like is None or position >= len(like):
        raise XTagValueError(f"there is no frame {position} of run {uid}")
    if like.statuses[position] != 0:
        raise XTagValueError("the frame has no scores to compare")
    same = _of_runs(columns, lambda run: run.about["sha256"] == like.about["sha256"])[rows]
    rows = rows[same & (columns.status[rows] == 0)]
    at = [columns.tags.index(tag) for tag in like.tags]
    apart = np.linalg.norm(columns.scores[rows][:, at] - like.scores[position], axis=1)
    near = np.argsort(apart, kind="stable")
    return rows[near], apart[near].astype(np.float32)
