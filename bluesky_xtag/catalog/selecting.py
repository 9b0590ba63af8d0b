"""Which runs of a catalogue are meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ..errors import XTagValueError
from .stored_runs import client, start_of

__all__ = ["chosen"]

_CONDITION = re.compile(r"(?P<key>[A-Za-z_][\w.]*)\s*(?P<operator>==|>=|<=|!=|=|>|<)\s*(?P<value>.+)")
_OPERATORS = {"=": "eq", "==": "eq", "!=": "ne", ">": "gt", ">=": "ge", "<": "lt", "<=": "le"}


def chosen(catalog: Any, runs: Any = None) -> Iterator[Any]:
    """Yield the runs of a catalogue that are meant, but for derived ones.

    Parameters
    ----------
    catalog : CatalogOfBlueskyRuns, tiled Container or databroker Broker
        The catalogue, or what a search in it gave.
    runs : str, int, run, or an iterable of these, optional
        Each a uid or the first digits of one, a scan_id, a negative number that counts from the newest, a run, or a
        condition on the start document: ``"plan_name=grid_scan"``, ``"time>=2026-03-01"``, ``"sample.name=gold"``.
        All conditions must hold. All runs of the catalogue if None.

    Raises
    ------
    XTagValueError
        A run is not there.
    """
    wanted = [runs] if isinstance(runs, str | int) or hasattr(runs, "metadata") else list(runs or ())
    conditions = [one for one in wanted if isinstance(one, str) and _CONDITION.fullmatch(one)]
    named = [one for one in wanted if one not in conditions]
    catalog = client(catalog)
    if conditions or not named:
        yield from _originals(_search(catalog, conditions).values())
    yield from _originals(_named(catalog, one) for one in named)


def _originals(runs: Iterable[Any]) -> Iterator[Any]:
    return (run for run in runs if "original_run_uid" not in start_of(run))


def _named(catalog: Any, run: Any) -> Any:
    if not isinstance(run, str | int):
        return run
    number = int(run) if isinstance(run, int) or re.fullmatch(r"-\d+|\d{1,7}", run) else None
    try:
        if number is None:
            return catalog[run]
        return catalog.values()[number] if number < 0 else _newest(catalog, number)
    except (KeyError, IndexError, ValueError) as error:
        raise XTagValueError(
            f"there is no run {run!r} in the catalogue: give a uid, a scan_id, -1 for the newest, or a condition such "
            "as plan_name=scan"
        ) from error


def _newest(catalog: Any, scan_id: int) -> Any:
    """Return the newest run of a scan_id; a plain container of Tiled has no way of its own to find it."""
    from tiled.queries import Key

    return catalog.search(Key("start.scan_id") == scan_id).values().last()


def _search(catalog: Any, conditions: Iterable[str]) -> Any:
    from tiled.queries import Comparison, Key

    for condition in conditions:
        found = _CONDITION.fullmatch(condition)
        assert found is not None  # it was matched before
        key, operator = f"start.{found['key'].removeprefix('start.')}", _OPERATORS[found["operator"]]
        value = _value(found["key"], found["value"].strip())
        if operator == "eq":
            catalog = catalog.search(Key(key) == value)
        elif operator == "ne":
            catalog = catalog.search(Key(key) != value)
        else:
            catalog = catalog.search(Comparison(operator, key, value))
    return catalog


def _value(key: str, text: str) -> Any:
    if key.removeprefix("start.") == "time":
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            pass  # seconds since 1970
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text.strip("\"'"))
