"""Writes the summary of each run into a catalogue, after the run, in a thread next to the RunEngine's.

Rows are counted as they come. At the stop document the summary is put on disk, so that no end of the session loses it,
and it is removed from there once the catalogue has it. The catalogue may be slow, unreachable or full: the scan never
waits for it.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog import Catalog, Where, is_away
from ..documents import SummaryCounter, TagRows, tagger_name
from ..errors import XTagValueError, hide_secrets
from .shelf import Shelf
from .summarise import write_if_complete

__all__ = ["LiveSummary"]

logger = logging.getLogger("bluesky_xtag")

_FIRST, _LONGEST, _AWAY = 0.02, 5.0, 1.0  # seconds between tries: the first, the longest, and while nothing answers
_OUTAGE = 1000  # runs that are tried again once a catalogue that was away answers


@dataclass
class _Wait:
    """A summary that the catalogue has not got yet."""

    until: float
    due: float = 0.0
    pause: float = _FIRST
    reason: object = "the session ended first"


@dataclass
class _GivenUp:
    """Summaries that wait no longer, with the reason; told in one message."""

    kept: dict[str, object] = field(default_factory=dict)
    lost: dict[str, object] = field(default_factory=dict)


class LiveSummary:
    """A document callback that writes summaries of runs.

    Parameters
    ----------
    catalog : Catalog
        The catalogue in which another subscriber stores the runs.
    backup : Path
        Directory in which summaries are until the catalogue has them.
    patience : float
        Seconds to wait until a run is complete in the catalogue. Runs wait at the same time, not one after the other.
    """

    def __init__(self, catalog: Catalog, backup: Path, patience: float = 60.0) -> None:
        self.backup = backup
        self._catalog = catalog
        self._patience = patience
        self._said = False  # that a scan_id is not the only one of its kind
        self._rows = _CountsOfRuns(self._close)
        self._shelf = Shelf(backup)
        self._unstored: dict[str, _Wait] = {}
        self._missed: dict[str, None] = {}  # given up because the catalogue was away
        self._changed = threading.Condition()
        self._again = 0.0  # when to ask a catalogue again that does not answer
        self._ends: float | None = None  # when to stop trying, once the session ends
        self._forsaken = False  # nobody will send documents any more
        self._thread = threading.Thread(target=self._work, name="xtag-summaries", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __call__(self, name: str, doc: Any) -> None:
        """Count the rows of a run, and keep its summary when it stops.

        This method never raises, and it waits for nothing but a file on this machine, for half a second at most.
        """
        try:
            self._rows(name, doc)
        except Exception:
            logger.exception("a %s document could not be used for the summary of its run", name)

    def _close(self, run: str, counter: SummaryCounter, configuration: Mapping[str, Any]) -> None:
        """Take what was counted of a run that ended, and its newest configuration."""
        self._shelf.put(run, counter.summary(configuration), counter.exact)
        with self._changed:
            self._unstored[run] = _Wait(until=time.monotonic() + self._patience)
            self._changed.notify_all()

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until no summary of the runs so far waits any more. Return False if the time is over before."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._unstored, timeout)

    def end(self) -> None:
        """Let the thread end once all summaries so far are stored or kept; return without waiting for it."""
        with self._changed:
            self._forsaken = True
            self._changed.notify_all()

    def close(self, timeout: float = 5.0) -> None:
        """Finish. Each summary that waits is tried once more; what the catalogue does not take stays on disk."""
        atexit.unregister(self.close)
        with self._changed:
            self._ends = time.monotonic() + timeout
            self._changed.notify_all()
        self._thread.join(timeout)
        self._shelf.close()
        with self._changed:
            left = {run: wait.reason for run, wait in self._unstored.items()}
            self._unstored.clear()
        self._give_up(left)

    # The thread

    def _work(self) -> None:
        while True:
            with self._changed:
                while (due := self._due()) is None:
                    if self._forsaken and not self._unstored:
                        atexit.unregister(self.close)  # which would keep what nobody holds any more
                        return
                    self._changed.wait(self._until_next())
                last = self._ends is not None
            self._try(due)
            if last:
                return

    def _due(self) -> list[str] | None:
        """Return the runs to try now: all of them at the end, even if there are none. None if none is due."""
        now = time.monotonic()
        if self._ends is not None:
            return list(self._unstored)
        return [run for run, wait in self._unstored.items() if wait.due <= now] or None

    def _until_next(self) -> float | None:
        if not self._unstored:
            return None
        due = max(self._again, min(wait.due for wait in self._unstored.values()))
        return max(due - time.monotonic(), 0.001)

    def _try(self, runs: list[str]) -> None:
        """Store the summaries of runs; if the catalogue does not answer the first, the others wait with it."""
        over: dict[str, object] = {}
        away: Exception | None = None
        for run in runs:
            if self._ends is not None and time.monotonic() > self._ends:
                break
            if away is None:
                done, reason, away = self._store(run)
            else:
                done, reason = False, away
            with self._changed:
                wait = self._unstored.get(run)
                if wait is None:
                    continue
                now = time.monotonic()
                wait.reason = hide_secrets(str(reason))
                if done or isinstance(reason, XTagValueError) or now >= wait.until or self._ends is not None:
                    del self._unstored[run]
                    if not done:
                        over[run] = wait.reason
                        if away is not None and len(self._missed) < _OUTAGE:
                            self._missed[run] = None
                    else:
                        self._try_missed(now)
                else:
                    wait.due = now + wait.pause
                    wait.pause = min(2 * wait.pause, _LONGEST)
        self._give_up(over)
        with self._changed:
            self._again = time.monotonic() + _AWAY if away is not None else 0.0
            self._changed.notify_all()

    def _try_missed(self, now: float) -> None:
        """Let the runs that were given up while the catalogue was away be tried once: it answers again."""
        for run in self._missed:
            self._unstored.setdefault(run, _Wait(until=now))
        self._missed.clear()

    def _store(self, run: str) -> tuple[bool, object, Exception | None]:
        """Store a summary; return whether the catalogue has it, why not, and the error if it does not answer at all."""
        try:
            found = self._shelf.get(run)
            if found is None:  # recovered by another process, or lost with its directory
                return True, "", None
            if write_if_complete(self._catalog, run, found.doc if found.exact else None):
                self._shelf.remove(run)
                with suppress(Exception):  # the summary is stored, whatever becomes of this
                    self._compare_scan_id(run)
                return True, "", None
        except Exception as error:  # noqa: BLE001 - clients of catalogues raise anything
            return False, error, error if is_away(error) else None
        return False, "the run is not complete there", None

    def _compare_scan_id(self, run: str) -> None:
        """Say, once a session, that a run has the scan_id of another."""
        if self._said:
            return
        scan_id = self._catalog.find(run).start.get("scan_id")
        if isinstance(scan_id, int) and (others := self._catalog.search(Where("scan_id", "==", scan_id)).count() - 1):
            self._said = True
            logger.warning(
                "run %s has the scan_id %d, which %d other run%s of this catalogue %s, too: find it by its uid; "
                "RunEngine({}, scan_id_source=bluesky_xtag.catalog.next_scan_id(catalog)) lets sessions count together",
                run,
                scan_id,
                others,
                "s" if others > 1 else "",
                "have" if others > 1 else "has",
            )

    def _give_up(self, runs: Mapping[str, object]) -> None:
        """Say of which runs the summaries are not in the catalogue, and where they are."""
        given_up = _GivenUp()
        for run, reason in runs.items():
            (given_up.kept if self._shelf.on_disk(run) else given_up.lost)[run] = reason
        if given_up.kept:
            logger.warning(
                "%s not in the catalogue (%s); it is kept in %s, from where `xtag recover CATALOG %s` stores it",
                *(_runs(given_up.kept), next(iter(given_up.kept.values())), self.backup, self.backup),
            )
        if given_up.lost:
            logger.error(
                "%s neither stored (%s) nor kept in %s; `xtag summarise` makes it from the rows",
                *(_runs(given_up.lost), next(iter(given_up.lost.values())), self.backup),
            )
        for run in given_up.lost:
            self._shelf.drop(run)


def _runs(runs: Mapping[str, object]) -> str:
    first, *others = runs
    more = f" and of {len(others)} more runs" if others else ""
    return f"the summary of run {first}{more} is"


class _CountsOfRuns(TagRows):
    """Counts the rows of open runs.

    Parameters
    ----------
    close : callable
        Takes a run that ended, what was counted, and the configuration in its descriptor.
    """

    def __init__(self, close: Callable[[str, SummaryCounter, Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._close = close
        self._runs: dict[str, SummaryCounter] = {}
        self._configurations: dict[str, Mapping[str, Any]] = {}

    def declare(self, run: str, doc: Mapping[str, Any]) -> None:
        """Keep the newest configuration."""
        name = tagger_name(doc["data_keys"])
        self._configurations[run] = doc["configuration"][name]["data"]
        self._runs.setdefault(run, SummaryCounter(name))

    def add(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        """Count a row."""
        self._runs[run].add(number, data)

    def end(self, run: str) -> None:
        """Hand over what was counted of a run that has any stream of rows."""
        if run in self._runs:
            self._close(run, self._runs.pop(run), self._configurations.pop(run))
