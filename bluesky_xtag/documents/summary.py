"""The run summary: what the start document says about a run's tags, under the key `xtag`, so that searches find it.

A catalogue's server cannot filter rows, but it can filter start documents. Only there the same query works in
databroker's Mongo layout and in Tiled on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, get_args

from .columns import column, score_column
from .corrections import Correction
from .table import TagTable

if TYPE_CHECKING:
    import pandas as pd

    from ..model import ServedModel

__all__ = [
    "KEY",
    "Source",
    "SummaryCounter",
    "began",
    "describes",
    "identity",
    "model_keys",
    "read_said",
    "read_summary",
    "summarise",
]

logger = logging.getLogger("bluesky_xtag")

KEY = "xtag"  # of the start document

Source = Literal["live", "replay", "human"]
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME_AND_VERSION = re.compile(r"(?P<name>.+) (?P<version>\d\S*)")


def summarise(
    table: pd.DataFrame, configuration: Mapping[str, Any], *, source: Source = "live", derived: bool = False
) -> dict[str, Any]:
    """Return the summary of a tagging of a run.

    Parameters
    ----------
    table : pandas.DataFrame
        The rows of the stream "tags", one for each frame, with the columns of `bluesky_xtag.documents.data_keys`. Other
        columns are ignored.
    configuration : mapping
        The configuration of the stream's descriptor, see `bluesky_xtag.documents.configuration`.
    source : {"live", "replay", "human"}
        Where the tags come from: a tagger during the scan, a replay of the stored run, or a person.
    derived : bool
        Whether the summary belongs to a derived run instead of the run that has the frames.

    Returns
    -------
    dict
        Plain JSON:

        - ``max_p``: the largest score of each tag (float), without tags that have no score;
        - ``count``: how many frames have each tag (int);
        - ``fraction``: ``count`` divided by the number of all frames of the run, also those without scores (float);
        - ``frames`` and ``failed``: how many frames there are, and how many have a status other than "ok" (int);
        - ``model``, ``model_version``, ``model_sha256``, and ``name``, the first part of the column names (str);
        - ``source`` and ``derived``, as given.
    """
    rows = TagTable(table)
    taxonomy = _taxonomy(configuration, rows.name)
    accepted = rows["tags"].str.split().explode().value_counts()
    return _summary(
        rows.name,
        configuration,
        max_p=dict(zip(taxonomy, rows.scores(taxonomy).astype("float64").max().to_list(), strict=True)),
        count={str(tag): int(number) for tag, number in accepted.items()},
        frames=len(table),
        failed=int((rows["status"] != "ok").sum()),
        source=source,
        derived=derived,
    )


class SummaryCounter:
    """Counts rows as they come, so that the summary of a run of any length needs no row afterwards.

    Parameters
    ----------
    name : str
        The tagger's name, which begins the names of the columns.

    Attributes
    ----------
    exact : bool
        Whether each row was counted once. It is False once a row came again, because the RunEngine took its point again
        after a pause: what the first one counted cannot be taken back. Then `summarise` counts the stored rows.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.exact = True
        self._last = self._frames = self._failed = 0
        self._max_p: dict[str, float] = {}
        self._count: dict[str, int] = {}
        self._mark = score_column(name, "")
        self._tags, self._status = column(name, "tags"), column(name, "status")

    def add(self, number: int, data: Mapping[str, Any]) -> None:
        """Count a row: its columns and its sequence number."""
        self.exact = self.exact and number > self._last
        self._last = max(self._last, number)
        self._frames += 1
        self._failed += data[self._status] != "ok"
        for tag in dict.fromkeys(str(data[self._tags]).split()):
            self._count[tag] = self._count.get(tag, 0) + 1
        first = len(self._mark)
        for key, score in data.items():
            if key.startswith(self._mark) and score > self._max_p.get(key[first:], -math.inf):  # NaN is never larger
                self._max_p[key[first:]] = float(score)

    def summary(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return the summary of the rows so far, as `summarise` does for a live tagging."""
        counted = {"frames": self._frames, "failed": self._failed, "max_p": self._max_p, "count": self._count}
        return _summary(self.name, configuration, **counted, source="live", derived=False)


def _taxonomy(configuration: Mapping[str, Any], name: str) -> list[str]:
    return [str(tag) for tag in configuration[column(name, "taxonomy")]]


def _summary(
    name: str,
    configuration: Mapping[str, Any],
    *,
    max_p: Mapping[str, float],
    count: Mapping[str, int],
    frames: int,
    failed: int,
    source: Source,
    derived: bool,
) -> dict[str, Any]:
    taxonomy = _taxonomy(configuration, name)
    counted = {tag: count.get(tag, 0) for tag in taxonomy}
    largest = {tag: max_p.get(tag, math.nan) for tag in taxonomy}
    return {
        # Numbers must be float, not int: SQLite compares what is stored as the type of what is asked.
        "max_p": {tag: float(score) for tag, score in largest.items() if score == score},
        "count": counted,
        "fraction": {tag: number / frames if frames else 0.0 for tag, number in counted.items()},
        "frames": frames,
        "failed": failed,
        **identity(configuration),
        "name": name,
        "source": source,
        "derived": derived,
    }


def read_summary(start: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the summary that a start document holds, checked; None if it holds none that can be believed.

    Anybody may write into a catalogue that is shared. So this is the only way in which metadata becomes a summary: all
    entries that decide are there, with their types and within their limits; names and fractions may be missing, as the
    fingerprint and the counts say the same. What is passed over is warned of, once in a session.
    """
    if KEY not in start:
        return None
    found = start[KEY]
    if not isinstance(found, Mapping):
        _warn_of(_uid_of(start), f"the key {KEY!r} of its start document holds {type(found).__name__}, not a summary")
        return None
    found = {**_IF_MISSING, **found}
    wrong = [name for name, is_right in _ENTRIES.items() if name not in found or not is_right(found[name])]
    if wrong:
        _warn_of(_uid_of(start), f"the summary in its start document has no right {', '.join(wrong)}")
        return None
    summary = {name: found[name] for name in _ENTRIES} | ({"said": found["said"]} if "said" in found else {})
    if summary["fraction"] is _IF_MISSING["fraction"]:
        frames = max(summary["frames"], 1)
        summary["fraction"] = {tag: min(number / frames, 1.0) for tag, number in summary["count"].items()}
    return summary


def read_said(start: Mapping[str, Any]) -> list[Correction]:
    """Return the corrections that the start document of a derived run holds, checked; empty if they are none."""
    summary = read_summary(start)
    if summary is None or "said" not in summary:
        return []
    try:
        return Correction.read(start)
    except (LookupError, TypeError, ValueError) as error:
        _warn_of(_uid_of(start), f"what it says to correct cannot be used ({error})")
        return []


def began(start: Mapping[str, Any]) -> float:
    """Return when a run began, seconds since 1970; 0 if its start document does not tell."""
    time = start.get("time")
    return float(time) if _is_number(time) else 0.0


@lru_cache(maxsize=1024)
def _warn_of(uid: str, reason: str) -> None:
    logger.warning("Run %s is passed over: %s", uid, reason)


def _uid_of(start: Mapping[str, Any]) -> str:
    return str(start.get("uid", "without a uid"))


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _of_tags(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping) and all(_is_text(tag) and is_right(each) for tag, each in value.items())
    )


