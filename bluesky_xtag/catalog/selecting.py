"""Selects runs of a catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, Union, cast

from ..errors import XTagValueError
from .kinds import adapt_run, as_run
from .protocol import Catalog, Operator, Run, Where

if TYPE_CHECKING:
    from bluesky_tiled_plugins import BlueskyRun, CatalogOfBlueskyRuns
    from databroker.v1 import Broker, Header
    from tiled.client.container import Container

__all__ = ["Moment", "RunSelection", "StoredCatalog", "StoredRun", "began_between", "find_run", "select_runs"]

Moment: TypeAlias = float | str | datetime
# What users have, and what the package makes of it.
StoredCatalog: TypeAlias = Union["CatalogOfBlueskyRuns", "Container", "Broker", Catalog]
StoredRun: TypeAlias = Union["BlueskyRun", "Header", Run]
RunSelection: TypeAlias = str | int | StoredRun | Iterable[str | int | StoredRun] | None

_BACKWARDS = re.compile(r"-[1-9]\d*")
_CONDITION = re.compile(r"(?P<key>[A-Za-z_][\w.]*)\s*(?P<operator>==|>=|<=|!=|=|>|<)\s*(?P<value>.+)")


def select_runs(catalog: Catalog, runs: RunSelection = None) -> Iterator[Run]:
    """Yield the runs of a catalogue that the user selects, none of them derived; a derived run stands for its original.

    Parameters
    ----------
    catalog : Catalog
        The catalogue, or the result of a search in it.
    runs : str, int, run, or an iterable of these, optional
        Each is a uid or the first digits of one, a scan_id, a negative number that counts from the newest run that is
        not derived, a run, or a condition on the start document: ``"plan_name=grid_scan"``, ``"time>=2026-03-01"``,
        ``"sample.name=gold"``. A run must meet all conditions. If None, all runs of the catalogue.

    Raises
    ------
    XTagValueError
        There is no such run.
    """
    one_run = isinstance(runs, str | int) or adapt_run(runs) is not None
    given = cast("list[str | int | StoredRun]", [runs] if one_run else list(cast("Iterable", runs or ())))
    conditions = [one for one in given if isinstance(one, str) and _CONDITION.fullmatch(one)]
    named = [one for one in given if one not in conditions]
    if conditions or not named:
        yield from _originals(catalog.search(*map(_condition, conditions)).runs())
    for one in named:
        yield _original(_find(catalog, one, ", or a condition such as plan_name=scan"))


def _originals(runs: Iterable[Run]) -> Iterator[Run]:
    return (run for run in runs if not run.is_derived)


def find_run(catalog: Catalog, named: str | int | StoredRun) -> Run:
    """Return the run that a person means: one that is not derived, also where its tags or corrections were named.

    Parameters
    ----------
    catalog : Catalog
        The catalogue, or the result of a search in it.
    named : str, int or stored run
        A uid or the first digits of one, a scan_id, a negative number that counts from the newest run that is not
        derived, or a run.

    Raises
    ------
    XTagValueError
        There is no such run.
    """
    return _original(_find(catalog, named))


def _original(run: Run) -> Run:
    """Return the run that a run is derived from, if need be in several steps; one that is not derived as it is."""
    passed = {run.uid}
    while run.is_derived:
        original = run.catalog.get(run.original_uid)
        if original is None:
            raise XTagValueError(
                f"run {run.uid} is derived from run {run.original_uid}, which the catalogue does not have"
            )
        if original.uid in passed:
            raise XTagValueError(f"run {run.uid} is derived from itself in {len(passed)} steps: name another run")
        passed.add(original.uid)
        run = original
    return run


def _find(catalog: Catalog, run: str | int | StoredRun, more: str = "") -> Run:
    if not isinstance(run, str | int):
        return as_run(run)
    try:
        if _BACKWARDS.fullmatch(str(run)):
            return list(catalog.newest(-int(run)))[-int(run) - 1]
        return catalog.find(run)
    except (KeyError, IndexError, ValueError) as error:
        raise XTagValueError(
            f"there is no run {run!r} in the catalogue: give a uid, a scan_id, or -1 for the newest{more}"
        ) from error


def _condition(text: str) -> Where:
    found = _CONDITION.fullmatch(text)
    assert found is not None  # it was matched before
    operator = {"=": "=="}.get(found["operator"], found["operator"])
    key = found["key"].removeprefix("start.")
    return Where(key, cast("Operator", operator), _value(key, found["value"].strip()))


def _value(key: str, text: str) -> str | bool | int | float:
    if key == "time":
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


def began_between(since: Moment | None, until: Moment | None) -> list[Where]:
    """Return the conditions on runs that began between two times.

    Parameters
    ----------
    since, until : float, str or datetime, optional
        The first and the last time: runs begin at `since` or later, and before `until`. Each is in seconds since 1970,
        or a date as `TimeRange` of Tiled takes it, such as "2026-03-01". If None, there is no condition.

    Raises
    ------
    XTagValueError
        A time is not understood, or the two are in the wrong order.
    """
    from bluesky_tiled_plugins.queries import TimeRange

    try:
        time = TimeRange(since=since, until=until)
    except (TypeError, ValueError) as error:
        raise XTagValueError(
            f"since={since!r}, until={until!r}: {error}; give dates such as '2026-03-01' or '2026-03-01 17:30', "
            "or seconds since 1970"
        ) from error
    bounds: list[tuple[Operator, float | None]] = [(">=", time.since), ("<", time.until)]
    return [Where("time", operator, float(bound)) for operator, bound in bounds if bound is not None]