_ENTRIES: dict[str, Callable[[Any], bool]] = {
    "max_p": _of_tags(_is_share),
    "count": _of_tags(_is_count),
    "fraction": _of_tags(_is_share),
    "frames": _is_count,
    "failed": _is_count,
    "model": _is_text,
    "model_version": _is_text,
    "model_sha256": lambda value: _is_text(value) and _SHA256.fullmatch(value) is not None,
    "name": _is_text,
    "source": lambda value: value in get_args(Source) if _is_text(value) else False,
    "derived": lambda value: isinstance(value, bool),
}


_IF_MISSING: dict[str, Any] = {"fraction": {}, "model": "", "model_version": "", "name": "xtag"}


def identity(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Return the model's part of a summary, from the configuration of the stream's descriptor."""
    mark = "_model_sha256"
    (name,) = [key.removesuffix(mark) for key in configuration if key.endswith(mark)]
    keys = ("model", "model_version", "model_sha256")
    return {key: str(configuration[f"{name}_{key}"]) for key in keys}


def model_keys(model: str | ServedModel) -> dict[str, str]:
    """Return the entries of a summary that identify this model: `model`, `model_version`, or `model_sha256`.

    `model_sha256` may be only the first digits of the fingerprint.
    """
    if not isinstance(model, str):
        return {"model_sha256": model.sha256}
    if _FINGERPRINT.fullmatch(model):
        return {"model_sha256": model}
    if found := _NAME_AND_VERSION.fullmatch(model):
        return {"model": found["name"], "model_version": found["version"]}
    return {"model": model}


def describes(model: str | ServedModel, summary: Mapping[str, Any]) -> bool:
    """Return whether a summary describes a tagging by this model."""
    return all(
        str(summary[key]).startswith(value) if key == "model_sha256" else summary[key] == value
        for key, value in model_keys(model).items()
    )
